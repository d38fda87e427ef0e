/* Queues of the CUDA backend: streams, events, and stamps, which are events whose times are read when the
 * host waits. */
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "backend/cuda/cuda.h"
#include "backend/cuda/device.h"
#include "backend/cuda/slots.h"
#include "base/clock.h"
#include "base/fail.h"

enum { STAMPS = 1024, SPINS = 2000, PAUSE_NS = 20000 };
#define REBASE_NS 1e8 /* a stamp's distance from the base is an f32 of milliseconds */

struct yki_event {
    yki_device *device;
    yki_queue *of; /* NULL: not recorded yet */
    CUevent event;
};

typedef struct queue {
    yki_queue base;
    yki_cuda_sink sink;
    CUstream stream;
    CUevent rest;  /* of synchronize */
    CUevent begin; /* what stamps are counted from */
    double begin_ns;
    struct {
        CUevent event;
        double *ns;
    } stamps[STAMPS]; /* a ring */
    size_t first, nstamps;
} queue;

static queue *queue_of_sink(yki_cuda_sink *sink)
{
    return (queue *)(void *)((char *)sink - offsetof(queue, sink));
}

/* Never blocks in the driver: the host goes on asking. */
static bool arrived(yki_device *device, CUevent event)
{
    for (int polls = 0;; polls++) {
        CUresult error = device->driver->cuEventQuery(event);
        if (error != CUDA_ERROR_NOT_READY) return yki_cuda_noted(device, error, "a wait for it");
        if (polls < SPINS)
            sched_yield();
        else
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
}

static void put_kernel(yki_cuda_sink *sink, yki_cuda_kernel kernel, yki_cuda_shape shape, const void *args)
{
    queue *q = queue_of_sink(sink);
    yki_device *device = q->base.device;
    void *parameters[] = {(void *)(uintptr_t)args};
    if (device->failed.status != YOKE_OK) return;
    device->last = yki_cuda_kernel_name(kernel);
    yki_cuda_noted(device,
                   device->driver->cuLaunchKernel(device->gpu->functions[kernel], (unsigned)shape.x,
                                                  (unsigned)shape.y, 1, (unsigned)shape.threads, 1, 1, 0,
                                                  q->stream, parameters, NULL),
                   "a launch");
}

/* Stamps are counted from here on. */
static bool rebase(queue *q)
{
    yki_device *device = q->base.device;
    if (!yki_cuda_noted(device, device->driver->cuEventRecord(q->begin, q->stream), "an event") ||
        !arrived(device, q->begin))
        return false;
    q->begin_ns = yki_now_ns();
    return true;
}

yoke_status yki_cuda_queue_create(yki_device *device, yki_queue **queue_out)
{
    queue *q = calloc(1, sizeof *q);
    if (!q) return yki_fail_memory("a queue");
    q->base = (yki_queue){&yki_backend_cuda, device};
    q->sink.put = put_kernel;
    yki_cuda_enter(device);
    const yki_cuda_driver *driver = device->driver;
    bool made =
        yki_cuda_noted(device, driver->cuStreamCreate(&q->stream, CU_STREAM_NON_BLOCKING), "a stream") &&
        yki_cuda_noted(device, driver->cuEventCreate(&q->rest, CU_EVENT_DISABLE_TIMING), "an event") &&
        yki_cuda_noted(device, driver->cuEventCreate(&q->begin, CU_EVENT_DEFAULT), "an event") && rebase(q);
    if (!made) {
        yki_cuda_queue_destroy(&q->base);
        return yki_cuda_told(device);
    }
    *queue_out = &q->base;
    return YOKE_OK;
}

void yki_cuda_queue_destroy(yki_queue *base)
{
    queue *q = (queue *)base;
    if (!q) return;
    const yki_cuda_driver *driver = base->device->driver;
    yki_cuda_enter(base->device);
    if (q->stream && q->rest) yki_cuda_synchronize(base);
    for (int i = 0; i < STAMPS; i++)
        if (q->stamps[i].event) driver->cuEventDestroy(q->stamps[i].event);
    if (q->rest) driver->cuEventDestroy(q->rest);
    if (q->begin) driver->cuEventDestroy(q->begin);
    if (q->stream) driver->cuStreamDestroy(q->stream);
    free(q);
}

void yki_cuda_launch(yki_queue *base, yki_prepared *prepared, const yki_launch *launch)
{
    (void)prepared;
    yki_cuda_enter(base->device);
    yki_cuda_slots[launch->kernel].run(launch, &((queue *)base)->sink);
}

static CUdeviceptr at(const void *data)
{
    return (CUdeviceptr)(uintptr_t)data;
}

/* Bytes in a row. */
static CUresult copy_row(queue *q, yki_transfer transfer, void *to, const void *from, size_t bytes)
{
    const yki_cuda_driver *driver = q->base.device->driver;
    if (transfer == YKI_UPLOAD) return driver->cuMemcpyHtoDAsync(at(to), from, bytes, q->stream);
    if (transfer == YKI_DOWNLOAD) return driver->cuMemcpyDtoHAsync(to, at(from), bytes, q->stream);
    return driver->cuMemcpyDtoDAsync(at(to), at(from), bytes, q->stream);
}

static CUresult copy_rows(queue *q, yki_transfer transfer, const yki_rect *rect)
{
    CUDA_MEMCPY2D copy = {.srcMemoryType = transfer == YKI_UPLOAD ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE,
                          .dstMemoryType =
                              transfer == YKI_DOWNLOAD ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE,
                          .srcPitch = rect->from_step,
                          .dstPitch = rect->to_step,
                          .WidthInBytes = rect->width,
                          .Height = rect->rows};
    if (transfer == YKI_UPLOAD)
        copy.srcHost = rect->from;
    else
        copy.srcDevice = at(rect->from);
    if (transfer == YKI_DOWNLOAD)
        copy.dstHost = rect->to;
    else
        copy.dstDevice = at(rect->to);
    return q->base.device->driver->cuMemcpy2DAsync(&copy, q->stream);
}

void yki_cuda_transfer(yki_queue *base, yki_transfer transfer, const yki_rect *rect)
{
    static const char *const names[] = {"an upload", "a download", "a copy"};
    enum { MOST_STEP = 1 << 20 }; /* devices tell of a limit, which is far beyond */
    queue *q = (queue *)base;
    yki_device *device = base->device;
    if (rect->rows == 0 || rect->width == 0 || device->failed.status != YOKE_OK) return;
    yki_cuda_enter(device);
    CUresult error = CUDA_SUCCESS;
    if (rect->rows == 1 || (rect->from_step == rect->width && rect->to_step == rect->width))
        error = copy_row(q, transfer, rect->to, rect->from, rect->rows * rect->width);
    else if (rect->from_step >= rect->width && rect->to_step >= rect->width && rect->from_step <= MOST_STEP &&
             rect->to_step <= MOST_STEP)
        error = copy_rows(q, transfer, rect);
    else
        for (size_t i = 0; i < rect->rows && error == CUDA_SUCCESS; i++)
            error = copy_row(q, transfer, (char *)rect->to + i * rect->to_step,
                             (const char *)rect->from + i * rect->from_step, rect->width);
    yki_cuda_noted(device, error, names[transfer]);
}

void yki_cuda_fill(yki_queue *base, void *data, int byte, size_t bytes)
{
    yki_device *device = base->device;
    if (bytes == 0 || device->failed.status != YOKE_OK) return;
    yki_cuda_enter(device);
    yki_cuda_noted(
        device,
        device->driver->cuMemsetD8Async(at(data), (unsigned char)byte, bytes, ((queue *)base)->stream),
        "a fill");
}

/* Reads the times of the stamps that the queue has come past. */
static void read_stamps(queue *q)
{
    yki_device *device = q->base.device;
    float ms;
    for (; q->nstamps > 0; q->nstamps--, q->first = (q->first + 1) % STAMPS) {
        CUevent event = q->stamps[q->first].event;
        CUresult error = device->driver->cuEventQuery(event);
        if (error == CUDA_ERROR_NOT_READY) return;
        if (error == CUDA_SUCCESS) error = device->driver->cuEventElapsedTime(&ms, q->begin, event);
        if (!yki_cuda_noted(device, error, "a time")) return;
        *q->stamps[q->first].ns = q->begin_ns + 1e6 * (double)ms;
    }
}

void yki_cuda_stamp(yki_queue *base, double *ns_out)
{
    queue *q = (queue *)base;
    yki_device *device = base->device;
    if (device->failed.status != YOKE_OK) return;
    yki_cuda_enter(device);
    if (q->nstamps == STAMPS) {
        if (!arrived(device, q->stamps[q->first].event)) return;
        read_stamps(q);
    }
    size_t place = (q->first + q->nstamps) % STAMPS;
    CUevent *event = &q->stamps[place].event;
    if (!*event &&
        !yki_cuda_noted(device, device->driver->cuEventCreate(event, CU_EVENT_DEFAULT), "an event")) {
        *event = NULL;
        return;
    }
    q->stamps[place].ns = ns_out;
    if (yki_cuda_noted(device, device->driver->cuEventRecord(*event, q->stream), "an event")) q->nstamps++;
}

yoke_status yki_cuda_event_create(yki_device *device, yki_event **event_out)
{
    yki_event *event = calloc(1, sizeof *event);
    if (!event) return yki_fail_memory("an event");
    event->device = device;
    yki_cuda_enter(device);
    if (!yki_cuda_noted(device, device->driver->cuEventCreate(&event->event, CU_EVENT_DISABLE_TIMING),
                        "an event")) {
        free(event);
        return yki_cuda_told(device);
    }
    *event_out = event;
    return YOKE_OK;
}

void yki_cuda_event_destroy(yki_event *event)
{
    if (!event) return;
    yki_cuda_enter(event->device);
    event->device->driver->cuEventDestroy(event->event);
    free(event);
}

void yki_cuda_record(yki_queue *base, yki_event *event)
{
    yki_device *device = base->device;
    if (device->failed.status != YOKE_OK) return;
    yki_cuda_enter(device);
    if (yki_cuda_noted(device, device->driver->cuEventRecord(event->event, ((queue *)base)->stream),
                       "an event"))
        event->of = base;
}

void yki_cuda_wait(yki_queue *base, yki_event *event)
{
    yki_device *device = base->device;
    if (!event->of || device->failed.status != YOKE_OK) return;
    yki_cuda_enter(device);
    yki_cuda_noted(device, device->driver->cuStreamWaitEvent(((queue *)base)->stream, event->event, 0),
                   "a wait for an event");
}

yoke_status yki_cuda_reach(yki_event *event)
{
    yki_device *device = event->device;
    if (!event->of) return yki_cuda_told(device);
    yki_cuda_enter(device);
    if (device->failed.status == YOKE_OK && arrived(device, event->event)) read_stamps((queue *)event->of);
    return yki_cuda_told(device);
}

yoke_status yki_cuda_synchronize(yki_queue *base)
{
    queue *q = (queue *)base;
    yki_device *device = base->device;
    yki_cuda_enter(device);
    if (device->failed.status == YOKE_OK &&
        yki_cuda_noted(device, device->driver->cuEventRecord(q->rest, q->stream), "an event") &&
        arrived(device, q->rest)) {
        read_stamps(q);
        if (yki_now_ns() - q->begin_ns > REBASE_NS) rebase(q);
    }
    return yki_cuda_told(device);
}
