/* The queue of a backend whose operations are done when their call returns: nothing is ever waited for, and
 * device memory is the host's. */
#ifndef YKI_BACKEND_AT_ONCE_H
#define YKI_BACKEND_AT_ONCE_H

#include "backend/backend.h"

void *yki_at_once_host_address(yki_device *device, void *data);
void yki_at_once_stamp(yki_queue *queue, double *ns_out);
/* An event that has always happened: any address will do. */
yoke_status yki_at_once_event_create(yki_device *device, yki_event **event_out);
void yki_at_once_event_destroy(yki_event *event);
void yki_at_once_mark(yki_queue *queue, yki_event *event);
yoke_status yki_at_once_reach(yki_event *event);
yoke_status yki_at_once_synchronize(yki_queue *queue);

/* All of them, as fields of a backend's table. */
#define YKI_AT_ONCE                                                                                          \
    .host_address = yki_at_once_host_address, .stamp = yki_at_once_stamp,                                    \
    .event_create = yki_at_once_event_create, .event_destroy = yki_at_once_event_destroy,                    \
    .record = yki_at_once_mark, .wait = yki_at_once_mark, .reach = yki_at_once_reach,                        \
    .synchronize = yki_at_once_synchronize

#endif
