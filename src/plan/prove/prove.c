/* prove: the last pass. Earlier passes choose where tensors lie, when movements start and end, and who takes
 * which slot; this one trusts none of them. It goes through the programs as the run will and refuses one that
 * does not hold: so a fault of the compiler is a sentence, not a wrong number. Linear in the size of programs
 * and action lists, but for sorting. */
#include "plan/prove/prove.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "plan/passes.h"

/* --- the sentence --- */

enum { PLACE = 192, TENSOR = 256 };

/* "stage 1, lane 0, part 2, body B, instruction 12 (linear.dx)" */
static void print_place(const yki_prover *p, char text[PLACE])
{
    static const char *const bodies[] = {"F", "B", "W", "BW"};
    static const char *const ends[] = {[YKI_END_FORWARD] = "the end of a forward pass",
                                       [YKI_END_REDUCE] = "the step's reductions",
                                       [YKI_END_UPDATE] = "the step's update"};
    int n = 0;
    text[0] = '\0';
    if (p->program) n = snprintf(text, PLACE, "stage %d, lane %d", p->program->stage, p->program->lane);
    if (p->program && p->chunk >= 0)
        n += snprintf(text + n, (size_t)(PLACE - n), ", part %d", yki_prover_part(p)->part);
    if (p->program && p->body < YKI_BODY_COUNT)
        n += snprintf(text + n, (size_t)(PLACE - n), ", body %s", bodies[p->body]);
    if (p->end) n += snprintf(text + n, (size_t)(PLACE - n), ", %s", ends[p->end - p->program->ends]);
    if (p->at < 0 || (p->body == YKI_BODY_COUNT && !p->end)) return;
    const yki_instruction *in = &yki_prover_code(p)->instructions[p->at];
    bool known = in->op >= 0 && in->op < YKI_OP_COUNT;
    snprintf(text + n, (size_t)(PLACE - n), ", instruction %d (%s)", p->at,
             in->what ? in->what
             : known  ? yki_op_name(in->op)
                      : "none");
}

static const char *parameter_name(const yki_prover *p, int index)
{
    if (index < 0 || index >= yki_kept_count(p->program)) return "none";
    return p->plan->options.model->parameters[p->program->parameters[index].parameter].name;
}

/* ", tensor 17 (output of linear.dx, layer 'h.2.mlp')" */
static void print_tensor(const yki_prover *p, const yki_operand *operand, char text[TENSOR])
{
    const yki_placed *placed = p->chunk >= 0 ? yki_prover_placed(p) : NULL;
    text[0] = '\0';
    if (!operand) return;
    if (operand->space == YKI_SPACE_WEIGHT || operand->space == YKI_SPACE_GRADIENT) {
        snprintf(text, TENSOR, ", %s of '%s'", operand->space == YKI_SPACE_WEIGHT ? "weight" : "gradient",
                 parameter_name(p, operand->index));
        return;
    }
    int value = operand->value, n = snprintf(text, TENSOR, ", tensor %d", value);
    if (!placed || value < 0 || value >= placed->nvalues || placed->values[value].producer < 0) return;
    const yki_placed_node *node = &placed->nodes[placed->values[value].producer];
    n += snprintf(text + n, (size_t)(TENSOR - n), " (output of %s", yki_op_name(node->op));
    if (node->layer >= 0)
        n += snprintf(text + n, (size_t)(TENSOR - n), ", layer '%s'",
                      p->plan->options.model->layers[node->layer].name);
    if (n < TENSOR) snprintf(text + n, (size_t)(TENSOR - n), ")");
}

