/* The null backend: an allocator that counts, and a queue that forgets. */
#include "backend/null/null.h"

#include <stdlib.h>

#include "backend/at_once.h"
#include "backend/blocks.h"
#include "base/fail.h"

struct yki_device {
    yki_blocks blocks;
};

static int null_count(void)
{
    return 1 << 20;
}

static int64_t null_memory_bytes(int index)
{
    (void)index;
    return INT64_C(1) << 50;
}

static yoke_status null_create(int index, int threads, yki_device **device_out)
{
    (void)index, (void)threads;
    yki_device *device = calloc(1, sizeof *device);
    if (device == NULL) return yki_fail_memory("a device");
    device->blocks.reserve = true;
    *device_out = device;
    return YOKE_OK;
}

static void null_destroy(yki_device *device)
{
    if (device == NULL) return;
    yki_blocks_release(&device->blocks);
    free(device);
}

static yoke_status null_bind(yki_device *device, int local_rank, int local_ranks)
{
    (void)device, (void)local_rank, (void)local_ranks;
    return YOKE_OK;
}

static yoke_status null_alloc(yki_device *device, size_t bytes, void **data_out)
{
    return yki_blocks_alloc(&device->blocks, bytes, data_out);
}

static void null_free(yki_device *device, void *data)
{
    yki_blocks_free(&device->blocks, data);
}

static int64_t null_peak_bytes(const yki_device *device)
{
    return device->blocks.peak_bytes;
}

static size_t null_workspace_bytes(const yki_launch *shapes, int threads)
{
    (void)shapes, (void)threads;
    return 0;
}

static yoke_status null_prepare(yki_device *device, const yki_launch *shapes, yki_prepared **prepared_out)
{
    (void)device, (void)shapes;
    *prepared_out = NULL;
    return YOKE_OK;
}

/* Whatever anybody computes with or looks at: nothing is ever there. */
static yoke_status null_queue_create(yki_device *device, yki_queue **queue_out)
{
    yki_queue *queue = malloc(sizeof *queue);
    if (queue == NULL) return yki_fail_memory("a queue");
    *queue = (yki_queue){&yki_backend_null, device};
    *queue_out = queue;
    return YOKE_OK;
}

static void null_queue_destroy(yki_queue *queue)
{
    free(queue);
}

static void null_launch(yki_queue *queue, yki_prepared *prepared, const yki_launch *launch)
{
    (void)queue, (void)prepared, (void)launch;
}

static void null_transfer(yki_queue *queue, yki_transfer transfer, const yki_rect *rect)
{
    (void)queue, (void)transfer, (void)rect;
}

static void null_fill(yki_queue *queue, void *data, int byte, size_t bytes)
{
    (void)queue, (void)data, (void)byte, (void)bytes;
}

const yki_backend_ops yki_backend_null = {
    .name = "null",
    .memory = YKI_MEMORY_HOST,
    .count = null_count,
    .memory_bytes = null_memory_bytes,
    .device_create = null_create,
    .device_destroy = null_destroy,
    .device_bind = null_bind,
    .alloc = null_alloc,
    .free = null_free,
    .peak_bytes = null_peak_bytes,
    .workspace_bytes = null_workspace_bytes,
    .prepare = null_prepare,
    .queue_create = null_queue_create,
    .queue_destroy = null_queue_destroy,
    .launch = null_launch,
    .transfer = null_transfer,
    .fill = null_fill,
    YKI_AT_ONCE,
};
