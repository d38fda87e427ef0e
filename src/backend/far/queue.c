/* Queues that do nothing until they must: a thread each, and a list of what was put in. */
#include "backend/far/queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "backend/cpu/cpu.h"
#include "backend/far/far.h"
#include "base/clock.h"
#include "base/fail.h"

enum { MOST = 4096 }; /* tasks that are put off: who puts in more has half of them done */

typedef struct queue queue;

struct yki_event {
    queue *of; /* NULL: not recorded yet */
    uint64_t at;
};

/* What was put in. run: in the order of the list, on the queue's thread. */
typedef struct task {
    void (*run)(queue *q, struct task *t);
    yki_launch launch;
    yki_attr attr;
    yki_update update;
    yki_prepared *prepared;
    yki_rect rect;
    int byte;
    double *ns;
    yki_event event;
} task;

struct queue {
    yki_queue base;
    yki_queue *cpu;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wanted_more, did_more;
    uint64_t put, wanted, done; /* tasks since the beginning */
    bool quit;
    task tasks[MOST];
};

/* Has all before `at` done, and waits for it. */
static void demand(queue *q, uint64_t at)
{
    pthread_mutex_lock(&q->lock);
    if (q->wanted < at) {
        q->wanted = at;
        pthread_cond_signal(&q->wanted_more);
    }
    while (q->done < at) pthread_cond_wait(&q->did_more, &q->lock);
    pthread_mutex_unlock(&q->lock);
}

static void *work(void *of)
{
    queue *q = of;
    pthread_mutex_lock(&q->lock);
    while (true) {
        while (q->done == q->wanted && !q->quit) pthread_cond_wait(&q->wanted_more, &q->lock);
        if (q->quit) break;
        task *next = &q->tasks[q->done % MOST];
        pthread_mutex_unlock(&q->lock);
        next->run(q, next);
        pthread_mutex_lock(&q->lock);
        q->done++;
        pthread_cond_broadcast(&q->did_more);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

/* Room for a task, which the caller fills in and then puts in; nobody looks at it before. */
static task *begin(queue *q, void (*run)(queue *q, task *t))
{
    if (q->put >= MOST) demand(q, q->put - MOST / 2);
    task *next = &q->tasks[q->put % MOST];
    next->run = run;
    return next;
}

static void put_in(queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->put++;
    pthread_mutex_unlock(&q->lock);
}

yoke_status yki_far_queue_create(yki_device *device, yki_queue **queue_out)
{
    queue *q = calloc(1, sizeof *q);
    if (!q) return yki_fail_memory("a queue");
    q->base = (yki_queue){&yki_backend_far, device};
    yoke_status status = yki_backend_cpu.queue_create(yki_far_cpu(device), &q->cpu);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->wanted_more, NULL);
    pthread_cond_init(&q->did_more, NULL);
    if (status == YOKE_OK && pthread_create(&q->thread, NULL, work, q) != 0)
        status = yki_fail(YOKE_SYSTEM, "the system gives no thread for a queue");
    if (status != YOKE_OK) {
        if (q->cpu) yki_backend_cpu.queue_destroy(q->cpu);
        free(q);
        return status;
    }
    *queue_out = &q->base;
    return YOKE_OK;
}

void yki_far_queue_destroy(yki_queue *base)
{
    queue *q = (queue *)base;
    if (!q) return;
    pthread_mutex_lock(&q->lock);
    q->quit = true; /* what nobody wanted is not done, as in a run that was lost */
    pthread_cond_signal(&q->wanted_more);
    pthread_mutex_unlock(&q->lock);
    pthread_join(q->thread, NULL);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->wanted_more);
    pthread_cond_destroy(&q->did_more);
    yki_backend_cpu.queue_destroy(q->cpu);
    free(q);
}

static void run_launch(queue *q, task *t)
{
    yki_backend_cpu.launch(q->cpu, t->prepared, &t->launch);
}

void yki_far_launch(yki_queue *base, yki_prepared *prepared, const yki_launch *launch)
{
    queue *q = (queue *)base;
    task *next = begin(q, run_launch);
    next->prepared = prepared;
    next->launch = *launch;
    if (launch->attr) {
        next->attr = *launch->attr;
        next->launch.attr = &next->attr;
    }
    if (launch->update) {
        next->update = *launch->update;
        next->launch.update = &next->update;
    }
    for (int i = 0; i < launch->nviews; i++) {
        const yki_view *view = &launch->views[i];
        size_t bytes = (size_t)yki_view_elems(view) * yki_dtype_bytes(view->dtype);
        next->launch.views[i].data = yki_far_address(base->device, view->data, bytes);
    }
    next->launch.loss = yki_far_address(base->device, launch->loss, sizeof *launch->loss);
    next->launch.workspace = yki_far_address(base->device, launch->workspace, launch->workspace_bytes);
    put_in(q);
}

static void run_transfer(queue *q, task *t)
{
    (void)q;
    yki_rect_copy(&t->rect);
}

void yki_far_transfer(yki_queue *base, yki_transfer transfer, const yki_rect *rect)
{
    queue *q = (queue *)base;
    if (rect->rows == 0) return;
    task *next = begin(q, run_transfer);
    next->rect = *rect;
    if (transfer != YKI_DOWNLOAD)
        next->rect.to =
            yki_far_address(base->device, rect->to, (rect->rows - 1) * rect->to_step + rect->width);
    if (transfer != YKI_UPLOAD)
        next->rect.from =
            yki_far_address(base->device, rect->from, (rect->rows - 1) * rect->from_step + rect->width);
    put_in(q);
}

static void run_fill(queue *q, task *t)
{
    (void)q;
    memset(t->rect.to, t->byte, t->rect.width);
}

void yki_far_fill(yki_queue *base, void *data, int byte, size_t bytes)
{
    queue *q = (queue *)base;
    task *next = begin(q, run_fill);
    next->rect = (yki_rect){.to = yki_far_address(base->device, data, bytes), .width = bytes};
    next->byte = byte;
    put_in(q);
}

static void run_stamp(queue *q, task *t)
{
    (void)q;
    *t->ns = yki_now_ns();
}

void yki_far_stamp(yki_queue *base, double *ns_out)
{
    queue *q = (queue *)base;
    begin(q, run_stamp)->ns = ns_out;
    put_in(q);
}

yoke_status yki_far_event_create(yki_device *device, yki_event **event_out)
{
    (void)device;
    yki_event *event = calloc(1, sizeof *event);
    if (!event) return yki_fail_memory("an event");
    *event_out = event;
    return YOKE_OK;
}

void yki_far_event_destroy(yki_event *event)
{
    free(event);
}

void yki_far_record(yki_queue *base, yki_event *event)
{
    queue *q = (queue *)base;
    *event = (yki_event){q, q->put};
}

static void run_wait(queue *q, task *t)
{
    (void)q;
    demand(t->event.of, t->event.at);
}

void yki_far_wait(yki_queue *base, yki_event *event)
{
    queue *q = (queue *)base;
    if (!event->of) return;
    begin(q, run_wait)->event = *event;
    put_in(q);
}

yoke_status yki_far_reach(yki_event *event)
{
    if (event->of) demand(event->of, event->at);
    return YOKE_OK;
}

yoke_status yki_far_synchronize(yki_queue *base)
{
    queue *q = (queue *)base;
    demand(q, q->put);
    return YOKE_OK;
}
