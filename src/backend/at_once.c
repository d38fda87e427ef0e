#include "backend/at_once.h"

#include "base/clock.h"

void *yki_at_once_host_address(yki_device *device, void *data)
{
    (void)device;
    return data;
}

void yki_at_once_stamp(yki_queue *queue, double *ns_out)
{
    (void)queue;
    *ns_out = yki_now_ns();
}

yoke_status yki_at_once_event_create(yki_device *device, yki_event **event_out)
{
    *event_out = (yki_event *)device;
    return YOKE_OK;
}

void yki_at_once_event_destroy(yki_event *event)
{
    (void)event;
}

void yki_at_once_mark(yki_queue *queue, yki_event *event)
{
    (void)queue, (void)event;
}

yoke_status yki_at_once_reach(yki_event *event)
{
    (void)event;
    return YOKE_OK;
}

yoke_status yki_at_once_synchronize(yki_queue *queue)
{
    (void)queue;
    return YOKE_OK;
}
