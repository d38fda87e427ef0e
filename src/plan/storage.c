/* Storage of one part: aliases, lifetimes, spaces, offsets within a slot and within each body's temporary
 * region. */
#include "plan/storage.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

typedef struct planner {
    yki_plan *plan;
    yki_placed *placed;
    yki_part_storage *out;
    int part;
    int *position;  /* of each node in the sequence */
    int *last_read; /* of each value: position of the last node that reads it; -1 */
    int *last_use;  /* the same, or the end of a movement of it that is under way */
    bool *exported; /* of each value: another part reads it */
} planner;

static int larger_first(const void *a, const void *b)
{
    const yki_interval *x = *(yki_interval *const *)a, *y = *(yki_interval *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->start != y->start ? (x->start < y->start ? -1 : 1) : (x < y ? -1 : x > y);
}

int64_t yki_pack(yki_interval *intervals, int count)
{
    int64_t region = 0;
    yki_interval **sorted = malloc(sizeof *sorted * (size_t)(count + 1));
    yki_interval **placed = malloc(sizeof *placed * (size_t)(count + 1));
    if (!sorted || !placed) {
        free(sorted);
        free(placed);
        return -1;
    }
    for (int i = 0; i < count; i++) sorted[i] = &intervals[i];
    qsort(sorted, (size_t)count, sizeof *sorted, larger_first);
    int nplaced = 0; /* by offset */
    for (int i = 0; i < count; i++) {
        yki_interval *it = sorted[i];
        int64_t at = 0;
        for (int k = 0; k < nplaced; k++) {
            const yki_interval *other = placed[k];
            if (other->end < it->start || it->end < other->start || other->bytes == 0) continue;
            if (other->offset >= at + it->bytes) break;
            if (yki_align(other->offset + other->bytes) > at) at = yki_align(other->offset + other->bytes);
        }
        it->offset = at;
        if (at + it->bytes > region) region = at + it->bytes;
        int k = nplaced++;
        for (; k > 0 && placed[k - 1]->offset > at; k--) placed[k] = placed[k - 1];
        placed[k] = it;
    }
    free(sorted);
    free(placed);
    return yki_align(region);
}

static _Thread_local const yki_placed *sorted_graph; /* qsort hands no context on */

static int by_order(const void *a, const void *b)
{
    const yki_placed_node *x = &sorted_graph->nodes[*(const int *)a],
                          *y = &sorted_graph->nodes[*(const int *)b];
    return x->order < y->order ? -1 : x->order > y->order ? 1 : *(const int *)a - *(const int *)b;
}

/* The nodes of each body, in order; BW is B and W together. */
static bool order_bodies(planner *p)
{
    for (int body = 0; body < YKI_BODY_COUNT; body++) {
        int *order = p->out->order[body] =
            yki_arena_alloc(&p->plan->arena, sizeof(int) * (size_t)(p->placed->nnodes + 1));
        if (!order) return false;
        int count = 0;
        for (int i = 0; i < p->placed->nnodes; i++) {
            yki_body of = p->placed->nodes[i].body;
            if ((int)of == body || (body == YKI_BODY_BW && of != YKI_BODY_F)) order[count++] = i;
        }
        p->out->count[body] = count;
        sorted_graph = p->placed;
        qsort(order, (size_t)count, sizeof *order, by_order);
    }
    int at = 0;
    const yki_body whole[] = {YKI_BODY_F, YKI_BODY_BW}, apart[] = {YKI_BODY_F, YKI_BODY_B, YKI_BODY_W};
    for (int k = 0; k < (p->out->split ? 3 : 2); k++) {
        yki_body body = p->out->split ? apart[k] : whole[k];
        for (int i = 0; i < p->out->count[body]; i++) p->position[p->out->order[body][i]] = at++;
    }
    return true;
}

/* Whether a node's input is read until its output is first used: a movement that is under way. */
static bool is_under_way(const yki_placed_node *node)
{
    return node->op >= YKI_OP_MOVE && node->edge < 0 && node->nin > 0 && node->nout > 0 &&
           node->op != YKI_OP_MOVE + YKI_MOVE_BROADCAST;
}

/* The first node after order[at] of the body that reads the output of order[at], or, as nobody reads a
 * scattered gradient, that scatters another layer's; the body's last if none does. */
static int first_reader(const planner *p, yki_body body, int at)
{
    const yki_placed_node *movement = &p->placed->nodes[p->out->order[body][at]];
    int out = movement->out[0];
    bool scatters = yki_scatters_gradient(movement);
    for (int i = at + 1; i < p->out->count[body]; i++) {
        const yki_placed_node *node = &p->placed->nodes[p->out->order[body][i]];
        if (scatters && yki_scatters_gradient(node) && node->layer != movement->layer) return i;
        for (int k = 0; k < node->nin; k++)
            if (node->in[k] == out) return i;
    }
    return p->out->count[body] - 1;
}

static void find_uses(planner *p)
{
    for (int i = 0; i < p->placed->nvalues; i++) p->last_use[i] = -1;
    for (int i = 0; i < p->placed->nnodes; i++) {
        const yki_placed_node *node = &p->placed->nodes[i];
        for (int k = 0; k < node->nin; k++)
            if (node->in[k] >= 0 && p->position[i] > p->last_use[node->in[k]])
                p->last_use[node->in[k]] = p->position[i];
    }
    for (int i = 0; i < p->placed->nvalues; i++) p->last_read[i] = p->last_use[i];
    for (int body = 0; body < YKI_BODY_COUNT; body++)
        for (int i = 0; i < p->out->count[body] &&
                        (p->out->split ? body != YKI_BODY_BW : body == YKI_BODY_F || body == YKI_BODY_BW);
             i++) {
            const yki_placed_node *node = &p->placed->nodes[p->out->order[body][i]];
            if (!is_under_way(node)) continue;
            int until = p->position[p->out->order[body][first_reader(p, (yki_body)body, i)]];
            if (until > p->last_use[node->in[0]]) p->last_use[node->in[0]] = until;
        }
    for (int e = 0; e < p->plan->nedges; e++)
        if (p->plan->edges[e].from == p->part && p->plan->edges[e].value >= 0)
            p->exported[p->plan->edges[e].value] = true;
    if (p->placed->output >= 0) p->exported[p->placed->output] = true;
}

static int64_t value_bytes(const planner *p, int value)
{
    const yki_placed_value *v = &p->placed->values[value];
    return yki_placed_elems(v) * (v->per_sample ? p->plan->largest : 1) *
           (int64_t)yki_dtype_bytes(yki_placed_dtype(p->plan, v));
}

/* Whether the node's first output may take its first input's memory. */
static bool may_share(const planner *p, int node)
{
    const yki_placed_node *n = &p->placed->nodes[node];
    if (n->nin == 0 || n->nout == 0 || n->in[0] < 0 || p->placed->values[n->in[0]].storage < 0) return false;
    if (yki_is_alias(n->op)) return true;
    const yki_storage *storage = &p->out->storages[p->placed->values[n->in[0]].storage];
    bool reduces = n->op == YKI_OP_MOVE + YKI_MOVE_ALL_REDUCE && n->edge < 0;
    yki_in_place in_place = yki_op_in_place(n->op);
    if (!(in_place || reduces) || value_bytes(p, n->in[0]) != value_bytes(p, n->out[0])) return false;
    /* a reduction in place is under way in the memory that it reads: that is no other use */
    if ((reduces ? storage->last_read : storage->last) > p->position[node]) return false;
    for (int k = 1; k < n->nin && in_place != YKI_IN_PLACE_ANY; k++)
        if (n->in[k] >= 0 && p->placed->values[n->in[k]].storage == p->placed->values[n->in[0]].storage)
            return false;
    return !storage->kept || (storage->first_body == YKI_BODY_F && n->body != YKI_BODY_F);
}

static void extend(planner *p, int storage, int value, int node)
{
    yki_storage *s = &p->out->storages[storage];
    int last = p->last_use[value] > p->position[node] ? p->last_use[value] : p->position[node];
    s->last = last > s->last ? last : s->last;
    if (p->last_read[value] > s->last_read) s->last_read = p->last_read[value];
    s->kept |= p->placed->values[value].kept;
    s->moved |= p->placed->values[value].moved;
    p->placed->values[value].storage = storage;
}

static bool assign_storages(planner *p)
{
    const yki_body whole[] = {YKI_BODY_F, YKI_BODY_BW}, apart[] = {YKI_BODY_F, YKI_BODY_B, YKI_BODY_W};
    for (int k = 0; k < (p->out->split ? 3 : 2); k++) {
        yki_body body = p->out->split ? apart[k] : whole[k];
        for (int i = 0; i < p->out->count[body]; i++) {
            int at = p->out->order[body][i];
            yki_placed_node *node = &p->placed->nodes[at];
            for (int o = 0; o < node->nout; o++) {
                yki_placed_value *value = &p->placed->values[node->out[o]];
                if (value->is_gradient || value->cached) continue;
                if (value->storage >= 0) { /* it adds to what is there */
                    extend(p, value->storage, node->out[o], at);
                    continue;
                }
                if (o == 0 && may_share(p, at)) {
                    extend(p, p->placed->values[node->in[0]].storage, node->out[o], at);
                    continue;
                }
                yki_storage *storage = YKI_APPEND(&p->plan->arena, p->out, storages);
                if (!storage) return false;
                *storage = (yki_storage){.bytes = value_bytes(p, node->out[o]),
                                         .edge = -1,
                                         .first = p->position[at],
                                         .first_body = node->body,
                                         .last = p->position[at]};
                extend(p, p->out->nstorages - 1, node->out[o], at);
            }
        }
    }
    return true;
}

/* The body in which each storage is last used, and the space that follows from it. */
static void choose_spaces(planner *p)
{
    for (int s = 0; s < p->out->nstorages; s++)
        p->out->storages[s].last_body = p->out->storages[s].first_body;
    for (int i = 0; i < p->placed->nnodes; i++) {
        const yki_placed_node *node = &p->placed->nodes[i];
        for (int k = 0; k < node->nin + node->nout; k++) {
            int value = k < node->nin ? node->in[k] : node->out[k - node->nin];
            int storage = value >= 0 ? p->placed->values[value].storage : -1;
            if (storage >= 0 && p->out->storages[storage].last_body < node->body)
                p->out->storages[storage].last_body = node->body;
        }
    }
    for (int v = 0; v < p->placed->nvalues; v++) {
        int storage = p->placed->values[v].storage;
        if (storage >= 0 && p->exported[v] && p->out->storages[storage].last_body == YKI_BODY_F)
            p->out->storages[storage].last_body =
                YKI_BODY_B; /* its readers are done before this part's backward */
    }
    for (int s = 0; s < p->out->nstorages; s++) {
        yki_storage *it = &p->out->storages[s];
        bool forward = it->first_body == YKI_BODY_F;
        if (forward && it->last_body != YKI_BODY_F)
            it->space = p->out->split && it->last_body == YKI_BODY_W ? YKI_SPACE_STASH_W : YKI_SPACE_STASH;
        else if (!forward && it->first_body != it->last_body && p->out->split)
            it->space = YKI_SPACE_HOLD;
        else
            it->space = YKI_SPACE_TEMP;
    }
    for (int e = 0; e < p->plan->nedges; e++) {
        const yki_edge *edge = &p->plan->edges[e];
        if (edge->to != p->part || edge->gradient_sent < 0) continue;
        yki_storage *it = &p->out->storages[p->placed->values[edge->gradient_sent].storage];
        it->space = YKI_SPACE_SEND;
        it->edge = e;
    }
}

static void lay_out_slots(planner *p)
{
    for (int s = 0; s < p->out->nstorages; s++) {
        yki_storage *it = &p->out->storages[s];
        int group = it->space == YKI_SPACE_STASH     ? 0
                    : it->space == YKI_SPACE_STASH_W ? 1
                    : it->space == YKI_SPACE_HOLD    ? 2
                                                     : -1;
        if (group < 0) continue;
        it->offset[0] = p->out->area_bytes[group];
        p->out->area_bytes[group] += yki_align(it->bytes);
        *(it->moved ? &p->out->area_moved[group] : &p->out->area_own[group]) += it->bytes;
    }
}

/* What tensors hold at once at most, within a body. */
static void note_peak(planner *p, yki_body body, const yki_interval *intervals, const int *of, int count,
                      int64_t region)
{
    int64_t best = -1, own_best = 0, moved_best = 0;
    int layer = -1;
    for (int i = 0; i < count; i++) {
        int64_t own = 0, moved = 0;
        for (int k = 0; k < count; k++)
            if (intervals[k].start <= intervals[i].start && intervals[i].start <= intervals[k].end)
                *(p->out->storages[of[k]].moved ? &moved : &own) += intervals[k].bytes;
        if (own + moved > best) {
            best = own + moved, own_best = own, moved_best = moved;
            layer = p->placed->nodes[p->out->order[body][intervals[i].start]].layer;
        }
    }
    if (region > p->out->temp_bytes) {
        p->out->temp_bytes = region;
        p->out->temp_own = own_best;
        p->out->temp_moved = moved_best;
        p->out->peak_layer = layer;
    }
}

/* Offsets of what lives within one body. */
static bool pack_body(planner *p, yki_body body)
{
    int n = p->out->nstorages, count = 0;
    int *first = malloc(sizeof(int) * (size_t)(n + 1)), *last = malloc(sizeof(int) * (size_t)(n + 1));
    int *of = malloc(sizeof(int) * (size_t)(n + 1));
    yki_interval *intervals = malloc(sizeof *intervals * (size_t)(n + 1));
    bool done = first && last && of && intervals;
    for (int s = 0; s < n && done; s++) first[s] = last[s] = -1;
    for (int i = 0; i < p->out->count[body] && done; i++) {
        const yki_placed_node *node = &p->placed->nodes[p->out->order[body][i]];
        for (int k = 0; k < node->nin + node->nout; k++) {
            int value = k < node->nin ? node->in[k] : node->out[k - node->nin];
            int s = value >= 0 ? p->placed->values[value].storage : -1;
            if (s < 0 || p->out->storages[s].space != YKI_SPACE_TEMP) continue;
            int until = k == 0 && is_under_way(node) ? first_reader(p, body, i) : i;
            first[s] = first[s] < 0 ? i : first[s];
            last[s] = until > last[s] ? until : last[s];
        }
    }
    for (int s = 0; s < n && done; s++)
        if (first[s] >= 0) {
            of[count] = s;
            intervals[count++] = (yki_interval){first[s], last[s], p->out->storages[s].bytes, 0};
        }
    int64_t region = done ? yki_pack(intervals, count) : -1;
    for (int i = 0; i < count && region >= 0; i++) p->out->storages[of[i]].offset[body] = intervals[i].offset;
    if (region >= 0) note_peak(p, body, intervals, of, count, region);
    free(first);
    free(last);
    free(of);
    free(intervals);
    return region >= 0;
}

yoke_status yki_storage_plan(yki_plan *plan, int class, int part, bool split, yki_part_storage *storage_out)
{
    *storage_out = (yki_part_storage){.split = split, .peak_layer = -1};
    planner p = {.plan = plan, .placed = &plan->placed[class][part], .out = storage_out, .part = part};
    size_t nnodes = (size_t)p.placed->nnodes + 1, nvalues = (size_t)p.placed->nvalues + 1;
    p.position = yki_arena_alloc(&plan->arena, sizeof(int) * nnodes);
    p.last_use = yki_arena_alloc(&plan->arena, sizeof(int) * nvalues);
    p.last_read = yki_arena_alloc(&plan->arena, sizeof(int) * nvalues);
    p.exported = yki_arena_alloc(&plan->arena, nvalues);
    if (plan->arena.failed || !order_bodies(&p)) return yki_fail_memory("a plan");
    find_uses(&p);
    if (!assign_storages(&p)) return yki_fail_memory("a plan");
    choose_spaces(&p);
    lay_out_slots(&p);
    for (int body = 0; body < YKI_BODY_COUNT; body++)
        if ((body == YKI_BODY_F || (split || body == YKI_BODY_BW)) && !pack_body(&p, (yki_body)body))
            return yki_fail_memory("a plan");
    return YOKE_OK;
}
