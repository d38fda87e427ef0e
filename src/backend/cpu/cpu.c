/* The CPU backend: a device is a share of the cores, its memory pages from the system, its queue the calling
 * thread. */
#include "backend/cpu/cpu.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#ifdef YOKE_HAVE_OPENMP
#include <omp.h>
#endif

#include "backend/at_once.h"
#include "backend/blocks.h"
#include "backend/cpu/machine.h"
#include "backend/signature.h"
#include "base/fail.h"

/* One implementation with what it made for one set of shapes. The key is the launch with data pointers
 * cleared. */
struct yki_prepared {
    yki_prepared *next;
    const yki_cpu_kernel *implementation;
    void *state;
    yki_launch shapes;
    yki_attr attr;
    bool has_attr;
};

struct yki_device {
    int threads;
    yki_blocks blocks;
    yki_prepared *prepared[YKI_KERNEL_COUNT];
};

static int cpu_count(void)
{
    return yki_machine_cores();
}

static int64_t cpu_memory_bytes(int index)
{
    (void)index; /* all devices of a machine share its memory */
    return yki_machine_memory_bytes();
}

static yoke_status cpu_create(int index, int threads, yki_device **device_out)
{
    (void)index;
    if (threads < 1) return yki_fail(YOKE_INVALID, "a device needs at least 1 thread, not %d", threads);
    YKI_TRY(yki_isa_check());
#ifdef YOKE_HAVE_OPENMP
    /* OpenMP would make a smaller team without a word, and oneDNN leave out what the others were to do */
    if (threads > omp_get_thread_limit())
        return yki_fail(
            YOKE_INVALID,
            "a device is to have %d threads, and OMP_THREAD_LIMIT allows %d: take so many (layout.threads), "
            "or raise it",
            threads, omp_get_thread_limit());
#endif
    yki_device *device = calloc(1, sizeof *device);
    if (device == NULL) return yki_fail_memory("a device");
    device->threads = threads;
    *device_out = device;
    return YOKE_OK;
}

static void destroy_prepared(yki_prepared *prepared)
{
    if (prepared->implementation->discard != NULL) prepared->implementation->discard(prepared->state);
    free(prepared);
}

static void cpu_destroy(yki_device *device)
{
    if (device == NULL) return;
    for (int i = 0; i < YKI_KERNEL_COUNT; i++)
        while (device->prepared[i] != NULL) {
            yki_prepared *first = device->prepared[i];
            device->prepared[i] = first->next;
            destroy_prepared(first);
        }
    yki_blocks_release(&device->blocks);
    free(device);
}

/* What the calling thread's teams are. They are its program's, and a device's for the time of a kernel:
 * libraries take as many threads as the caller of the moment may have. */
typedef struct team {
    int threads;
    bool adjusts;
} team;

static team take_team(int threads)
{
    team before = {.threads = threads};
#ifdef YOKE_HAVE_OPENMP
    before = (team){omp_get_max_threads(), omp_get_dynamic() != 0};
    if (before.threads != threads) omp_set_num_threads(threads);
    if (before.adjusts) omp_set_dynamic(0); /* fewer threads than asked for, by the machine's load */
#endif
    return before;
}

static void put_back(team before, int threads)
{
#ifdef YOKE_HAVE_OPENMP
    if (before.threads != threads) omp_set_num_threads(before.threads);
    if (before.adjusts) omp_set_dynamic(1);
#else
    (void)before, (void)threads;
#endif
}

static yoke_status cpu_bind(yki_device *device, int local_rank, int local_ranks)
{
    take_team(device->threads); /* the thread is the device's: kernels find it so */
    int64_t cores = yki_machine_cores();
    if (local_ranks < 2 || local_rank < 0 || local_rank >= local_ranks)
        return YOKE_OK; /* one rank has all the cores */
    if ((int64_t)local_ranks * device->threads > cores)
        return YOKE_OK; /* more threads than cores: let the system place them */
    int first = (int)(local_rank * cores / local_ranks), end = (int)((local_rank + 1) * cores / local_ranks);
    yki_machine_bind(first, end - first);
    return YOKE_OK;
}

static yoke_status cpu_alloc(yki_device *device, size_t bytes, void **data_out)
{
    return yki_blocks_alloc(&device->blocks, bytes, data_out);
}

static void cpu_free(yki_device *device, void *data)
{
    yki_blocks_free(&device->blocks, data);
}

static int64_t cpu_peak_bytes(const yki_device *device)
{
    return device->blocks.peak_bytes;
}

static size_t cpu_workspace_bytes(const yki_launch *shapes, int threads)
{
    const yki_cpu_kernel *implementation = yki_cpu_select(yki_cpu_best(), shapes, threads);
    return implementation->workspace_bytes != NULL ? implementation->workspace_bytes(shapes, threads) : 0;
}

static bool same_view(const yki_view *a, const yki_view *b)
{
    return a->dtype == b->dtype && a->ndim == b->ndim &&
           memcmp(a->dims, b->dims, (size_t)a->ndim * sizeof a->dims[0]) == 0;
}

