/* Backends: devices with one allocator each, and a queue that kernels are enqueued on. The CPU's queue runs
 * each kernel at once on the calling thread's team; a GPU's runs behind the caller. `null` computes nothing.
 */
#ifndef YKI_BACKEND_BACKEND_H
#define YKI_BACKEND_BACKEND_H

#include "backend/kernel.h"
#include "yoke/status.h"

typedef struct yki_device yki_device; /* one device as one rank sees it; used by one thread at a time */
typedef struct yki_prepared
    yki_prepared; /* a kernel made ready for shapes: primitives created, nothing left to allocate */
typedef struct yki_event yki_event;

typedef struct yki_backend_ops {
    const char *name; /* "cpu", "cuda", "null" */
    /* How many devices there are; any index is legal on the CPU. */
    int (*count)(void);
    /* Bytes of memory a device has, for a plan that names no limit. */
    int64_t (*memory_bytes)(int index);

    /* threads: the team each kernel uses, whichever thread launches it. */
    yoke_status (*device_create)(int index, int threads, yki_device **device_out);
    void (*device_destroy)(yki_device *device);
    /* Called once on a thread that is the device's from then on, and launches: it is bound to the rank's
     * share of the cores. Not for a caller's thread, whose binding and teams are its program's. */
    yoke_status (*device_bind)(yki_device *device, int local_rank, int local_ranks);

    /* The device's one allocator, 64-byte aligned, zero-filled; it counts. YOKE_SYSTEM when the system
     * refuses. */
    yoke_status (*alloc)(yki_device *device, size_t bytes, void **data_out);
    void (*free)(yki_device *device, void *data);
    int64_t (*peak_bytes)(const yki_device *device);

    /* Scratch bytes that a launch of these shapes (data pointers ignored) needs with so many threads; needs
     * no device, so that plans can be made before there is one. The same answer later, for the same shapes.
     */
    size_t (*workspace_bytes)(const yki_launch *shapes, int threads);
    /* Makes a launch of these shapes ready; a launch with the same shapes then allocates nothing. May return
     * NULL in *prepared_out where nothing needs preparing. Owned by the device: destroyed with it, shared by
     * equal shapes. */
    yoke_status (*prepare)(yki_device *device, const yki_launch *shapes, yki_prepared **prepared_out);
    /* prepared NULL: legal for kernels that nothing is prepared for (casts, zeros, sums, optimizers). */
    void (*launch)(yki_device *device, yki_prepared *prepared, const yki_launch *launch);

    /* The queue. record marks the work enqueued so far; wait holds back later work until a mark; synchronize
     * returns when everything enqueued is done. Events belong to their device. On the CPU these do nothing.
     */
    yoke_status (*event_create)(yki_device *device, yki_event **event_out);
    void (*record)(yki_device *device, yki_event *event);
    void (*wait)(yki_device *device, yki_event *event);
    yoke_status (*synchronize)(yki_device *device);
} yki_backend_ops;

/* The backend of that name, or NULL. "cpu" and "null" are always there. Static storage. */
const yki_backend_ops *yki_backend_get(const char *name);

#endif
