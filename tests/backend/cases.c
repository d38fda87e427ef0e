/* Launches for tests: operands, random contents. */
#include "backend/cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/reference/reference.h"
#include "backend/signature.h"
#include "base/rng.h"

double case_random(uint64_t seed, uint64_t counter)
{
    return 2.0 * yki_rng_uniform(seed, counter) - 1.0;
}

typedef struct shape_letters {
    int64_t of[128];
} shape_letters;

static shape_letters read_shape(const char *text)
{
    shape_letters shape = {{0}};
    for (int digit = 0; digit <= 9; digit++) shape.of['0' + digit] = digit;
    while (*text != '\0') {
        char letter = *text++;
        if (letter != ' ') shape.of[(int)letter] = strtoll(text, (char **)&text, 10);
    }
    if (shape.of['s'] > 0) { /* images: what the window leaves of them */
        int64_t pad = 2 * shape.of['q'];
        shape.of['y'] = (shape.of['h'] + pad - shape.of['k']) / shape.of['s'] + 1;
        shape.of['z'] = (shape.of['w'] + pad - shape.of['k']) / shape.of['s'] + 1;
    }
    return shape;
}

/* The type of an operand where activations have `type`; of those that may be of several, one by `draw`. */
static yki_dtype type_of(char kind, yki_dtype type, uint64_t draw)
{
    bool doubles = type == YKI_REFERENCE_F64;
    switch (kind) {
    case 'x':
    case 'z':
        return type;
    case 'X':
        return doubles ? type : type == YKI_BF16 ? YKI_F32 : YKI_BF16;
    case 'h':
        return doubles ? type : YKI_BF16;
    case 's':
    case 'v':
        return doubles || draw % 2 == 0 ? type : YKI_F32;
    case 'f':
    case 'p':
        return doubles ? type : YKI_F32;
    default:
        return YKI_I32;
    }
}

static size_t element_bytes(yki_dtype type)
{
    return type == YKI_REFERENCE_F64 ? 8 : yki_dtype_bytes(type);
}

/* A pixel of window `at` of a pool, at random. */
static int64_t pool_pixel(const shape_letters *shape, uint64_t seed, int64_t at)
{
    int64_t in_plane = at % (shape->of['y'] * shape->of['z']);
    int64_t r = in_plane / shape->of['z'], c = in_plane % shape->of['z'], k = shape->of['k'];
    int64_t pick = (int64_t)yki_rng_below(seed, (uint64_t)at, (uint64_t)(k * k));
    return (r * shape->of['s'] + pick / k) * shape->of['w'] + c * shape->of['s'] + pick % k;
}

static double random_value(char kind, const shape_letters *shape, uint64_t seed, int64_t i)
{
    double u = case_random(seed, (uint64_t)i);
    switch (kind) {
    case 'p':
        return 0.6 + 0.5 * u;
    case 'i':
    case 't':
        return floor((u + 1.0) / 2.0 * (double)(shape->of['V'] + 2)) - 1.0 + (double)shape->of['@'];
    case 'a':
        return (double)pool_pixel(shape, seed, i);
    case 'j':
        return 0;
    default:
        return 2.0 * u + case_random(seed ^ 77, (uint64_t)i);
    }
}

static void *aligned_block(size_t bytes)
{
    void *data = NULL;
    if (posix_memalign(&data, 64, bytes + (bytes == 0)) != 0) abort();
    return data;
}

static void add_view(kernel_case *c, const yki_word *word, const shape_letters *shape, yki_dtype type,
                     uint64_t seed)
{
    int index = c->launch.nviews++;
    yki_view *view = &c->launch.views[index];
    view->dtype = type_of(word->type, type, seed + (uint64_t)index);
    view->ndim = word->nletters;
    for (int i = 0; i < word->nletters; i++) view->dims[i] = shape->of[(int)word->letters[i]];
    int64_t elems = yki_view_elems(view);
    c->bytes[index] = (size_t)elems * element_bytes(view->dtype);
    view->data = aligned_block(c->bytes[index]);
    seed = yki_rng_bits(seed, (uint64_t)index);
    for (int64_t i = 0; i < elems; i++) yki_set(view, i, random_value(word->type, shape, seed, i));
}

