/* Devices and memory of the CUDA backend; its queues are in queue.c. */
#include "backend/cuda/cuda.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/device.h"
#include "backend/cuda/slots.h"
#include "base/fail.h"

enum { MOST_GPUS = 64, WIDEST_HEAD = 1024 };

/* Kernels' images, from kernels/NAME.cu. */
extern const unsigned long long yki_cuda_image_attention[], yki_cuda_image_pointwise[],
    yki_cuda_image_products[], yki_cuda_image_rows[], yki_cuda_image_sums[], yki_cuda_image_updates[];
static const unsigned long long *const images[] = {yki_cuda_image_attention, yki_cuda_image_pointwise,
                                                   yki_cuda_image_products,  yki_cuda_image_rows,
                                                   yki_cuda_image_sums,      yki_cuda_image_updates};
enum { IMAGES = sizeof images / sizeof *images };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static yki_cuda_gpu gpus[MOST_GPUS]; /* context NULL: not opened */

static yoke_status refuse(const yki_cuda_driver *driver, int index, CUresult error, const char *what)
{
    char text[160];
    yki_cuda_print_error(driver, error, text, sizeof text);
    return yki_fail(YOKE_INVALID, "cuda:%d: %s: %s", index, what, text);
}

static yoke_status is_there(int index)
{
    const yki_cuda_driver *driver;
    YKI_TRY(yki_cuda_open(&driver));
    int count = driver->devices < MOST_GPUS ? driver->devices : MOST_GPUS;
    if (index < count) return YOKE_OK;
    return yki_fail(YOKE_INVALID,
                    "there is no cuda:%d: the driver finds %d device%s, and the last is cuda:%d", index,
                    count, count == 1 ? "" : "s", count - 1);
}

/* Every kernel from one of the images. */
static yoke_status load_kernels(const yki_cuda_driver *driver, yki_cuda_gpu *gpu)
{
    CUmodule modules[IMAGES];
    int major = 0, minor = 0, loaded = 0;
    CUresult error = CUDA_SUCCESS;
    for (; loaded < IMAGES; loaded++)
        if ((error = driver->cuModuleLoadData(&modules[loaded], images[loaded])) != CUDA_SUCCESS) break;
    for (int k = 0; k < YKI_CUDA_KERNELS && error == CUDA_SUCCESS; k++) {
        error = CUDA_ERROR_NOT_FOUND;
        for (int i = 0; i < IMAGES && error == CUDA_ERROR_NOT_FOUND; i++)
            error = driver->cuModuleGetFunction(&gpu->functions[k], modules[i],
                                                yki_cuda_kernel_name((yki_cuda_kernel)k));
    }
    if (error == CUDA_SUCCESS) return YOKE_OK;
    for (int i = 0; i < loaded; i++) driver->cuModuleUnload(modules[i]);
    driver->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, gpu->device);
    driver->cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, gpu->device);
    char what[192];
    snprintf(what, sizeof what,
             "this build's kernels are for " YOKE_CUDA_SM
             " and later, and %s, sm_%d%d, takes no image of them",
             gpu->name, major, minor);
    return refuse(driver, gpu->index, error, what);
}

static yoke_status open_locked(const yki_cuda_driver *driver, yki_cuda_gpu *gpu)
{
    CUcontext context = NULL;
    CUresult error = driver->cuDeviceGet(&gpu->device, gpu->index);
    if (error == CUDA_SUCCESS) error = driver->cuDeviceGetName(gpu->name, sizeof gpu->name, gpu->device);
    if (error == CUDA_SUCCESS) error = driver->cuDevicePrimaryCtxRetain(&context, gpu->device);
    if (error == CUDA_SUCCESS) error = driver->cuCtxSetCurrent(context);
    if (error != CUDA_SUCCESS) return refuse(driver, gpu->index, error, "it cannot be opened");
    gpu->context = context; /* kept as long as the process lives */
    return YOKE_OK;
}

/* The GPU, with its context the thread's. */
static yoke_status open_gpu(int index, bool kernels, const yki_cuda_driver **driver_out,
                            const yki_cuda_gpu **gpu_out)
{
    YKI_TRY(is_there(index));
    YKI_TRY(yki_cuda_open(driver_out));
    yki_cuda_gpu *gpu = &gpus[index];
    yoke_status status = YOKE_OK;
    pthread_mutex_lock(&lock);
    gpu->index = index;
    if (!gpu->context) status = open_locked(*driver_out, gpu);
    if (status == YOKE_OK) (*driver_out)->cuCtxSetCurrent(gpu->context);
    if (status == YOKE_OK && kernels && !gpu->functions[YKI_CUDA_KERNELS - 1])
        status = load_kernels(*driver_out, gpu);
    pthread_mutex_unlock(&lock);
    *gpu_out = gpu;
    return status;
}

