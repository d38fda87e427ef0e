/* Inside the fake driver: a libcuda.so.1 whose devices are this machine's memory and whose kernels are the
 * emulator's. What is put into a stream is done as late as may be: when somebody asks whether an event has
 * come, what that event needs is done, and nothing else. A device's memory can be neither read nor written
 * but meanwhile. It is stricter than the real one: what the manual calls undefined or slow is refused, with a
 * line on standard error.
 *
 * FAKE_CUDA_DEVICES (1), FAKE_CUDA_MEMORY (bytes of each; 8 GiB), FAKE_CUDA_DRIVER (13000): what there is.
 * FAKE_CUDA_FAIL=launch:N:ERROR, alloc:N:ERROR, load:N:ERROR, call:N:ERROR, hang:N: the N-th launch,
 * allocation, image or call of any kind, from 1, fails with that CUresult; of launches, if it is one that a
 * context does not survive, when the kernel runs, and every call after it. hang: the N-th launch never ends.
 * FAKE_CUDA_SEED: not 0: other runnable work is done too, by lot, and some questions are answered too early.
 */
#ifndef YKI_TESTS_CUDA_FAKE_H
#define YKI_TESTS_CUDA_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#pragma GCC visibility push(default)
#include <cuda.h>
#pragma GCC visibility pop

#include "cuda/emulator.h"

enum { FAKE_MOST_DEVICES = 8, FAKE_MOST_ARGS = 4096 };

typedef struct fake_block {
    struct fake_block *next;
    char *data;
    size_t bytes, mapped;
} fake_block;

typedef struct CUctx_st {
    int device;
    bool retained;
    CUresult lost; /* what no call survives */
    size_t used;
    fake_block *blocks;
} fake_context;

/* What was put into a stream. */
typedef struct fake_work {
    enum { FAKE_KERNEL, FAKE_COPY, FAKE_FILL, FAKE_EVENT, FAKE_WAIT } kind;
    yki_emulated_launch launch;
    void *args;
    struct {
        char *to;
        const char *from;
        size_t width, rows, to_step, from_step;
    } copy;
    int byte;
    CUevent event;
    uint64_t serial; /* of the event's record */
    CUstream waits;  /* for that stream to come to `position` */
    uint64_t position;
    CUresult fails;
    bool hangs;
} fake_work;

struct CUstream_st {
    CUstream next;
    fake_context *context;
    fake_work *work; /* [room], a ring by number */
    uint64_t put, done, room;
    bool dead;
};

struct CUevent_st {
    fake_context *context;
    bool timed;
    CUstream stream; /* NULL: never recorded */
    uint64_t position, serial;
    double ns;
};

/* streams.c: all under the fake's lock. */
fake_work *fake_put(CUstream stream); /* zeroed, to be filled in */
/* Does what it takes for a stream to come to a position; CUDA_ERROR_NOT_READY: it never will. */
CUresult fake_run(CUstream stream, uint64_t position);
CUstream fake_stream_create(fake_context *context);
void fake_stream_drop(CUstream stream);
/* What is left in a context's streams is not done any more. */
void fake_forget(fake_context *context);
uint64_t fake_draw(void);
void fake_seed(uint64_t seed);
/* Whether a device's memory may be read and written. */
void fake_reach(bool reachable);

/* driver.c */
extern fake_context fake_contexts[FAKE_MOST_DEVICES];

#define FAKE_FINDING(...) (fprintf(stderr, "fake CUDA: " __VA_ARGS__), fputc('\n', stderr))

#endif
