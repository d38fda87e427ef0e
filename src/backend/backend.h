/* Backends: devices with one allocator each, and queues that work is put into.
 *
 * What is put into a queue happens in that order, behind the caller's back, some time after; two queues of a
 * device know of each other by events alone. A device's memory is its backend's: nobody else reads or writes
 * it, but by what is put into a queue, and where host_address says that the host may. The CPU's queues do
 * everything at once, on the calling thread's team; a GPU's run behind it; `null` computes nothing; `far`,
 * for tests, is as late and as far away as can be. */
#ifndef YKI_BACKEND_BACKEND_H
#define YKI_BACKEND_BACKEND_H

#include <string.h>

#include "backend/kernel.h"
#include "yoke/status.h"

typedef struct yki_device yki_device; /* one device as one rank sees it; used by one thread at a time */
typedef struct yki_prepared
    yki_prepared; /* a kernel made ready for shapes: primitives created, nothing left to allocate */
typedef struct yki_event yki_event; /* a place in a queue */
typedef struct yki_backend_ops yki_backend_ops;

/* Whose memory a device has: what transports say that they reach. */
typedef enum yki_memory {
    YKI_MEMORY_HOST, /* the host's own: whoever has an address reads and writes there */
    YKI_MEMORY_FAR,  /* the backend's alone */
} yki_memory;

/* The first member of every backend's queue; a device's queues are used by the device's thread. */
typedef struct yki_queue {
    const yki_backend_ops *backend;
    yki_device *device;
} yki_queue;

/* From where to where: host to device, back, or within the device. */
typedef enum yki_transfer { YKI_UPLOAD, YKI_DOWNLOAD, YKI_COPY } yki_transfer;

/* What a transfer moves: `rows` of `width` bytes, which lie `from_step` and `to_step` bytes apart. */
typedef struct yki_rect {
    void *to;
    const void *from;
    size_t width, rows, to_step, from_step;
} yki_rect;

/* What a transfer does, between addresses of the host. */
static inline void yki_rect_copy(const yki_rect *rect)
{
    for (size_t i = 0; i < rect->rows; i++)
        memcpy((char *)rect->to + i * rect->to_step, (const char *)rect->from + i * rect->from_step,
               rect->width);
}

struct yki_backend_ops {
    const char *name; /* "cpu", "cuda", "far", "null" */
    yki_memory memory;
    /* How many devices there are; any index is legal on the CPU. */
    int (*count)(void);
    /* Whether there is a device `index`; YOKE_INVALID, and why not. NULL: there is one for every index. */
    yoke_status (*check)(int index);
    /* Its model's name and its memory, of which something may be taken already. NULL: what the CPU is. */
    yoke_status (*describe)(int index, char *model, size_t size, int64_t *bytes_out);
    /* Bytes of memory a device has, for a plan that names no limit. */
    int64_t (*memory_bytes)(int index);

    /* threads: the team each kernel uses, whichever thread launches it. */
    yoke_status (*device_create)(int index, int threads, yki_device **device_out);
    void (*device_destroy)(yki_device *device); /* its queues and events first */
    /* Called once on a thread that is the device's from then on, and launches: it is bound to the rank's
     * share of the cores. Not for a caller's thread, whose binding and teams are its program's. */
    yoke_status (*device_bind)(yki_device *device, int local_rank, int local_ranks);

    /* The device's one allocator, 64-byte aligned, zero-filled; it counts. YOKE_SYSTEM when the system
     * refuses. Memory is freed when no queue has anything left to do with it. */
    yoke_status (*alloc)(yki_device *device, size_t bytes, void **data_out);
    void (*free)(yki_device *device, void *data);
    int64_t (*peak_bytes)(const yki_device *device);
    /* Where the host finds the device's memory at `data` while its queues are at rest; NULL: nowhere, and it
     * takes an upload or a download. */
    void *(*host_address)(yki_device *device, void *data);

    /* Scratch bytes that a launch of these shapes (data pointers ignored) needs with so many threads; needs
     * no device, so that plans can be made before there is one. The same answer later, for the same shapes.
     */
    size_t (*workspace_bytes)(const yki_launch *shapes, int threads);
    /* Makes a launch of these shapes ready; a launch with the same shapes then allocates nothing. May return
     * NULL in *prepared_out where nothing needs preparing. Owned by the device: destroyed with it, shared by
     * equal shapes. */
    yoke_status (*prepare)(yki_device *device, const yki_launch *shapes, yki_prepared **prepared_out);

    yoke_status (*queue_create)(yki_device *device, yki_queue **queue_out);
    void (*queue_destroy)(yki_queue *queue); /* when all that was put into it is done; NULL is legal */
    /* The launch, with what it points to but for memory of the device, is read before this returns. prepared
     * NULL: legal for kernels that nothing is prepared for (casts, zeros, sums, optimizers). */
    void (*launch)(yki_queue *queue, yki_prepared *prepared, const yki_launch *launch);
    /* The host's side of an upload or a download is the transfer's until the queue has come past it. */
    void (*transfer)(yki_queue *queue, yki_transfer transfer, const yki_rect *rect);
    void (*fill)(yki_queue *queue, void *data, int byte, size_t bytes);
    /* Writes when the queue came here, by the host's clock (yki_now_ns), to the host's memory. */
    void (*stamp)(yki_queue *queue, double *ns_out);

    /* Events belong to their device. record: an event is where the queue's work put in so far ends, until it
     * is recorded again. wait: what is put into the queue later waits for it. reach: the caller does.
     * synchronize: the caller waits for all that was put into the queue. The last two return what failed
     * behind the caller's back. */
    yoke_status (*event_create)(yki_device *device, yki_event **event_out);
    void (*event_destroy)(yki_event *event); /* NULL is legal */
    void (*record)(yki_queue *queue, yki_event *event);
    void (*wait)(yki_queue *queue, yki_event *event);
    yoke_status (*reach)(yki_event *event);
    yoke_status (*synchronize)(yki_queue *queue);
};

/* One row of `bytes`. */
static inline void yki_queue_transfer(yki_queue *queue, yki_transfer transfer, void *to, const void *from,
                                      size_t bytes)
{
    queue->backend->transfer(queue, transfer,
                             &(yki_rect){.to = to, .from = from, .width = bytes, .rows = bytes > 0 ? 1 : 0});
}

/* The backend of that name, or NULL. "cpu", "far" and "null" are always there, "cuda" where this build has
 * it. Static storage. */
const yki_backend_ops *yki_backend_get(const char *name);
/* The one that runs are made for: the CPU's, or what YOKE_BACKEND names. */
const yki_backend_ops *yki_backend_of_runs(void);
/* YOKE_INVALID: YOKE_BACKEND names none that runs can be made for. */
yoke_status yki_backend_check(void);

#endif
