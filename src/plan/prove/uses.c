/* What instructions do, as far as that takes more than a line. */
#include "plan/prove/uses.h"

bool yki_works_in_place(const yki_instruction *in, int read)
{
    if (in->kind != YKI_DO_KERNEL) return yki_movements[in->op - YKI_OP_MOVE].in_place;
    yki_in_place in_place = yki_op_in_place(in->op);
    return in_place == YKI_IN_PLACE_ANY || (in_place && read == 0);
}

static bool is_same_operand(const yki_operand *a, const yki_operand *b)
{
    return a->space == b->space && a->index == b->index && a->value == b->value && a->offset == b->offset &&
           a->dtype == b->dtype && a->per_sample == b->per_sample &&
           yki_operand_elems(a) == yki_operand_elems(b);
}

bool yki_is_end_of(const yki_instruction *wait, const yki_instruction *start)
{
    if (wait->kind != start->kind || wait->op != start->op || wait->noperands != start->noperands ||
        yki_group_of(wait) != yki_group_of(start) || yki_runs_once(wait) != yki_runs_once(start))
        return false;
    for (int i = 0; i < wait->noperands; i++)
        if (!is_same_operand(&wait->operands[i], &start->operands[i])) return false;
    if (wait->kind == YKI_DO_COPY)
        return wait->as.copy.edge == start->as.copy.edge &&
               wait->as.copy.gradient == start->as.copy.gradient &&
               wait->as.copy.sends == start->as.copy.sends;
    if (wait->kind != YKI_DO_MOVE_STATES || yki_runs_once(start)) return true;
    return wait->as.move_states.pieces == start->as.move_states.pieces &&
           wait->as.move_states.npieces == start->as.move_states.npieces;
}

static bool is_same_share(const int64_t *a, const int64_t *b, int members)
{
    for (int i = 0; i < members && a && b && a != b; i++)
        if (a[i] != b[i]) return false;
    return !a == !b;
}

static bool is_same_cut(const yki_cut *a, const yki_cut *b, int members)
{
    return a->outer == b->outer && a->inner == b->inner && is_same_share(a->share, b->share, members);
}

static bool is_same_exchange(const yki_exchange *a, const yki_exchange *b, int members)
{
    return a->outer == b->outer && a->mid == b->mid && a->inner == b->inner && !a->back == !b->back &&
           is_same_share(a->share_a, b->share_a, members) && is_same_share(a->share_b, b->share_b, members);
}

/* Of a micro-batch's tensor. */
static bool is_same_move(const yki_instruction *a, const yki_instruction *b, int members)
{
    const struct yki_do_move *x = &a->as.move, *y = &b->as.move;
    const yki_operand *to = &a->operands[1], *other = &b->operands[1];
    bool whole = a->op == YKI_OP_MOVE + YKI_MOVE_ALL_REDUCE;
    return to->dtype == other->dtype && to->per_sample == other->per_sample && x->reduction == y->reduction &&
           x->back == y->back && is_same_cut(&x->cut, &y->cut, members) &&
           is_same_exchange(&x->exchange, &y->exchange, members) &&
           (!whole || yki_operand_elems(to) == yki_operand_elems(other));
}

/* Of what ranks keep of parameters. */
static bool is_same_move_of_states(const yki_plan *plan, const yki_program *p,
                                   const struct yki_do_move_states *x, const yki_program *q,
                                   const struct yki_do_move_states *y)
{
    if (x->tensor != y->tensor || x->dtype != y->dtype || x->npieces != y->npieces) return false;
    for (int i = 0; i < x->npieces; i++) {
        const yki_local_parameter *a = &p->parameters[x->pieces[i].parameter],
                                  *b = &q->parameters[y->pieces[i].parameter];
        if (a->parameter != b->parameter || a->elems != b->elems ||
            !is_same_cut(&a->cut, &b->cut, plan->shards))
            return false;
    }
    return true;
}

bool yki_is_same_movement(const yki_plan *plan, const yki_program *program, const yki_instruction *in,
                          const yki_program *other, const yki_instruction *first)
{
    if (in->kind != first->kind || in->op != first->op) return false;
    if (in->kind == YKI_DO_MOVE_STATES)
        return is_same_move_of_states(plan, program, &in->as.move_states, other, &first->as.move_states);
    return is_same_move(in, first, plan->groups[in->as.move.group].size);
}

/* Of each sample, where it is one of samples: elements of its input and of its output. */
static void sizes_of(const yki_instruction *in, int member, int members, int64_t sizes[2])
{
    const yki_cut *cut = &in->as.move.cut;
    const yki_exchange *x = &in->as.move.exchange;
    int next = (member + (in->as.move.back ? 1 : members - 1)) % members;
    int64_t rows = cut->outer * cut->inner, block = x->outer * x->mid * x->inner;
    switch (in->op - YKI_OP_MOVE) {
    case YKI_MOVE_COPY:
        sizes[0] = rows * cut->share[member], sizes[1] = rows * cut->share[next];
        break;
    case YKI_MOVE_ALL_GATHER:
        sizes[0] = rows * cut->share[member], sizes[1] = rows * yki_shares_before(cut->share, members);
        break;
    case YKI_MOVE_SHARD:
    case YKI_MOVE_REDUCE_SCATTER:
        sizes[0] = rows * yki_shares_before(cut->share, members), sizes[1] = rows * cut->share[member];
        break;
    case YKI_MOVE_ALL_TO_ALL:
        sizes[x->back] = block * x->share_a[member] * yki_shares_before(x->share_b, members);
        sizes[!x->back] = block * yki_shares_before(x->share_a, members) * x->share_b[member];
        break;
    default:
        sizes[0] = sizes[1] = yki_operand_elems(&in->operands[1]);
    }
}

bool yki_fits_cut(const yki_instruction *in, int member, int members)
{
    int64_t sizes[2];
    const struct yki_do_move *move = &in->as.move;
    const yki_operand *from = &in->operands[0], *to = &in->operands[1];
    bool cuts = in->op != YKI_OP_MOVE + YKI_MOVE_ALL_REDUCE,
         exchanges = in->op == YKI_OP_MOVE + YKI_MOVE_ALL_TO_ALL;
    if (in->noperands != 2 || from->dtype != to->dtype || from->per_sample != to->per_sample) return false;
    if (cuts && (exchanges ? !move->exchange.share_a || !move->exchange.share_b : !move->cut.share))
        return false;
    sizes_of(in, member, members, sizes);
    return yki_operand_elems(from) == sizes[0] && yki_operand_elems(to) == sizes[1];
}