yoke_status yki_fault(const yki_prover *p, const yki_operand *operand, const char *format, ...)
{
    char place[PLACE], tensor[TENSOR], what[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    print_place(p, place);
    print_tensor(p, operand, tensor);
    return yki_fail(YOKE_CHECK_FAILED,
                    "the compiler made a program that does not hold: %s%s: %s; please report this", place,
                    tensor, what);
}

yoke_status yki_gradient_fault(const yki_prover *p, int parameter, const char *what)
{
    yki_operand gradient = {.space = YKI_SPACE_GRADIENT, .index = parameter};
    return yki_fault(p, &gradient, "%s", what);
}

/* --- what the parts share --- */

void yki_prover_leave(yki_prover *p)
{
    p->program = NULL;
    p->end = NULL;
    p->chunk = p->at = -1;
    p->body = YKI_BODY_COUNT;
}

void yki_prover_renew(yki_prover *p, void *array, int *capacity, int count, size_t bytes)
{
    void *table;
    yki_arena_grow(p->arena, array, capacity, count, bytes);
    memcpy(&table, array, sizeof table);
    if (count > 0) memset(table, 0, (size_t)count * bytes);
}

bool yki_claim(char *claimed, int first, int count, int limit)
{
    if (first < 0 || count < 0 || first > limit - count) return false;
    for (int i = first; i < first + count; i++) {
        if (claimed[i]) return false;
        claimed[i] = 1;
    }
    return true;
}

/* --- the arena --- */

typedef struct region {
    int64_t start, end;
    const char *what;
    int number; /* of the part, edge or parameter; -1 */
} region;

typedef struct regions {
    region *list;
    int nlist, clist;
} regions;

/* None yet, and room for so many. */
static void begin(yki_prover *p, regions *all, size_t count)
{
    yki_arena_grow(p->arena, &all->list, &all->clist, (int)count, sizeof *all->list);
    all->nlist = 0;
}

static void add(regions *all, int64_t start, int64_t bytes, const char *what, int number)
{
    if (bytes != 0) all->list[all->nlist++] = (region){start, start + bytes, what, number};
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

/* That none overlaps another, and all are within [first, end). Earlier passes lay them in order as a rule. */
static yoke_status prove_regions(const yki_prover *p, regions *all, int64_t first, int64_t end)
{
    char one[64], other[64];
    for (int i = 1; i < all->nlist; i++) {
        if (all->list[i - 1].start <= all->list[i].start) continue;
        qsort(all->list, (size_t)all->nlist, sizeof *all->list, by_start);
        break;
    }
    for (int i = 0; i < all->nlist; i++) {
        const region *it = &all->list[i];
        if (it->start < first || it->end < it->start || it->end > end)
            return yki_fault(p, NULL, "%s lies at %lld .. %lld, outside of %lld .. %lld",
                             print_region(it, one), (long long)it->start, (long long)it->end,
                             (long long)first, (long long)end);
        if (i > 0 && it[-1].end > it->start)
            return yki_fault(p, NULL, "%s and %s overlap", print_region(it - 1, one),
                             print_region(it, other));
    }
    return YOKE_OK;
}

/* Slots of a send area: one more than the last that is used. */
static int send_slots(const yki_prover *p, int edge)
{
    const int *slot = p->program->send_slot[edge];
    int last = -1;
    for (int m = 0; m < p->plan->microbatches; m++) last = slot[m] > last ? slot[m] : last;
    return last + 1;
}

static yoke_status prove_areas(yki_prover *p, regions *all)
{
    static const char *const areas[YKI_AREAS] = {"slots from F to B of part", "slots from F to W of part",
                                                 "slots from B to W of part"};
    const yki_program *program = p->program;
    begin(p, all, (size_t)(YKI_AREAS * program->nparts + p->plan->nedges + 2));
    for (int c = 0; c < program->nparts; c++)
        for (int g = 0; g < YKI_AREAS; g++) {
            const yki_part_program *part = &program->parts[c];
            if (part->area_slots[g] < 0 || part->area_slots[g] > p->plan->microbatches ||
                part->area_bytes[g] < 0)
                return yki_fault(p, NULL, "%s %d are %d", areas[g], part->part, part->area_slots[g]);
            add(all, part->area_offset[g], part->area_slots[g] * part->area_bytes[g], areas[g], part->part);
        }
    for (int e = 0; e < p->plan->nedges; e++)
        if (program->send_offset[e] >= 0)
            add(all, program->send_offset[e], send_slots(p, e) * program->send_bytes[e],
                "gradients on their way over edge", e);
    add(all, program->temp_offset, program->workspace_offset - program->temp_offset, "temporary memory", -1);
    add(all, program->workspace_offset, program->workspace_bytes, "scratch memory", -1);
    return prove_regions(p, all, 0, program->states_offset);
}

/* What devices keep of each parameter. */
typedef struct kept_kind {
    const char *what;
    bool is;
    int64_t size; /* of an element */
} kept_kind;

static void find_kinds(const yki_plan *plan, kept_kind kinds[YKI_TENSOR_KINDS])
{
    bool trains = !plan->options.inference, bf16 = plan->options.precision == YOKE_PRECISION_BF16;
    kinds[YKI_TENSOR_WEIGHT] = (kept_kind){"weight of parameter", true, bf16 ? 2 : 4};
    kinds[YKI_TENSOR_MASTER] = (kept_kind){"master copy of parameter", trains && bf16, 4};
    kinds[YKI_TENSOR_GRADIENT] = (kept_kind){"gradient of parameter", trains, 4};
    for (int m = 0; m < YKI_MAX_MOMENTS; m++)
        kinds[YKI_TENSOR_MOMENT + m] =
            (kept_kind){"moment of parameter", trains && m < plan->options.moments, 4};
}

/* A shard's own elements follow those of the shards before; `before` counts them. */
static yoke_status check_own(const yki_prover *p, const yki_local_parameter *it, const yki_kept *kept,
                             int shard, int64_t *before)
{
    bool apart = p->plan->zero == 1 || p->plan->zero == 2;
    int64_t row = it->cut.share[shard] * it->cut.inner, runs = apart ? it->cut.outer : 1;
    if (kept->runs != runs || kept->run_elems != (apart ? row : row * it->cut.outer) ||
        kept->first != (apart ? *before : 0) || (apart && kept->stride * it->cut.outer != it->elems))
        return yki_fault(p, NULL, "shard %d's own elements of parameter %d are not where its cut has them",
                         shard, it->parameter);
    *before += row;
    return YOKE_OK;
}

/* Weights, gradients, moments and master copies of one shard; buffers. */
static yoke_status prove_states(yki_prover *p, int shard, regions *all, int64_t *before)
{
    kept_kind kinds[YKI_TENSOR_KINDS];
    const yki_plan *plan = p->plan;
    const yki_program *program = p->program;
    const yki_states *states = &plan->states[(program - plan->programs) * plan->shards + shard];
    find_kinds(plan, kinds);
    begin(p, all, (size_t)(YKI_TENSOR_KINDS * yki_kept_count(program)));
    for (int k = 0; k < YKI_TENSOR_KINDS; k++) {
        bool dealt = yki_states_sharded(plan, (yki_tensor_kind)k);
        for (int i = 0; i < program->nparameters && kinds[k].is; i++) {
            const yki_kept *kept = &states->kept[i];
            const yki_local_parameter *it = &program->parameters[i];
            add(all, kept->offset[k], kinds[k].size * (dealt ? kept->runs * kept->run_elems : it->elems),
                kinds[k].what, it->parameter);
        }
    }
    for (int i = program->nparameters; i < yki_kept_count(program); i++) {
        const yki_local_parameter *it = &program->parameters[i];
        add(all, states->kept[i].offset[YKI_TENSOR_WEIGHT], 4 * it->elems, "buffer", it->parameter);
        if (kinds[YKI_TENSOR_GRADIENT].is)
            add(all, states->kept[i].offset[YKI_TENSOR_GRADIENT], 4 * it->elems, "sum of buffer",
                it->parameter);
    }
    for (int i = 0; i < program->nparameters; i++)
        YKI_TRY(check_own(p, &program->parameters[i], &states->kept[i], shard, &before[i]));
    return prove_regions(p, all, program->states_offset, states->total_bytes);
}

/* --- the pass --- */

static yoke_status prove(yki_prover *p)
{
    const yki_plan *plan = p->plan;
    regions all = {0};
    int64_t *before = NULL;
    int cbefore = 0;
    for (int i = 0; i < plan->parts.nstages * plan->nlanes; i++) {
        p->program = &plan->programs[i];
        YKI_TRY(prove_areas(p, &all));
        yki_prover_renew(p, &before, &cbefore, p->program->nparameters, sizeof *before);
        for (int shard = 0; shard < plan->shards; shard++) YKI_TRY(prove_states(p, shard, &all, before));
    }
    YKI_TRY(yki_prove_contents(p));
    YKI_TRY(yki_prove_order(p));
    return yki_prove_turns(p);
}

yoke_status yki_plan_prove(yki_plan *plan)
{
    yki_arena_mark mark = yki_arena_mark_of(&plan->arena);
    yki_prover p = {.plan = plan, .arena = &plan->arena};
    yki_prover_leave(&p);
    yoke_status status = prove(&p);
    yki_arena_rewind(&plan->arena, mark);
    return status;
}