static yoke_status cuda_check(int index)
{
    const yki_cuda_driver *driver;
    const yki_cuda_gpu *gpu;
    return open_gpu(index, true, &driver, &gpu);
}

static int cuda_count(void)
{
    YKI_KEEP_RECORD;
    const yki_cuda_driver *driver;
    return yki_cuda_open(&driver) != YOKE_OK ? 0 : driver->devices < MOST_GPUS ? driver->devices : MOST_GPUS;
}

/* What the context and its kernels leave: they are there first. */
static int64_t cuda_memory_bytes(int index)
{
    YKI_KEEP_RECORD;
    const yki_cuda_driver *driver;
    const yki_cuda_gpu *gpu;
    size_t available = 0, total;
    if (open_gpu(index, true, &driver, &gpu) != YOKE_OK) return 0;
    return driver->cuMemGetInfo(&available, &total) == CUDA_SUCCESS ? (int64_t)available : 0;
}

static yoke_status cuda_describe(int index, char *model, size_t size, int64_t *bytes_out)
{
    const yki_cuda_driver *driver;
    CUdevice device;
    size_t bytes = 0;
    YKI_TRY(is_there(index));
    YKI_TRY(yki_cuda_open(&driver));
    CUresult error = driver->cuDeviceGet(&device, index);
    if (error == CUDA_SUCCESS) error = driver->cuDeviceGetName(model, (int)size, device);
    if (error == CUDA_SUCCESS) error = driver->cuDeviceTotalMem(&bytes, device);
    if (error != CUDA_SUCCESS) return refuse(driver, index, error, "it tells nothing of itself");
    *bytes_out = (int64_t)bytes;
    return YOKE_OK;
}

static yoke_status cuda_create(int index, int threads, yki_device **device_out)
{
    (void)threads;
    yki_device *device = calloc(1, sizeof *device);
    if (!device) return yki_fail_memory("a device");
    yoke_status status = open_gpu(index, true, &device->driver, &device->gpu);
    if (status == YOKE_OK)
        *device_out = device;
    else
        free(device);
    return status;
}

void yki_cuda_enter(yki_device *device)
{
    device->driver->cuCtxSetCurrent(device->gpu->context);
}

bool yki_cuda_noted(yki_device *device, CUresult error, const char *doing)
{
    if (device->failed.status != YOKE_OK) return false;
    if (error == CUDA_SUCCESS) return true;
    YKI_KEEP_RECORD;
    char text[160];
    yki_cuda_print_error(device->driver, error, text, sizeof text);
    yki_fail(YOKE_PEER_FAILED, "cuda:%d (%s) was lost at %s: %s; the kernel put in last was %s",
             device->gpu->index, device->gpu->name, doing, text, device->last ? device->last : "none");
    device->failed = *yoke_error_get();
    return false;
}

yoke_status yki_cuda_told(const yki_device *device)
{
    if (device->failed.status != YOKE_OK) yki_error_set(&device->failed);
    return device->failed.status;
}

static void release(yki_device *device, yki_cuda_block **link)
{
    yki_cuda_block *gone = *link;
    *link = gone->next;
    device->driver->cuMemFree(gone->data);
    device->now_bytes -= (int64_t)gone->bytes;
    free(gone);
}

static void cuda_destroy(yki_device *device)
{
    if (!device) return;
    yki_cuda_enter(device);
    while (device->blocks) release(device, &device->blocks);
    free(device);
}

static yoke_status cuda_bind(yki_device *device, int local_rank, int local_ranks)
{
    (void)local_rank, (void)local_ranks;
    yki_cuda_enter(device);
    return YOKE_OK;
}

/* A queue of its own for the zeros, so that whoever else uses the device need not be waited for. */
static yoke_status clear(yki_device *device, CUdeviceptr data, size_t bytes)
{
    yki_queue *queue;
    YKI_TRY(yki_cuda_queue_create(device, &queue));
    yki_cuda_fill(queue, (void *)(uintptr_t)data, 0, bytes);
    yoke_status status = yki_cuda_synchronize(queue);
    yki_cuda_queue_destroy(queue);
    return status;
}