static bool same_rows(const yki_positions *a, const yki_positions *b)
{
    return a->first == b->first && a->split == b->split && a->jump == b->jump;
}

static bool same_attr(const yki_attr *a, const yki_attr *b)
{
    return a->activation == b->activation && a->eps == b->eps && a->p == b->p && a->of_a == b->of_a &&
           a->of_b == b->of_b && a->key == b->key && a->kernel == b->kernel && a->stride == b->stride &&
           a->padding == b->padding && a->causal == b->causal && a->window == b->window &&
           a->inverse == b->inverse && a->theta == b->theta && a->scaling.factor == b->scaling.factor &&
           a->scaling.low == b->scaling.low && a->scaling.high == b->scaling.high &&
           a->scaling.context == b->scaling.context && a->width == b->width && a->group == b->group &&
           a->first_group == b->first_group && a->offset == b->offset && a->global == b->global &&
           a->outer == b->outer && a->local == b->local && a->inner == b->inner && a->length == b->length &&
           same_rows(&a->rows, &b->rows) && same_rows(&a->keys, &b->keys);
}

static bool same_shapes(const yki_prepared *prepared, const yki_launch *shapes)
{
    if (prepared->shapes.nviews != shapes->nviews || prepared->has_attr != (shapes->attr != NULL))
        return false;
    if (prepared->has_attr && !same_attr(&prepared->attr, shapes->attr)) return false;
    for (int i = 0; i < shapes->nviews; i++)
        if (!same_view(&prepared->shapes.views[i], &shapes->views[i])) return false;
    return true;
}

/* Never gives NULL: what is kept is at least which implementation serves, so that a launch need not ask
 * again. */
static yoke_status cpu_prepare(yki_device *device, const yki_launch *shapes, yki_prepared **prepared_out)
{
    assert((unsigned)shapes->kernel < YKI_KERNEL_COUNT && shapes->nviews <= YKI_MAX_VIEWS);
    assert(yki_launch_misfit(shapes) == -1);
    for (yki_prepared *known = device->prepared[shapes->kernel]; known != NULL; known = known->next)
        if (same_shapes(known, shapes)) {
            *prepared_out = known;
            return YOKE_OK;
        }
    yki_prepared *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) return yki_fail_memory("a prepared kernel");
    fresh->implementation = yki_cpu_select(yki_cpu_best(), shapes, device->threads);
    fresh->shapes = *shapes;
    for (int i = 0; i < shapes->nviews; i++) fresh->shapes.views[i].data = NULL;
    fresh->has_attr = shapes->attr != NULL;
    if (fresh->has_attr) fresh->attr = *shapes->attr;
    if (fresh->implementation->prepare != NULL) {
        yoke_status status = fresh->implementation->prepare(shapes, device->threads, &fresh->state);
        if (status != YOKE_OK) {
            free(fresh);
            return status;
        }
    }
    fresh->next = device->prepared[shapes->kernel];
    device->prepared[shapes->kernel] = fresh;
    *prepared_out = fresh;
    return YOKE_OK;
}

/* Events: work is done when the call returns that put it in, and any address will do. */
static yoke_status cpu_queue_create(yki_device *device, yki_queue **queue_out)
{
    yki_queue *queue = malloc(sizeof *queue);
    if (queue == NULL) return yki_fail_memory("a queue");
    *queue = (yki_queue){&yki_backend_cpu, device};
    *queue_out = queue;
    return YOKE_OK;
}

static void cpu_queue_destroy(yki_queue *queue)
{
    free(queue);
}

static void cpu_launch(yki_queue *queue, yki_prepared *prepared, const yki_launch *launch)
{
    const yki_device *device = queue->device;
    assert(!prepared || prepared->shapes.kernel == launch->kernel);
    const yki_cpu_kernel *kernel =
        prepared ? prepared->implementation : yki_cpu_select(yki_cpu_best(), launch, device->threads);
    assert(prepared || kernel->prepare == NULL);
    team before = take_team(device->threads);
    kernel->run(launch, prepared ? prepared->state : NULL, device->threads);
    put_back(before, device->threads);
}

static void cpu_transfer(yki_queue *queue, yki_transfer transfer, const yki_rect *rect)
{
    (void)queue, (void)transfer;
    yki_rect_copy(rect);
}

static void cpu_fill(yki_queue *queue, void *data, int byte, size_t bytes)
{
    (void)queue;
    memset(data, byte, bytes);
}

const yki_backend_ops yki_backend_cpu = {
    .name = "cpu",
    .memory = YKI_MEMORY_HOST,
    .count = cpu_count,
    .memory_bytes = cpu_memory_bytes,
    .device_create = cpu_create,
    .device_destroy = cpu_destroy,
    .device_bind = cpu_bind,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .peak_bytes = cpu_peak_bytes,
    .workspace_bytes = cpu_workspace_bytes,
    .prepare = cpu_prepare,
    .queue_create = cpu_queue_create,
    .queue_destroy = cpu_queue_destroy,
    .launch = cpu_launch,
    .transfer = cpu_transfer,
    .fill = cpu_fill,
    YKI_AT_ONCE,
};
