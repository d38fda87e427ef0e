/* Queues of the backend that is far away: see yki_backend_ops. */
#ifndef YKI_BACKEND_FAR_QUEUE_H
#define YKI_BACKEND_FAR_QUEUE_H

#include "backend/backend.h"

/* far.c: where a told address of `bytes` bytes lies. */
void *yki_far_address(const yki_device *device, const void *told, size_t bytes);
/* far.c: whose kernels run. */
yki_device *yki_far_cpu(const yki_device *device);

yoke_status yki_far_queue_create(yki_device *device, yki_queue **queue_out);
void yki_far_queue_destroy(yki_queue *queue);
void yki_far_launch(yki_queue *queue, yki_prepared *prepared, const yki_launch *launch);
void yki_far_transfer(yki_queue *queue, yki_transfer transfer, const yki_rect *rect);
void yki_far_fill(yki_queue *queue, void *data, int byte, size_t bytes);
void yki_far_stamp(yki_queue *queue, double *ns_out);
yoke_status yki_far_event_create(yki_device *device, yki_event **event_out);
void yki_far_event_destroy(yki_event *event);
void yki_far_record(yki_queue *queue, yki_event *event);
void yki_far_wait(yki_queue *queue, yki_event *event);
yoke_status yki_far_reach(yki_event *event);
yoke_status yki_far_synchronize(yki_queue *queue);

#endif
