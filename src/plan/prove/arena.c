/* What lies in a device's arena: slots, gradients on their way, temporary and scratch memory, then what is
 * kept between steps. None overlaps another, and each shard's own elements follow those of the shards before.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "plan/prove/prove.h"

typedef struct region {
    int64_t start, end;
    const char *what;
    int number; /* of the part, edge or parameter; -1 */
} region;

/* Regions that are to lie within [first, last) of the arena. Passes lay them one after the other as a rule,
 * and so no list of them is made where that is seen at once. */
typedef struct regions {
    int64_t first, last, end; /* end: of the last one so far */
    bool follow;              /* each of them begins where the one before has ended, or later */
    bool listed;
    region *list;
    int nlist, clist;
} regions;

static inline void add(yki_prover *p, regions *all, int64_t start, int64_t bytes, const char *what,
                       int number)
{
    if (bytes == 0) return;
    if (all->listed) *YKI_APPEND(p->arena, all, list) = (region){start, start + bytes, what, number};
    all->follow &= start >= all->end && bytes > 0 && start + bytes <= all->last;
    all->end = start + bytes;
}

static int by_start(const void *a, const void *b)
{
    const region *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static const char *print_region(const region *it, char text[64])
{
    snprintf(text, 64, it->number < 0 ? "%s" : "%s %d", it->what, it->number);
    return text;
}

/* Of those that do not follow each other: whether they overlap nevertheless. */
static yoke_status check_regions(const yki_prover *p, regions *all)
{
    char one[64], other[64];
    qsort(all->list, (size_t)all->nlist, sizeof *all->list, by_start);
    for (int i = 0; i < all->nlist; i++) {
        const region *it = &all->list[i];
        if (it->start < all->first || it->end < it->start || it->end > all->last)
            return yki_fault(p, NULL, "%s lies at %lld .. %lld, outside of %lld .. %lld",
                             print_region(it, one), (long long)it->start, (long long)it->end,
                             (long long)all->first, (long long)all->last);
        if (i > 0 && it[-1].end > it->start)
            return yki_fault(p, NULL, "%s and %s overlap", print_region(it - 1, one),
                             print_region(it, other));
    }
    return YOKE_OK;
}

static yoke_status prove_regions(yki_prover *p, int64_t first, int64_t last, int shard,
                                 void (*each)(yki_prover *p, regions *all, int class))
{
    regions all = {.first = first, .last = last, .end = first, .follow = true};
    each(p, &all, shard);
    if (all.follow) return YOKE_OK;
    all.listed = true;
    each(p, &all, shard);
    return check_regions(p, &all);
}

/* --- what a program needs by itself --- */

/* Slots of a send area: one more than the last that is used. */
static int send_slots(const yki_prover *p, int edge)
{
    const int *slot = p->program->send_slot[edge];
    int last = -1;
    for (int m = 0; m < p->plan->microbatches; m++) last = slot[m] > last ? slot[m] : last;
    return last + 1;
}

/* What a part keeps from step to step. */
static void each_cache(yki_prover *p, regions *all, int part)
{
    const yki_placed *placed = &p->plan->placed[p->program->lane_class][part];
    for (int i = 0; i < placed->nvalues; i++) {
        const yki_placed_value *value = &placed->values[i];
        if (value->cached)
            add(p, all, value->offset,
                yki_placed_elems(value) * (int64_t)yki_dtype_bytes(yki_placed_dtype(p->plan, value)),
                "cache of tensor", i);
    }
}

static void each_area(yki_prover *p, regions *all, int class)
{
    static const char *const areas[YKI_AREAS] = {"slots from F to B of part", "slots from F to W of part",
                                                 "slots from B to W of part"};
    const yki_program *program = p->program;
    (void)class;
    for (int c = 0; c < program->nparts; c++) {
        const yki_part_program *part = &program->parts[c];
        for (int g = 0; g < YKI_AREAS; g++)
            add(p, all, part->area_offset[g], part->area_slots[g] * part->area_bytes[g], areas[g],
                part->part);
        each_cache(p, all, part->part);
    }
    for (int e = 0; e < p->plan->nedges; e++)
        if (program->send_offset[e] >= 0)
            add(p, all, program->send_offset[e], send_slots(p, e) * program->send_bytes[e],
                "gradients on their way over edge", e);
    add(p, all, program->temp_offset, program->workspace_offset - program->temp_offset, "temporary memory",
        -1);
    add(p, all, program->workspace_offset, program->workspace_bytes, "scratch memory", -1);
    add(p, all, program->totals_offset, YKI_TOTALS * (int64_t)sizeof(double), "totals", -1);
}

static yoke_status check_slots(yki_prover *p)
{
    for (int c = 0; c < p->program->nparts; c++)
        for (int g = 0; g < YKI_AREAS; g++) {
            const yki_part_program *part = &p->program->parts[c];
            if (part->area_slots[g] < 0 || part->area_slots[g] > p->plan->microbatches ||
                part->area_bytes[g] < 0)
                return yki_fault(p, NULL, "part %d has %d slots of %lld bytes", part->part,
                                 part->area_slots[g], (long long)part->area_bytes[g]);
        }
    return YOKE_OK;
}

/* --- what is kept between steps --- */

static const yki_states *states_of(const yki_prover *p, int class)
{
    return &p->plan->states[(p->program - p->plan->programs) * p->plan->nshard_classes + class];
}

/* Moments are kept of parameters whose rule has so many. */
static bool has(const yki_prover *p, int index, yki_tensor_kind kind)
{
    if (p->program->parameters[index].frozen) return kind == YKI_TENSOR_WEIGHT;
    if (kind < YKI_TENSOR_MOMENT) return true;
    int rule = (int)yki_plan_rule_of(p->plan, p->program->parameters[index].parameter);
    return (int)kind - YKI_TENSOR_MOMENT < p->plan->options.moments[rule];
}

/* A kind of tensor, of each parameter; size: of an element, 0 where none is kept. */
static void each_kept(yki_prover *p, regions *all, int class, yki_tensor_kind kind, int size,
                      const char *what)
{
    const yki_program *program = p->program;
    const yki_kept *kept = states_of(p, class)->kept;
    bool dealt = yki_states_sharded(p->plan, kind);
    for (int i = 0; i < program->nparameters && size > 0; i++)
        if (has(p, i, kind))
            add(p, all, kept[i].offset[kind],
                size * (dealt ? kept[i].runs * kept[i].run_elems : program->parameters[i].elems), what,
                program->parameters[i].parameter);
}

static void each_state(yki_prover *p, regions *all, int class)
{
    const yki_plan_options *options = &p->plan->options;
    const yki_program *program = p->program;
    const yki_kept *kept = states_of(p, class)->kept;
    bool trains = options->purpose == YKI_PURPOSE_TRAIN, bf16 = options->precision == YOKE_PRECISION_BF16;
    each_kept(p, all, class, YKI_TENSOR_WEIGHT, bf16 ? 2 : 4, "weight of parameter");
    each_kept(p, all, class, YKI_TENSOR_GRADIENT, trains ? 4 : 0, "gradient of parameter");
    each_kept(p, all, class, YKI_TENSOR_MASTER, trains && bf16 ? 4 : 0, "master copy of parameter");
    for (int m = 0; m < YKI_MAX_MOMENTS && trains; m++)
        each_kept(p, all, class, (yki_tensor_kind)(YKI_TENSOR_MOMENT + m), 4, "moment of parameter");
    for (int i = program->nparameters; i < yki_kept_count(program); i++) {
        const yki_local_parameter *it = &program->parameters[i];
        add(p, all, kept[i].offset[YKI_TENSOR_WEIGHT], 4 * it->elems, "buffer", it->parameter);
        if (trains)
            add(p, all, kept[i].offset[YKI_TENSOR_GRADIENT], 4 * it->elems, "sum of buffer", it->parameter);
    }
}

static bool are_alike(const int64_t *share, const yki_shard_class *of)
{
    for (int s = 1; s < of->count; s++)
        if (share[of->first + s] != share[of->first]) return false;
    return true;
}

/* Each shard is in one class, and all of a class are dealt as much. */
static yoke_status check_classes(yki_prover *p)
{
    const yki_plan *plan = p->plan;
    int next = 0;
    for (int c = 0; c < plan->nshard_classes; c++) {
        const yki_shard_class *of = &plan->shard_classes[c];
        if (of->first != next || of->count < 1 || of->count > plan->shards - next)
            return yki_fault(p, NULL, "class %d of shards begins at shard %d, and %d are before it", c,
                             of->first, next);
        next += of->count;
        for (int i = 0; i < plan->ndeals; i++)
            if (!are_alike(plan->deals[i].share, of))
                return yki_fault(p, NULL, "shards %d .. %d are not dealt as many of %lld rows", of->first,
                                 next - 1, (long long)plan->deals[i].rows);
    }
    return next == plan->shards
               ? YOKE_OK
               : yki_fault(p, NULL, "%d of %d shards are in no class", plan->shards - next, plan->shards);
}

/* A lane keeps as much of each parameter as its class's first one, and counts the same in norms. */
static yoke_status check_lane(yki_prover *p, int lane)
{
    const yki_plan *plan = p->plan;
    const yoke_model *model = plan->options.model;
    int tp = plan->mesh.degree[YKI_AXIS_TP], first = plan->lane_classes[plan->lanes[lane].class].first;
    for (int i = 0; i < model->nparameters && lane != first; i++) {
        yki_spec spec = plan->param_places[i].spec;
        int64_t size =
            spec.state == YKI_SHARDED ? model->values[model->parameters[i].value].dims[spec.dim] : 0;
        if (yki_spec_share(spec, size, tp, lane % tp) != yki_spec_share(spec, size, tp, first % tp) ||
            yki_lane_counts(plan, i, lane) != yki_lane_counts(plan, i, first))
            return yki_fault(p, NULL, "lane %d has another share of parameter %d than its class", lane, i);
    }
    return YOKE_OK;
}

/* Each lane is in a class, each class has its first lane and as many as are counted. */
static yoke_status check_lanes(yki_prover *p)
{
    const yki_plan *plan = p->plan;
    int *count = yki_arena_alloc(p->arena, sizeof *count * ((size_t)plan->nlane_classes + 1));
    for (int lane = 0; lane < plan->nlanes; lane++) {
        int class = plan->lanes[lane].class;
        if (class < 0 || class >= plan->nlane_classes)
            return yki_fault(p, NULL, "lane %d is in class %d of %d", lane, class, plan->nlane_classes);
        if (count[class]++ == 0 && plan->lane_classes[class].first != lane)
            return yki_fault(p, NULL, "class %d's first lane is called %d, and is %d", class,
                             plan->lane_classes[class].first, lane);
        YKI_TRY(check_lane(p, lane));
    }
    for (int class = 0; class < plan->nlane_classes; class ++)
        if (count[class] < 1 || count[class] != plan->lane_classes[class].count)
            return yki_fault(p, NULL, "class %d is said to have %d lanes, and has %d", class,
                             plan->lane_classes[class].count, count[class]);
    return YOKE_OK;
}

static bool is_checked(const yki_plan *plan, const int64_t *share)
{
    for (int i = 0; i < plan->ndeals; i++)
        if (plan->deals[i].share == share) return true;
    return false;
}

/* A class's own elements follow those of the shards before it, of which there are `before` in a row, and one
 * shard's those of another. */
static yoke_status check_own(yki_prover *p, int class, int64_t *before)
{
    const yki_shard_class *of = &p->plan->shard_classes[class];
    const yki_kept *all = states_of(p, class)->kept;
    bool apart = p->plan->zero == 1 || p->plan->zero == 2;
    for (int i = 0; i < p->program->nparameters; i++) {
        const yki_local_parameter *it = &p->program->parameters[i];
        const yki_kept *kept = &all[i];
        int64_t row = it->cut.share[of->first] * it->cut.inner, runs = apart ? it->cut.outer : 1;
        if (!is_checked(p->plan, it->cut.share) || kept->runs != runs ||
            kept->run_elems != (apart ? row : row * it->cut.outer) ||
            kept->first != (apart ? before[i] : 0) || (apart && kept->stride * it->cut.outer != it->elems) ||
            (!apart && kept->stride != 0))
            return yki_fault(p, NULL,
                             "shard %d's own elements of parameter %d are not where its cut has them",
                             of->first, it->parameter);
        before[i] += row * of->count;
    }
    return YOKE_OK;
}

yoke_status yki_prove_arena(yki_prover *p)
{
    const yki_plan *plan = p->plan;
    int64_t *before = NULL;
    int cbefore = 0;
    for (int i = 0; i < yki_plan_programs(plan); i++) {
        const yki_program *program = p->program = &plan->programs[i];
        if (i == 0) YKI_TRY(check_lanes(p));
        if (i == 0) YKI_TRY(check_classes(p));
        YKI_TRY(check_slots(p));
        YKI_TRY(prove_regions(p, 0, program->states_offset, 0, each_area));
        yki_prover_renew(p, &before, &cbefore, program->nparameters, sizeof *before);
        for (int class = 0; class < plan->nshard_classes; class ++) {
            YKI_TRY(check_own(p, class, before));
            YKI_TRY(prove_regions(p, program->states_offset, states_of(p, class)->total_bytes, class,
                                  each_state));
        }
    }
    yki_prover_leave(p);
    return YOKE_OK;
}
