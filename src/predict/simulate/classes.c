/* Classes of ranks, by refining colours: at first a rank's colour is what it runs and on what; then, as long
 * as that tells more ranks apart, its colour and those of the members of each of its groups. What is left is
 * such that all ranks of a class have in each group the same classes (Weisfeiler and Leman, 1968). */
#include "predict/simulate/classes.h"

#include <stdlib.h>

#include "base/fail.h"
#include "base/rng.h"

typedef struct painter {
    const yki_plan *plan;
    const yki_costs *costs;
    bool slow;
    int nranks;
    uint64_t *colour, *next, *sorted, *sums; /* by rank; sums by the rank of a group's first member */
} painter;

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t mixed(uint64_t hash, uint64_t value)
{
    return yki_rng_mix(hash ^ (value + UINT64_C(0x9E3779B97F4A7C15)));
}

/* How many colours there are; they lie in `sorted`, each once. */
static int count_colours(painter *p)
{
    int count = 0;
    memcpy(p->sorted, p->colour, sizeof *p->sorted * (size_t)p->nranks);
    qsort(p->sorted, (size_t)p->nranks, sizeof *p->sorted, by_value);
    for (int i = 0; i < p->nranks; i++)
        if (i == 0 || p->sorted[i] != p->sorted[count - 1]) p->sorted[count++] = p->sorted[i];
    return count;
}

static double slowness(const painter *p, int rank)
{
    const yoke_machine *machine = p->costs->machine;
    for (int i = 0; i < machine->nstragglers && p->slow; i++)
        if (machine->stragglers[i].device == rank) return machine->stragglers[i].slower;
    return 1;
}

/* Where its node, or what else it is in, has links of its own. */
static uint64_t links_of(const painter *p, int rank)
{
    const yoke_machine *machine = p->costs->machine;
    uint64_t hash = 0;
    int64_t devices = 1;
    for (int l = 0; l < machine->nlevels; devices *= machine->levels[l++].count)
        for (int i = 0; i < machine->nlinks; i++)
            if (machine->links[i].level == l && machine->links[i].group == rank / devices)
                hash = mixed(hash, (uint64_t)i + 1);
    return hash;
}

static void paint_first(painter *p)
{
    const yki_plan *plan = p->plan;
    for (int rank = 0; rank < p->nranks; rank++) {
        int place[YKI_AXIS_COUNT], shards;
        yki_mesh_place(&plan->mesh, rank, place);
        double slower = slowness(p, rank);
        uint64_t bits;
        memcpy(&bits, &slower, sizeof bits);
        yki_rank_shard(plan, rank, &shards);
        uint64_t hash = mixed(0, (uint64_t)(yki_plan_program(plan, rank) - plan->programs));
        hash = mixed(hash, (uint64_t)shards);
        for (int m = 0, step = plan->microbatches > 1 ? plan->microbatches - 1 : 1; m < plan->microbatches;
             m += step) {
            int64_t first; /* shares of a batch fall from the first to the last */
            hash = mixed(
                hash, (uint64_t)yki_plan_samples(plan, plan->options.batch, place[YKI_AXIS_DP], m, &first));
        }
        /* what attention sees of a sequence depends on where the rank's tokens are; on nothing else that
         * lanes differ in */
        hash = mixed(hash, (uint64_t)place[YKI_AXIS_CP]);
        p->colour[rank] = mixed(mixed(hash, bits), links_of(p, rank));
    }
}

/* Of one row of groups: a sum has no order, and each member's colour is in it once. */
static void paint_row(painter *p, const yki_group *group)
{
    int place[YKI_AXIS_COUNT];
    memset(p->sums, 0, sizeof *p->sums * (size_t)p->nranks);
    for (int rank = 0; rank < p->nranks; rank++) {
        yki_mesh_place(&p->plan->mesh, rank, place);
        int first = yki_group_first(&p->plan->mesh, group, place);
        if (first >= 0) p->sums[first] += yki_rng_mix(p->colour[rank]);
    }
    for (int rank = 0; rank < p->nranks; rank++) {
        yki_mesh_place(&p->plan->mesh, rank, place);
        int first = yki_group_first(&p->plan->mesh, group, place);
        p->next[rank] = mixed(p->next[rank], first < 0 ? 0 : p->sums[first]);
    }
}

static int refine(painter *p)
{
    paint_first(p);
    for (int count = 0, before = -1; count != before;) {
        before = count_colours(p);
        memcpy(p->next, p->colour, sizeof *p->next * (size_t)p->nranks);
        for (int g = 0; g < p->plan->ngroups; g++) paint_row(p, &p->plan->groups[g]);
        memcpy(p->colour, p->next, sizeof *p->next * (size_t)p->nranks);
        count = count_colours(p);
    }
    return count_colours(p);
}

