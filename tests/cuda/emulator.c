/* Fibers, their meetings, and the memory that a block shares. */
#include "cuda/emulator.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MOST_THREADS = 1024, WARP = 32, STACK = 1 << 16, SHARED = 48 << 10, MOST_SHARED = 32, VALUE = 8 };

typedef struct dim {
    unsigned x, y, z;
} dim;

/* What kernels see. */
const dim *yki_emulated_thread;
dim yki_emulated_block, yki_emulated_blocks, yki_emulated_threads;

/* Where threads wait until `all` have come. */
typedef struct meeting {
    int come, all;
} meeting;

typedef struct thread {
    dim index;
    void *stack_pointer;
    char *stack; /* NULL: it has not begun, or is done */
    const meeting *waits;
    unsigned exchanges;
} thread;

static struct {
    const yki_emulated_launch *launch;
    thread threads[MOST_THREADS];
    int nthreads, now, left;
    int ready[MOST_THREADS], first, nready; /* a ring */
    meeting barrier, warps[MOST_THREADS / WARP];
    unsigned char values[2][MOST_THREADS][VALUE];
    void *stack_pointer; /* of who runs the threads */
    char *stacks, *spare[MOST_THREADS];
    int nspare;
    uint64_t random;
    char shared[SHARED] __attribute__((aligned(16)));
    struct {
        const void *key;
        size_t at, bytes;
    } parts[MOST_SHARED];
    int nparts;
    char wrong[256];
} e;

#if defined __x86_64__
void yki_emulated_switch(void **from, void *to);
__asm__(".text\n.globl yki_emulated_switch\n.hidden yki_emulated_switch\nyki_emulated_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");

static void *prepared_stack(char *stack, void (*entry)(void))
{
    void **top = (void **)(void *)(stack + STACK - 64);
    *--top = NULL; /* where entry would return to: it does not */
    *--top = (void *)(uintptr_t)entry;
    return top - 6;
}
#else
#error "the emulator switches stacks of x86-64 only: build without YOKE_CUDA_TESTS"
#endif

static uint64_t draw(void)
{
    e.random ^= e.random << 13, e.random ^= e.random >> 7, e.random ^= e.random << 17;
    return e.random;
}

static void make_ready(int index)
{
    e.ready[(e.first + e.nready++) % MOST_THREADS] = index;
}

/* The next thread to run: in turn, or any. */
static int take_ready(void)
{
    if (e.launch->order == YKI_EMULATED_SHUFFLED) {
        int at = (e.first + (int)(draw() % (uint64_t)e.nready)) % MOST_THREADS, picked = e.ready[at];
        e.ready[at] = e.ready[e.first];
        e.ready[e.first] = picked;
    }
    int picked = e.ready[e.first];
    e.first = (e.first + 1) % MOST_THREADS;
    e.nready--;
    return picked;
}

/* Threads in the launch's order. */
static int in_order(int i, int count)
{
    return e.launch->order == YKI_EMULATED_BACKWARD ? count - 1 - i : i;
}

static void live(void);

/* The next thread runs, on a stack that is left. */
static void *next_stack_pointer(void)
{
    thread *next = &e.threads[e.now = take_ready()];
    yki_emulated_thread = &next->index;
    if (!next->stack) {
        next->stack = e.spare[--e.nspare];
        next->stack_pointer = prepared_stack(next->stack, live);
    }
    return next->stack_pointer;
}

/* Goes on with another thread, or with who runs them all. */
static void stop_running(void)
{
    thread *mine = &e.threads[e.now];
    yki_emulated_switch(&mine->stack_pointer, e.nready > 0 ? next_stack_pointer() : e.stack_pointer);
}

static void meet(meeting *m)
{
    if (++m->come < m->all) {
        e.threads[e.now].waits = m;
        stop_running();
        return;
    }
    m->come = 0;
    for (int i = 0; i < e.nthreads; i++) {
        int other = in_order(i, e.nthreads);
        if (e.threads[other].waits != m) continue;
        e.threads[other].waits = NULL;
        make_ready(other);
    }
}

void yki_emulated_barrier(void)
{
    meet(&e.barrier);
}

void yki_emulated_exchange(void *value, size_t bytes, unsigned lane_bits)
{
    unsigned which = e.threads[e.now].exchanges++ & 1; /* nobody is two ahead of another */
    memcpy(e.values[which][e.now], value, bytes);
    meet(&e.warps[e.now / WARP]);
    memcpy(value, e.values[which][(unsigned)e.now ^ lane_bits], bytes);
}