static yoke_status cuda_alloc(yki_device *device, size_t bytes, void **data_out)
{
    yki_cuda_block *made = calloc(1, sizeof *made);
    CUdeviceptr data = 0;
    if (!made) return yki_fail_memory("a block of memory");
    yki_cuda_enter(device);
    CUresult error = device->driver->cuMemAlloc(&data, bytes > 0 ? bytes : 1);
    if (error != CUDA_SUCCESS) {
        size_t available = 0, total = 0;
        char text[160];
        free(made);
        device->driver->cuMemGetInfo(&available, &total);
        yki_cuda_print_error(device->driver, error, text, sizeof text);
        return yki_fail(error == CUDA_ERROR_OUT_OF_MEMORY ? YOKE_DOES_NOT_FIT : YOKE_PEER_FAILED,
                        "cuda:%d gives no %zu bytes, of %zu that it has free: %s", device->gpu->index, bytes,
                        available, text);
    }
    *made = (yki_cuda_block){device->blocks, data, bytes};
    device->blocks = made;
    device->now_bytes += (int64_t)bytes;
    if (device->now_bytes > device->peak_bytes) device->peak_bytes = device->now_bytes;
    *data_out = (void *)(uintptr_t)data;
    return clear(device, data, bytes);
}

static void cuda_free(yki_device *device, void *data)
{
    yki_cuda_block **link = &device->blocks;
    if (!data) return;
    while (*link && (*link)->data != (CUdeviceptr)(uintptr_t)data) link = &(*link)->next;
    assert(*link && "memory of another device");
    yki_cuda_enter(device);
    if (*link) release(device, link);
}

static int64_t cuda_peak_bytes(const yki_device *device)
{
    return device->peak_bytes;
}

static void *cuda_host_address(yki_device *device, void *data)
{
    (void)device, (void)data;
    return NULL;
}

static size_t cuda_workspace_bytes(const yki_launch *shapes, int threads)
{
    (void)threads;
    const yki_cuda_slot *slot = &yki_cuda_slots[shapes->kernel];
    return slot->workspace_bytes ? slot->workspace_bytes(shapes) : 0;
}

static bool attends(yki_kernel kernel)
{
    return yki_cuda_slots[kernel].run == yki_cuda_run_attention ||
           yki_cuda_slots[kernel].run == yki_cuda_run_attention_grad ||
           yki_cuda_slots[kernel].run == yki_cuda_run_recall;
}

static yoke_status cuda_prepare(yki_device *device, const yki_launch *shapes, yki_prepared **prepared_out)
{
    *prepared_out = NULL;
    if (!yki_cuda_slots[shapes->kernel].run)
        return yki_fail(YOKE_INVALID, "cuda:%d: there is no kernel for %s yet", device->gpu->index,
                        yki_kernel_name(shapes->kernel));
    int64_t width = 0;
    for (int i = 0; i < shapes->nviews && attends(shapes->kernel); i++)
        if (shapes->views[i].ndim > 3) width = shapes->views[i].dims[shapes->views[i].ndim - 1];
    if (width <= WIDEST_HEAD) return YOKE_OK;
    return yki_fail(YOKE_INVALID, "cuda:%d: heads of attention are %lld wide, and %d at most there",
                    device->gpu->index, (long long)width, WIDEST_HEAD);
}

const yki_backend_ops yki_backend_cuda = {
    .name = "cuda",
    .memory = YKI_MEMORY_FAR,
    .count = cuda_count,
    .check = cuda_check,
    .describe = cuda_describe,
    .memory_bytes = cuda_memory_bytes,
    .device_create = cuda_create,
    .device_destroy = cuda_destroy,
    .device_bind = cuda_bind,
    .alloc = cuda_alloc,
    .free = cuda_free,
    .peak_bytes = cuda_peak_bytes,
    .host_address = cuda_host_address,
    .workspace_bytes = cuda_workspace_bytes,
    .prepare = cuda_prepare,
    .queue_create = yki_cuda_queue_create,
    .queue_destroy = yki_cuda_queue_destroy,
    .launch = yki_cuda_launch,
    .transfer = yki_cuda_transfer,
    .fill = yki_cuda_fill,
    .stamp = yki_cuda_stamp,
    .event_create = yki_cuda_event_create,
    .event_destroy = yki_cuda_event_destroy,
    .record = yki_cuda_record,
    .wait = yki_cuda_wait,
    .reach = yki_cuda_reach,
    .synchronize = yki_cuda_synchronize,
};
