/* What was put into streams, and when it is done. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "cuda/fake.h"

static CUstream streams; /* all that ever were: others may wait for one that is gone */
static uint64_t seed, random_state = 1;
static int reaching;

void fake_seed(uint64_t given)
{
    seed = given;
    random_state = given * 2 + 1;
}

uint64_t fake_draw(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return seed ? random_state : 0;
}

void fake_reach(bool reachable)
{
    reaching += reachable ? 1 : -1;
    if (reaching != (reachable ? 1 : 0)) return;
    for (int d = 0; d < FAKE_MOST_DEVICES; d++)
        for (fake_block *b = fake_contexts[d].blocks; b; b = b->next)
            mprotect(b->data, b->mapped, reachable ? PROT_READ | PROT_WRITE : PROT_NONE);
}

CUstream fake_stream_create(fake_context *context)
{
    CUstream stream = calloc(1, sizeof *stream);
    if (!stream) return NULL;
    stream->context = context;
    stream->next = streams;
    return streams = stream;
}

static void release(fake_work *w)
{
    free(w->args);
    w->args = NULL;
}

static void forget(CUstream stream)
{
    for (; stream->done < stream->put; stream->done++) release(&stream->work[stream->done % stream->room]);
}

void fake_stream_drop(CUstream stream)
{
    forget(stream);
    free(stream->work);
    stream->work = NULL;
    stream->room = 0;
    stream->dead = true;
}

void fake_forget(fake_context *context)
{
    for (CUstream s = streams; s; s = s->next)
        if (s->context == context && !s->dead) forget(s);
}

fake_work *fake_put(CUstream stream)
{
    if (stream->put - stream->done == stream->room) {
        uint64_t room = stream->room ? 2 * stream->room : 64;
        fake_work *work = calloc(room, sizeof *work);
        if (!work) abort();
        for (uint64_t i = stream->done; i < stream->put; i++) work[i % room] = stream->work[i % stream->room];
        free(stream->work);
        stream->work = work;
        stream->room = room;
    }
    fake_work *w = &stream->work[stream->put++ % stream->room];
    memset(w, 0, sizeof *w);
    return w;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static CUresult do_kernel(fake_work *w)
{
    if (w->fails) return w->fails;
    w->launch.args = w->args;
    w->launch.order = (yki_emulated_order)(fake_draw() % 3);
    w->launch.seed = fake_draw();
    const char *wrong = yki_emulate(&w->launch);
    if (wrong) FAKE_FINDING("%s", wrong);
    return wrong ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
}

static CUresult do_work(fake_work *w)
{
    switch (w->kind) {
    case FAKE_KERNEL:
        return do_kernel(w);
    case FAKE_COPY:
        for (size_t i = 0; i < w->copy.rows; i++)
            memcpy(w->copy.to + i * w->copy.to_step, w->copy.from + i * w->copy.from_step, w->copy.width);
        break;
    case FAKE_FILL:
        memset(w->copy.to, w->byte, w->copy.width);
        break;
    case FAKE_EVENT:
        if (w->event && w->event->serial == w->serial) w->event->ns = now_ns();
        break;
    case FAKE_WAIT:
        break;
    }
    return CUDA_SUCCESS;
}

static CUresult step(CUstream stream)
{
    fake_work *w = &stream->work[stream->done % stream->room];
    CUresult error = do_work(w);
    release(w);
    stream->done++;
    if (error == CUDA_SUCCESS) return error;
    stream->context->lost = error;
    fake_forget(stream->context);
    return error;
}

static bool is_held(const fake_work *w)
{
    return w->hangs || (w->kind == FAKE_WAIT && w->waits->done < w->position);
}

/* Something that nobody asked for, of any stream where something can be done. */
static void wander(void)
{
    int count = 0;
    for (CUstream s = streams; s; s = s->next)
        count += s->done < s->put && !is_held(&s->work[s->done % s->room]);
    int pick = count ? (int)(fake_draw() % (uint64_t)count) : -1;
    for (CUstream s = streams; s && pick >= 0; s = s->next)
        if (s->done < s->put && !is_held(&s->work[s->done % s->room]) && pick-- == 0) step(s);
}

static CUresult run(CUstream stream, uint64_t position)
{
    while (stream->done < position) {
        fake_work *w = &stream->work[stream->done % stream->room];
        if (w->hangs) return CUDA_ERROR_NOT_READY;
        if (w->kind == FAKE_WAIT && w->waits->done < w->position) {
            CUresult error = run(w->waits, w->position);
            if (error != CUDA_SUCCESS) return error;
        }
        if (fake_draw() % 4 == 1) wander();
        if (stream->done >= position) break;
        if (is_held(&stream->work[stream->done % stream->room])) continue;
        CUresult error = step(stream);
        if (error != CUDA_SUCCESS) return error;
    }
    return stream->context->lost;
}

CUresult fake_run(CUstream stream, uint64_t position)
{
    if (stream->done >= position) return stream->context->lost;
    fake_reach(true);
    CUresult error = run(stream, position);
    fake_reach(false);
    return error;
}