void case_make(kernel_case *c, yki_kernel kernel, const char *shape_text, yki_dtype type, uint64_t seed)
{
    memset(c, 0, sizeof *c);
    shape_letters shape = read_shape(shape_text);
    const int64_t *of = shape.of;
    c->attr = (yki_attr){.eps = 1e-5,
                         .p = 0.3,
                         .of_a = -4.775,
                         .of_b = 2.0315,
                         .momentum = 0.1,
                         .key = 1234567,
                         .kernel = of['k'],
                         .stride = of['s'],
                         .padding = of['q'],
                         .causal = of['c'] != 0,
                         .window = of['W'],
                         .offset = of['@'],
                         .global = of['g'],
                         .outer = of['o'],
                         .local = of['l'],
                         .inner = of['i'],
                         .inverse = of['I'] != 0,
                         .theta = 100,
                         .scaling = {(double)of['f'], 1, 4, 64},
                         .width = of['d'],
                         .group = of['u'],
                         .first_group = of['e'],
                         .rows = {of['a'], of['b'], of['j']},
                         .keys = {of['m'], of['p'], of['r']},
                         .length = of['L'],
                         .activation = (yoke_activation)of['A']};
    c->update = (yki_update){.lr = 0.01,
                             .grad_scale = 0.5,
                             .weight_decay = 0.1,
                             .beta1 = 0.9,
                             .beta2 = 0.999,
                             .eps = 1e-8,
                             .bias1 = 1 - 0.9 * 0.9,
                             .bias2 = 1 - 0.999 * 0.999,
                             .momentum = 0.9};
    c->launch =
        (yki_launch){.kernel = kernel, .training = true, .scale = 0.125f, .step = 3, .sample_offset = 2};
    c->launch.group_samples = of['n'] + 3; /* other ranks have some */
    c->launch.later = 2;
    const yki_signature *signature = yki_kernel_signature(kernel);
    c->ninputs = signature->ninputs;
    for (int i = 0; i < signature->nwords; i++) add_view(c, &signature->words[i], &shape, type, seed);
}

void case_copy(kernel_case *copy, const kernel_case *c)
{
    *copy = *c;
    for (int i = 0; i < c->launch.nviews; i++) {
        if (c->launch.views[i].data == NULL) continue;
        copy->launch.views[i].data = aligned_block(c->bytes[i]);
        memcpy(copy->launch.views[i].data, c->launch.views[i].data, c->bytes[i]);
    }
}

void case_release(kernel_case *c)
{
    for (int i = 0; i < c->launch.nviews; i++) free(c->launch.views[i].data);
}

void case_run(kernel_case *c, const yki_cpu_kernel *kernel, int threads)
{
    yki_launch launch = c->launch;
    launch.attr = &c->attr;
    launch.update = &c->update;
    launch.loss = c->loss;
    launch.workspace_bytes = kernel->workspace_bytes != NULL ? kernel->workspace_bytes(&launch, threads) : 0;
    size_t rounded = (launch.workspace_bytes + 63) / 64 * 64;
    launch.workspace = rounded > 0 ? aligned_alloc(64, rounded) : NULL;
    void *state = NULL;
    if (kernel->prepare != NULL && kernel->prepare(&launch, threads, &state) != YOKE_OK) {
        fprintf(stderr, "%s: %s\n", yki_kernel_name(launch.kernel), yoke_error_get()->message);
        abort();
    }
    kernel->run(&launch, state, threads);
    if (kernel->discard != NULL) kernel->discard(state);
    free(launch.workspace);
}

/* Rows of one sequence that follow each other, far into it where there is room, then some by themselves. */
static void settle_places(kernel_case *c)
{
    const yki_view *at = &c->launch.views[c->launch.kernel == YKI_KERNEL_RECALL ? 1 : 3];
    int32_t *places = at->data;
    int64_t count = at->dims[0] * 3 / 4, room = c->launch.views[c->launch.nviews - 1].dims[2];
    int64_t first = room / 2 + count <= room ? room / 2 : 2;
    for (int64_t r = 0; r < count; r++) places[2 * r] = 1, places[2 * r + 1] = (int32_t)(first + r);
}

void case_settle(kernel_case *c)
{
    if (c->launch.kernel == YKI_KERNEL_RECALL || c->launch.kernel == YKI_KERNEL_RECALL_GQA) settle_places(c);
    if (c->launch.kernel == YKI_KERNEL_ATTEND_GRAD) { /* dq? dy q kv y lse */
        kernel_case part = *c;
        part.launch.kernel = YKI_KERNEL_ATTEND;
        part.launch.nviews = 6;
        part.launch.views[0] = part.launch.views[1] = (yki_view){0};
        case_run(&part, &yki_cpu_reference()->kernel[YKI_KERNEL_ATTEND][0], 1);
        return;
    }
    bool grouped = c->launch.kernel == YKI_KERNEL_GQA_GRAD;
    if (!grouped && c->launch.kernel != YKI_KERNEL_ATTENTION_GRAD) return;
    kernel_case forward = *c; /* dy, then qkv or q k v, y lse: the forward pass's operands, in its order */
    forward.launch.kernel = grouped ? YKI_KERNEL_GQA : YKI_KERNEL_ATTENTION;
    forward.launch.nviews = grouped ? 5 : 3;
    memmove(forward.launch.views, forward.launch.views + 1, (size_t)forward.launch.nviews * sizeof(yki_view));
    case_run(&forward, &yki_cpu_reference()->kernel[forward.launch.kernel][0], 1);
}
