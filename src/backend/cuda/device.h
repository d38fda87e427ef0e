/* Inside the CUDA backend: what devices and queues know of each other. */
#ifndef YKI_BACKEND_CUDA_DEVICE_H
#define YKI_BACKEND_CUDA_DEVICE_H

#include "backend/backend.h"
#include "backend/cuda/driver.h"
#include "backend/cuda/list.h"

/* A GPU of this machine, opened once for the process: its primary context, and the kernels in it. */
typedef struct yki_cuda_gpu {
    CUdevice device;
    CUcontext context;
    int index;
    char name[64];
    CUfunction functions[YKI_CUDA_KERNELS];
} yki_cuda_gpu;

typedef struct yki_cuda_block {
    struct yki_cuda_block *next;
    CUdeviceptr data;
    size_t bytes; /* as asked for */
} yki_cuda_block;

struct yki_device {
    const yki_cuda_driver *driver;
    const yki_cuda_gpu *gpu;
    yki_cuda_block *blocks;
    int64_t now_bytes, peak_bytes;
    yoke_error
        failed; /* the first failure of its queues; status YOKE_OK: none. Nothing is put in from then on */
    const char *last; /* the kernel that was put in last */
};

/* The device's context is this thread's from now on. */
void yki_cuda_enter(yki_device *device);
/* Notes what failed, unless something has before; `doing`: "a launch of KERNEL". True: nothing has. */
bool yki_cuda_noted(yki_device *device, CUresult error, const char *doing);
/* The device's failure as this thread's record. */
yoke_status yki_cuda_told(const yki_device *device);

yoke_status yki_cuda_queue_create(yki_device *device, yki_queue **queue_out);
void yki_cuda_queue_destroy(yki_queue *queue);
void yki_cuda_launch(yki_queue *queue, yki_prepared *prepared, const yki_launch *launch);
void yki_cuda_transfer(yki_queue *queue, yki_transfer transfer, const yki_rect *rect);
void yki_cuda_fill(yki_queue *queue, void *data, int byte, size_t bytes);
void yki_cuda_stamp(yki_queue *queue, double *ns_out);
yoke_status yki_cuda_event_create(yki_device *device, yki_event **event_out);
void yki_cuda_event_destroy(yki_event *event);
void yki_cuda_record(yki_queue *queue, yki_event *event);
void yki_cuda_wait(yki_queue *queue, yki_event *event);
yoke_status yki_cuda_reach(yki_event *event);
yoke_status yki_cuda_synchronize(yki_queue *queue);

#endif