/* Numbers in the order of their first ranks. */
static bool number_classes(painter *p, int count, yki_classes *out)
{
    yki_arena *arena = &out->arena;
    int *number = malloc(sizeof *number * (size_t)count);
    out->list = yki_arena_alloc(arena, sizeof *out->list * (size_t)count);
    out->of = yki_arena_alloc(arena, sizeof *out->of * (size_t)p->nranks);
    for (int i = 0; i < count && number; i++) number[i] = -1;
    for (int rank = 0; rank < p->nranks && number && !arena->failed; rank++) {
        const uint64_t *at = bsearch(&p->colour[rank], p->sorted, (size_t)count, sizeof *p->sorted, by_value);
        int *class = &number[at - p->sorted];
        if (*class < 0) {
            *class = out->count++;
            out->list[*class] = (yki_rank_class){.first = rank, .slower = slowness(p, rank)};
        }
        out->of[rank] = *class;
        out->list[*class].count++;
    }
    bool made = number && !arena->failed;
    free(number);
    return made;
}

/* Ranks of a group in their order, and its classes in theirs. */
static int list_members(const yki_plan *plan, const yki_group *group, int rank, int *ranks)
{
    int place[YKI_AXIS_COUNT], count = 0;
    yki_mesh_place(&plan->mesh, rank, place);
    int first = yki_group_first(&plan->mesh, group, place);
    for (place[group->axis] = 0; place[group->axis] < plan->mesh.degree[group->axis]; place[group->axis]++)
        if (yki_group_first(&plan->mesh, group, place) == first)
            ranks[count++] = yki_mesh_rank(&plan->mesh, place);
    return count;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static bool make_meeting(const yki_plan *plan, const yki_costs *costs, yki_classes *out, int class, int g,
                         int *ranks)
{
    int place[YKI_AXIS_COUNT];
    yki_rank_class *of = &out->list[class];
    yki_mesh_place(&plan->mesh, of->first, place);
    if (of->meetings[g] >= 0 || yki_group_first(&plan->mesh, &plan->groups[g], place) < 0) return true;
    yki_meeting *m = &out->meetings[out->nmeetings];
    *m = (yki_meeting){.group = g, .size = list_members(plan, &plan->groups[g], of->first, ranks)};
    m->route = yki_route_of(costs, ranks, m->size);
    m->classes = yki_arena_alloc(&out->arena, sizeof *m->classes * (size_t)m->size);
    if (!m->classes) return false;
    for (int i = 0; i < m->size; i++) m->classes[i] = out->of[ranks[i]];
    qsort(m->classes, (size_t)m->size, sizeof *m->classes, by_number);
    for (int i = 0; i < m->size; i++)
        if (i == 0 || m->classes[i] != m->classes[m->nclasses - 1]) m->classes[m->nclasses++] = m->classes[i];
    for (int i = 0; i < m->nclasses; i++) {
        out->list[m->classes[i]].meetings[g] = out->nmeetings;
        m->groups += out->list[m->classes[i]].count;
    }
    m->groups /= m->size;
    out->nmeetings++;
    return true;
}

static bool make_meetings(const yki_plan *plan, const yki_costs *costs, yki_classes *out, int *ranks)
{
    yki_arena *arena = &out->arena;
    int stages = plan->parts.nstages;
    out->meetings = yki_arena_alloc(arena, sizeof *out->meetings * (size_t)(out->count * plan->ngroups + 1));
    for (int c = 0; c < out->count; c++) {
        yki_rank_class *class = &out->list[c];
        int place[YKI_AXIS_COUNT];
        class->meetings = yki_arena_alloc(arena, sizeof(int) * (size_t)(plan->ngroups + 1));
        class->peers = yki_arena_alloc(arena, sizeof(int) * (size_t)(stages + 1));
        if (arena->failed) return false;
        for (int g = 0; g < plan->ngroups; g++) class->meetings[g] = -1;
        yki_mesh_place(&plan->mesh, class->first, place);
        for (int s = 0; s < stages; s++) {
            place[YKI_AXIS_PP] = s;
            class->peers[s] = out->of[yki_mesh_rank(&plan->mesh, place)];
        }
    }
    for (int c = 0; c < out->count; c++)
        for (int g = 0; g < plan->ngroups; g++)
            if (!make_meeting(plan, costs, out, c, g, ranks)) return false;
    return true;
}

yoke_status yki_classes_of(const yki_plan *plan, const yki_costs *costs, bool slow, yki_classes *classes_out)
{
    yki_classes out = {0};
    size_t n = (size_t)plan->mesh.nranks;
    uint64_t *words = malloc(sizeof *words * 4 * n);
    int *ranks = malloc(sizeof *ranks * n);
    painter p = {plan, costs, slow, plan->mesh.nranks, words, words + n, words + 2 * n, words + 3 * n};
    bool made =
        words && ranks && number_classes(&p, refine(&p), &out) && make_meetings(plan, costs, &out, ranks);
    free(words);
    free(ranks);
    if (!made) {
        yki_classes_release(&out);
        return yki_fail_memory("classes of ranks");
    }
    *classes_out = out;
    return YOKE_OK;
}

void yki_classes_release(yki_classes *classes)
{
    yki_arena_release(&classes->arena);
    *classes = (yki_classes){0};
}
