/* Devices and memory of the backend that is far away; its queues are in queue.c. */
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "backend/blocks.h"
#include "backend/cpu/cpu.h"
#include "backend/far/far.h"
#include "backend/far/queue.h"
#include "base/fail.h"

/* Addresses that are told, which the system gives no memory, and where what they stand for is. */
typedef struct block {
    struct block *next;
    char *told, *data;
    size_t bytes;
} block;

struct yki_device {
    yki_device *cpu;
    block *blocks;
};

static size_t reserved(size_t bytes)
{
    return bytes ? bytes : 1;
}

static yoke_status far_create(int index, int threads, yki_device **device_out)
{
    yki_device *device = calloc(1, sizeof *device);
    if (!device) return yki_fail_memory("a device");
    yoke_status status = yki_backend_cpu.device_create(index, threads, &device->cpu);
    if (status == YOKE_OK)
        *device_out = device;
    else
        free(device);
    return status;
}

static void release(yki_device *device, block **link)
{
    block *gone = *link;
    *link = gone->next;
    munmap(gone->told, reserved(gone->bytes));
    yki_backend_cpu.free(device->cpu, gone->data);
    free(gone);
}

static void far_destroy(yki_device *device)
{
    if (!device) return;
    while (device->blocks) release(device, &device->blocks);
    yki_backend_cpu.device_destroy(device->cpu);
    free(device);
}

static yoke_status far_bind(yki_device *device, int local_rank, int local_ranks)
{
    return yki_backend_cpu.device_bind(device->cpu, local_rank, local_ranks);
}

static yoke_status far_alloc(yki_device *device, size_t bytes, void **data_out)
{
    block *made = calloc(1, sizeof *made);
    void *data, *told;
    if (!made) return yki_fail_memory("a block of memory");
    yoke_status status = yki_backend_cpu.alloc(device->cpu, bytes, &data);
    if (status != YOKE_OK) {
        free(made);
        return status;
    }
    told = mmap(NULL, reserved(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (told == MAP_FAILED) {
        yki_backend_cpu.free(device->cpu, data);
        free(made);
        return yki_fail(YOKE_SYSTEM, "the system has no addresses for %zu bytes", bytes);
    }
    *made = (block){device->blocks, told, data, bytes};
    device->blocks = made;
    *data_out = told;
    return YOKE_OK;
}

static void far_free(yki_device *device, void *data)
{
    block **link = &device->blocks;
    if (!data) return;
    while (*link && (*link)->told != data) link = &(*link)->next;
    assert(*link && "memory of another device");
    if (*link) release(device, link);
}

void *yki_far_address(const yki_device *device, const void *told, size_t bytes)
{
    if (!told) return NULL;
    for (const block *b = device->blocks; b; b = b->next)
        if ((const char *)told >= b->told && (const char *)told + bytes <= b->told + reserved(b->bytes))
            return b->data + ((const char *)told - b->told);
    abort(); /* what a GPU would do: the host's address, or past the end of the device's memory */
}

yki_device *yki_far_cpu(const yki_device *device)
{
    return device->cpu;
}

static int64_t far_peak_bytes(const yki_device *device)
{
    return yki_backend_cpu.peak_bytes(device->cpu);
}

static void *far_host_address(yki_device *device, void *data)
{
    (void)device, (void)data;
    return NULL;
}

static int far_count(void)
{
    return yki_backend_cpu.count();
}

static int64_t far_memory_bytes(int index)
{
    return yki_backend_cpu.memory_bytes(index);
}

static size_t far_workspace_bytes(const yki_launch *shapes, int threads)
{
    return yki_backend_cpu.workspace_bytes(shapes, threads);
}

static yoke_status far_prepare(yki_device *device, const yki_launch *shapes, yki_prepared **prepared_out)
{
    return yki_backend_cpu.prepare(device->cpu, shapes, prepared_out);
}

const yki_backend_ops yki_backend_far = {
    .name = "far",
    .memory = YKI_MEMORY_FAR,
    .count = far_count,
    .memory_bytes = far_memory_bytes,
    .device_create = far_create,
    .device_destroy = far_destroy,
    .device_bind = far_bind,
    .alloc = far_alloc,
    .free = far_free,
    .peak_bytes = far_peak_bytes,
    .host_address = far_host_address,
    .workspace_bytes = far_workspace_bytes,
    .prepare = far_prepare,
    .queue_create = yki_far_queue_create,
    .queue_destroy = yki_far_queue_destroy,
    .launch = yki_far_launch,
    .transfer = yki_far_transfer,
    .fill = yki_far_fill,
    .stamp = yki_far_stamp,
    .event_create = yki_far_event_create,
    .event_destroy = yki_far_event_destroy,
    .record = yki_far_record,
    .wait = yki_far_wait,
    .reach = yki_far_reach,
    .synchronize = yki_far_synchronize,
};
