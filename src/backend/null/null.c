/* The null backend: an allocator that counts, and a queue that forgets. */
#include "backend/null/null.h"

#include <stdlib.h>

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

static void null_launch(yki_device *device, yki_prepared *prepared, const yki_launch *launch)
{
    (void)device, (void)prepared, (void)launch;
}

static yoke_status null_event_create(yki_device *device, yki_event **event_out)
{
    *event_out = (yki_event *)device; /* any address: nothing is ever waited for */
    return YOKE_OK;
}

static void null_mark(yki_device *device, yki_event *event)
{
    (void)device, (void)event;
}

static yoke_status null_synchronize(yki_device *device)
{
    (void)device;
    return YOKE_OK;
}

const yki_backend_ops yki_backend_null = {
    .name = "null",
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
    .launch = null_launch,
    .event_create = null_event_create,
    .record = null_mark,
    .wait = null_mark,
    .synchronize = null_synchronize,
};
