/* Buckets of gradients: which parameters are in them, and where in a body they are reduced. */
#include <string.h>

#include "plan/buckets.h"
#include "plan/tail.h"

enum { USUAL_BUCKET_BYTES = 4 << 20 };

/* Whether a part of the stage other than `part` writes to a parameter's gradient too. */
static bool written_elsewhere(const yki_builder *b, int part, int parameter)
{
    for (int c = 0; c < b->program->nparts; c++) {
        const yki_placed *placed = &b->plan->placed[b->program->lane_class][b->program->parts[c].part];
        for (int v = 0; v < placed->nvalues && b->program->parts[c].part != part; v++)
            if (placed->values[v].is_gradient && placed->values[v].parameter == parameter) return true;
    }
    return false;
}

void yki_buckets_begin(yki_builder *b, const yki_part_program *part, const yki_part_storage *storage,
                       yki_body body, yki_buckets *k)
{
    const yki_program *program = b->program;
    const yki_placed *placed = &b->plan->placed[program->lane_class][part->part];
    size_t bytes = sizeof(int) * (size_t)(program->nparameters + 1);
    *k = (yki_buckets){.b = b,
                       .placed = placed,
                       .last = yki_arena_alloc(&b->plan->arena, bytes),
                       .list = yki_arena_alloc(&b->plan->arena, bytes)};
    for (int i = 0; i < program->nparameters; i++) k->last[i] = -1;
    if (part->last_weight < 0 || yki_action_body(&program->actions[part->last_weight]) != body ||
        !yki_reduces_whole(b->plan))
        return;
    for (int i = 0; i < storage->count[body]; i++) {
        int at = storage->order[body][i];
        for (int o = 0; o < placed->nodes[at].nout; o++) {
            const yki_placed_value *value = &placed->values[placed->nodes[at].out[o]];
            if (value->is_gradient && !written_elsewhere(b, part->part, value->parameter))
                k->last[program->local_of[value->parameter]] = at;
        }
    }
}

/* A comm holds only so many operations: the one that many buckets ago has ended before the next starts. */
void yki_buckets_end(yki_buckets *k, yki_code *code)
{
    yki_program *program = k->b->program;
    if (k->count == 0) return;
    int request = program->nbuckets % YKI_BUCKETS_UNDER_WAY;
    if (program->nbuckets >= YKI_BUCKETS_UNDER_WAY)
        code->instructions[code->count++] = yki_bucket_wait(k->b, request);
    yki_instruction *in = &code->instructions[code->count++];
    *in = yki_reduce_whole(k->b, k->list, k->count);
    in->what = NULL;
    in->phase = YKI_PHASE_START;
    in->request = request;
    in->as.move_states.once = true;
    program->nbuckets++;
    for (int i = 0; i < k->count; i++) program->parameters[k->list[i]].bucketed = true;
    k->count = 0;
    k->bytes = 0;
}

void yki_buckets_fill(yki_buckets *k, int at, yki_code *code)
{
    const yki_program *program = k->b->program;
    const yki_placed_node *node = &k->placed->nodes[at];
    for (int o = 0; o < node->nout; o++) {
        const yki_placed_value *value = &k->placed->values[node->out[o]];
        int local = value->is_gradient ? program->local_of[value->parameter] : -1;
        if (local < 0 || local >= program->nparameters || k->last[local] != at) continue;
        k->list[k->count++] = local;
        k->bytes += 4 * program->parameters[local].elems;
    }
    int64_t enough = k->b->plan->options.layout.bucket_bytes;
    if (k->bytes >= (enough > 0 ? enough : USUAL_BUCKET_BYTES)) yki_buckets_end(k, code);
}