void *yki_emulated_shared(const void *key, size_t bytes)
{
    size_t at = 0;
    for (int i = 0; i < e.nparts; i++) {
        if (e.parts[i].key == key) return e.shared + e.parts[i].at;
        at = (e.parts[i].at + e.parts[i].bytes + 15) / 16 * 16;
    }
    if (e.nparts == MOST_SHARED || at + bytes > SHARED) {
        fprintf(stderr, "%s: more than %d bytes of shared memory\n", e.launch->kernel->name, SHARED);
        abort();
    }
    e.parts[e.nparts].key = key, e.parts[e.nparts].at = at, e.parts[e.nparts++].bytes = bytes;
    memset(e.shared + at, 0xff, bytes); /* NaNs of every type */
    return e.shared + at;
}

/* What a thread does, from its beginning to its end; its stack then is the next one's, if that has not begun.
 */
static void live(void)
{
    while (true) {
        e.launch->kernel->run(e.launch->args);
        thread *mine = &e.threads[e.now];
        char *stack = mine->stack;
        mine->stack = NULL;
        e.left--;
        e.spare[e.nspare++] = stack;
        void *spare;
        if (e.nready == 0) yki_emulated_switch(&spare, e.stack_pointer);
        void *next = next_stack_pointer();
        if (e.threads[e.now].stack != stack) yki_emulated_switch(&spare, next);
    }
}

static void begin_block(void)
{
    e.first = e.nready = e.nparts = 0;
    e.left = e.nthreads;
    e.barrier = (meeting){0, e.nthreads};
    for (int i = 0; i < e.nthreads / WARP; i++) e.warps[i] = (meeting){0, WARP};
    for (int i = 0; i < e.nthreads; i++) {
        e.threads[i] = (thread){.index = {(unsigned)i, 0, 0}};
        make_ready(in_order(i, e.nthreads));
    }
}

static bool run_block(void)
{
    begin_block();
    if (e.nready > 0) yki_emulated_switch(&e.stack_pointer, next_stack_pointer());
    if (e.left == 0) return true;
    snprintf(
        e.wrong, sizeof e.wrong,
        "%s, block %u of %u: %d of %d threads wait for others that never come: %d are at the block's barrier",
        e.launch->kernel->name, yki_emulated_block.x, yki_emulated_blocks.x, e.left, e.nthreads,
        e.barrier.come);
    return false;
}

static const char *refuse(const yki_emulated_launch *launch)
{
    if (launch->threads == 0 || launch->threads > MOST_THREADS || launch->threads % WARP != 0 ||
        launch->blocks_x == 0 || launch->blocks_x > INT32_MAX || launch->blocks_y == 0 ||
        launch->blocks_y > UINT16_MAX) {
        snprintf(e.wrong, sizeof e.wrong, "%s: %u x %u blocks of %u threads", launch->kernel->name,
                 launch->blocks_x, launch->blocks_y, launch->threads);
        return e.wrong;
    }
    if (e.stacks) return NULL;
    void *stacks = mmap(NULL, (size_t)MOST_THREADS * STACK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED) return "no memory for stacks";
    e.stacks = stacks;
    return NULL;
}

const char *yki_emulate(const yki_emulated_launch *launch)
{
    const char *wrong = refuse(launch);
    if (wrong) return wrong;
    e.launch = launch;
    e.nthreads = (int)launch->threads;
    e.random = launch->seed * 2 + 1;
    e.nspare = 0;
    for (int i = MOST_THREADS - 1; i >= 0; i--) e.spare[e.nspare++] = e.stacks + (size_t)i * STACK;
    yki_emulated_threads = (dim){launch->threads, 1, 1};
    yki_emulated_blocks = (dim){launch->blocks_x, launch->blocks_y, 1};
    uint64_t all = (uint64_t)launch->blocks_x * launch->blocks_y,
             first = launch->order == YKI_EMULATED_SHUFFLED ? draw() % all : 0;
    for (uint64_t i = 0; i < all; i++) {
        uint64_t block = launch->order == YKI_EMULATED_BACKWARD ? all - 1 - i : (first + i) % all;
        yki_emulated_block =
            (dim){(unsigned)(block % launch->blocks_x), (unsigned)(block / launch->blocks_x), 0};
        if (!run_block()) return e.wrong;
    }
    return NULL;
}
