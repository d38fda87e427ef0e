/* Context parallelism's tokens, and attention over them.
 *
 * Ring: the sequence is cut into 2 cp chunks, of which rank r has r and 2 cp - 1 - r: under a causal mask
 * each then sees as many pairs of a query and a key. Keys and values go round, a hop ahead of their use, and
 * what a rank's queries saw is put together part by part. Back, they go round the other way, from where they
 * ended: so the gradient of each part follows its keys home, and each rank's own part, which needs no hop, is
 * computed while the first one is under way. (Liu et al., "Ring Attention with Blockwise Transformers", 2023;
 * Brandon et al., "Striped Attention", 2023, for the balance; docs/decisions/0011.)
 *
 * Ulysses: each rank has one run of tokens, and for attention all tokens of a share of the heads (Jacobs et
 * al., "DeepSpeed Ulysses", 2023). */
#include "plan/context.h"

#include "base/fail.h"

static int64_t length_of(const yki_plan *plan)
{
    return plan->options.model->values[plan->options.model->input].dims[0];
}

yki_positions yki_context_positions(const yki_plan *plan, int rank, int64_t *count_out)
{
    int cp = plan->mesh.degree[YKI_AXIS_CP];
    int64_t T = length_of(plan);
    if (cp == 1 || plan->options.layout.cp_kind == YOKE_CP_ULYSSES) {
        *count_out = yki_share(T, cp, rank);
        return (yki_positions){.first = yki_share_start(T, cp, rank)};
    }
    int64_t first = yki_share(T, 2 * cp, rank), second = yki_share(T, 2 * cp, 2 * cp - 1 - rank);
    *count_out = first + second;
    yki_positions at = {.first = yki_share_start(T, 2 * cp, rank), .split = first};
    at.jump = yki_share_start(T, 2 * cp, 2 * cp - 1 - rank) - at.first - first;
    return at;
}

static int64_t tokens(const yki_plan *plan, int rank)
{
    int64_t count;
    yki_context_positions(plan, rank, &count);
    return count;
}

yoke_status yki_context_check(const yki_plan *plan)
{
    const yoke_model *model = plan->options.model;
    int cp = plan->mesh.degree[YKI_AXIS_CP];
    if (cp == 1) return YOKE_OK;
    if (!model->is_sequence)
        return yki_fail(YOKE_INVALID,
                        "cp %d: context parallelism splits sequences of tokens, and this model's samples are "
                        "none; choose cp 1",
                        cp);
    int64_t T = length_of(plan);
    for (int i = 0; i < model->nnodes; i++) {
        const yki_node *node = &model->nodes[i];
        yki_tokens tokens = yki_op(node->op)->tokens;
        bool mixes = tokens == YKI_TOKENS_MIXED;
        if (tokens == YKI_TOKENS_ATTENDED) continue;
        if (tokens == YKI_TOKENS_KEPT)
            return yki_fail(
                YOKE_INVALID,
                "cp %d: layer '%s' has a weight or statistics for each token of a sequence, of which "
                "devices would have shares; choose cp 1",
                cp, model->layers[node->layer].name);
        for (int k = 0; k < node->nin + node->nout; k++) {
            int index = k < node->nin ? node->in[k] : node->out[k - node->nin];
            const yki_value *value = index >= 0 ? &model->values[index] : NULL;
            if (!value || !value->per_sample) continue;
            mixes |= value->dims[0] != T || (value->role == YKI_ROLE_ACTIVATION && value->ndim != 2);
        }
        if (mixes)
            return yki_fail(YOKE_INVALID,
                            "cp %d: layer '%s' sees several tokens of a sequence at once, and only attention "
                            "may, where devices have shares of it; choose cp 1",
                            cp, model->layers[node->layer].name);
    }
    return YOKE_OK;
}

/* What is being built: one attention of one lane. */
typedef struct builder {
    yki_plan *plan;
    yki_placed *placed;
    const yki_placed_node *node;
    int cp, rank;
} builder;

/* A node with one output, of samples. */
static int add(builder *b, int op, int nin, const int *in, yki_role role, int64_t rows, int64_t width)
{
    bool wants = false;
    for (int i = 0; i < nin; i++) wants |= in[i] >= 0 && b->placed->values[in[i]].wants;
    yki_placed_value value = {.role = role,
                              .per_sample = true,
                              .ndim = 2,
                              .dims = {rows, width},
                              .parameter = -1,
                              .gathered = -1,
                              .producer = b->placed->nnodes,
                              .wants = wants};
    int made = yki_placed_value_add(b->plan, b->placed, &value);
    yki_placed_node *node = yki_placed_node_add(b->plan, b->placed, op, YKI_BODY_F, b->node->layer);
    if (made < 0 || !node) return -1;
    node->axis = YKI_AXIS_CP;
    node->nin = nin;
    for (int i = 0; i < nin; i++) node->in[i] = in[i];
    node->nout = 1;
    node->out[0] = made;
    return made;
}

static yki_placed_node *last_node(builder *b)
{
    return &b->placed->nodes[b->placed->nnodes - 1];
}

/* Another output of the last node. */
static int add_output(builder *b, yki_role role, int64_t rows, int64_t width)
{
    yki_placed_value value = b->placed->values[last_node(b)->out[0]];
    value.role = role;
    value.dims[0] = rows, value.dims[1] = width;
    int made = yki_placed_value_add(b->plan, b->placed, &value);
    if (made >= 0) last_node(b)->out[last_node(b)->nout++] = made;
    return made;
}

/* Who had, before a hop, what rank r + turn had at first. */
static yki_cut turned_cut(yki_plan *plan, int turn, int64_t inner)
{
    int cp = plan->mesh.degree[YKI_AXIS_CP];
    int64_t *share = yki_arena_alloc(&plan->arena, sizeof *share * (size_t)cp);
    for (int r = 0; r < cp && share; r++) share[r] = tokens(plan, (r + turn + cp) % cp);
    return (yki_cut){.outer = 1, .inner = inner, .share = share};
}

/* --- ring --- */

/* q, and k and v side by side. */
static bool ring_operands(builder *b, int *q, int *kv)
{
    const int *in = b->node->in;
    const yki_placed_value *values = b->placed->values;
    int64_t rows = values[in[0]].dims[0], width = values[in[0]].dims[1];
    if (b->node->nin == 1) {
        *q = add(b, YKI_KERNEL_SPLIT, 1, in, YKI_ROLE_ACTIVATION, rows, width / 3);
        *kv = *q < 0 ? -1 : add_output(b, YKI_ROLE_ACTIVATION, rows, width / 3 * 2);
    } else {
        *q = in[0];
        *kv = add(b, YKI_KERNEL_JOIN, 2, in + 1, YKI_ROLE_ACTIVATION, rows, 2 * values[in[1]].dims[1]);
    }
    return *kv >= 0;
}

/* The constants of a part: this rank's queries over the keys of rank `whose`. */
static yki_attr part_attr(const yki_plan *plan, const yki_attr *attr, int rank, int whose)
{
    yki_attr part = *attr;
    int64_t count;
    part.rows = yki_context_positions(plan, rank, &count);
    part.keys = yki_context_positions(plan, whose, &count);
    part.length = length_of(plan);
    return part;
}

static yoke_status ring(builder *b, int *y_out, int *lse_out)
{
    yki_attr attr = b->node->attr;
    int q, kv0, y = -1, lse = -1;
    int64_t heads = b->placed->values[b->node->in[0]].dims[1] / attr.width;
    if (b->node->nin == 1) heads /= 3, attr.group = 1, attr.first_group = attr.offset; /* q, k, v in one */
    if (!ring_operands(b, &q, &kv0)) return yki_fail_memory("a plan");
    int64_t rows = tokens(b->plan, b->rank), width = heads * attr.width;
    int64_t kv_width = b->placed->values[kv0].dims[1];
    for (int j = 0, kv = kv0, next = -1; j < b->cp; j++, kv = next) {
        bool last = j == b->cp - 1;
        if (!last) {
            next = add(b, YKI_OP_MOVE + YKI_MOVE_COPY, 1, &kv, YKI_ROLE_ACTIVATION,
                       tokens(b->plan, (b->rank - j - 1 + b->cp) % b->cp), kv_width);
            if (next < 0) return yki_fail_memory("a plan");
            last_node(b)->cut = turned_cut(b->plan, -j, kv_width);
            b->placed->values[next].wants = false;
            b->placed->values[next].moved = true;
        }
        int in[] = {y, lse, q, kv, kv0};
        y = add(b, YKI_KERNEL_ATTEND, last ? 5 : 4, in, YKI_ROLE_ACTIVATION, rows, width);
        lse = y < 0 ? -1 : add_output(b, YKI_ROLE_STATISTIC, heads, rows);
        if (lse < 0) return yki_fail_memory("a plan");
        last_node(b)->attr = part_attr(b->plan, &attr, b->rank, (b->rank - j + b->cp) % b->cp);
        b->placed->values[y].wants &= last;
        b->placed->values[y].summed = !last;
        b->placed->values[lse].wants = false;
    }
    *y_out = y, *lse_out = lse;
    return YOKE_OK;
}

/* A hop back: what a rank has of rank + turn - 1's makes way for what there is of rank + turn's. */
static int hop_back(yki_plan *plan, yki_placed *placed, int rank, yki_grad_context *c, int value, int turn)
{
    static const yki_attr none;
    int cp = plan->mesh.degree[YKI_AXIS_CP];
    int moved = c->emit(c, YKI_OP_MOVE + YKI_MOVE_COPY, &none, 1, &value, value);
    if (moved < 0) return -1;
    yki_placed_value *made = &placed->values[moved];
    yki_placed_node *node = &placed->nodes[placed->nnodes - 1];
    made->dims[0] = tokens(plan, (rank + turn) % cp);
    made->moved = true;
    node->axis = YKI_AXIS_CP;
    node->back = true;
    node->cut = turned_cut(plan, turn - 1, made->dims[1]);
    return moved;
}

/* Adds dq of the part over the keys `kv` of rank + turn to *dq; returns their gradient. */
static int part_gradient(yki_plan *plan, yki_placed *placed, int rank, yki_grad_context *c, int kv, int turn,
                         int *dq)
{
    int cp = plan->mesh.degree[YKI_AXIS_CP], q = c->in(c, 2), out[2];
    yki_attr attr = part_attr(plan, c->attr, rank, (rank + turn) % cp);
    int in[] = {*dq, c->dout(c, 0), q, kv, c->out(c, 0), c->out(c, 1)}, like[] = {q, kv};
    c->emit_several(c, YKI_KERNEL_ATTEND_GRAD, &attr, 6, in, 2, like, out);
    if (out[1] < 0) return -1;
    placed->values[out[0]].summed = turn != cp - 1;
    placed->values[out[1]].summed = true;
    *dq = out[0];
    return out[1];
}

void yki_context_gradient(yki_plan *plan, yki_placed *placed, int lane, yki_grad_context *c)
{
    static const yki_attr none;
    int cp = plan->mesh.degree[YKI_AXIS_CP], rank = lane / plan->mesh.degree[YKI_AXIS_TP];
    int kv = hop_back(plan, placed, rank, c, c->in(c, 4), 1), dq = -1, carried = -1;
    int own = kv < 0 ? -1 : part_gradient(plan, placed, rank, c, c->in(c, 4), 0, &dq);
    for (int turn = 1; turn < cp && kv >= 0 && own >= 0; turn++) {
        int next = turn + 1 < cp ? hop_back(plan, placed, rank, c, kv, turn + 1) : kv;
        int part = part_gradient(plan, placed, rank, c, kv, turn, &dq);
        if (next < 0 || part < 0) return;
        if (carried >= 0) part = c->emit(c, YKI_KERNEL_ADD, &none, 2, (int[]){carried, part}, part);
        carried = part < 0 ? -1 : hop_back(plan, placed, rank, c, part, turn + 1);
        if (carried < 0) return;
        kv = next;
    }
    if (carried < 0) return;
    c->give(c, 2, dq);
    c->give(c, 4, c->emit(c, YKI_KERNEL_ADD, &none, 2, (int[]){carried, own}, own));
}

/* --- ulysses --- */

/* The cut of an operand that has tokens and units (heads) of `inner` elements, `mid` blocks of them. */
static bool exchange(builder *b, int64_t mid, int64_t units, int64_t inner, bool back)
{
    int64_t *share_b = yki_arena_alloc(&b->plan->arena, sizeof *share_b * (size_t)b->cp);
    if (!share_b) return false;
    for (int r = 0; r < b->cp; r++) share_b[r] = yki_share(units, b->cp, r);
    yki_cut tokens_cut = turned_cut(b->plan, 0, 1);
    last_node(b)->gradient_state = YKI_SHARDED;
    last_node(b)->exchange = (yki_exchange){1, mid, inner, tokens_cut.share, share_b, back};
    return tokens_cut.share != NULL;
}

/* From a share of the tokens to a share of `units` heads of all tokens, each in `mid` blocks. */
static int to_heads(builder *b, int value, int64_t mid, int64_t units)
{
    int64_t width = b->placed->values[value].dims[1];
    int moved = add(b, YKI_OP_MOVE + YKI_MOVE_ALL_TO_ALL, 1, &value, YKI_ROLE_ACTIVATION, length_of(b->plan),
                    width / b->cp);
    return moved >= 0 && exchange(b, mid, units, width / units / mid, false) ? moved : -1;
}

/* All heads of all tokens: what heads of k and v that cannot be divided become. */
static int to_all(builder *b, int value)
{
    int64_t width = b->placed->values[value].dims[1];
    int moved =
        add(b, YKI_OP_MOVE + YKI_MOVE_ALL_GATHER, 1, &value, YKI_ROLE_ACTIVATION, length_of(b->plan), width);
    if (moved < 0) return -1;
    last_node(b)->cut = turned_cut(b->plan, 0, width);
    last_node(b)->gradient_state = YKI_PARTIAL; /* each rank reads the heads of its queries */
    return moved;
}

static yoke_status ulysses(builder *b, int *y_out, int *lse_out)
{
    const yki_placed_node *node = b->node;
    yki_attr attr = node->attr;
    int64_t blocks = node->nin == 1 ? 3 : 1,
            heads = b->placed->values[node->in[0]].dims[1] / attr.width / blocks;
    if (heads % b->cp)
        return yki_fail(
            YOKE_INVALID,
            "layer '%s' has %lld attention heads on a device, which context parallelism of kind "
            "ulysses over %d devices cannot divide; choose a cp that divides them, or cp_kind ring",
            b->plan->options.model->layers[node->layer].name, (long long)heads, b->cp);
    int in[3] = {to_heads(b, node->in[0], blocks, heads)};
    for (int i = 1; i < node->nin; i++) {
        int64_t groups = b->placed->values[node->in[i]].dims[1] / attr.width;
        bool divides = groups * attr.group == heads && groups % b->cp == 0;
        in[i] = divides ? to_heads(b, node->in[i], 1, groups) : to_all(b, node->in[i]);
        if (divides && i == 1) attr.first_group += groups / b->cp * b->rank;
    }
    attr.offset += heads / b->cp * b->rank;
    for (int i = 0; i < node->nin; i++)
        if (in[i] < 0) return yki_fail_memory("a plan");
    int64_t mine = heads / b->cp, length = length_of(b->plan);
    int y = add(b, node->op, node->nin, in, YKI_ROLE_ACTIVATION, length, mine * attr.width);
    int lse = y < 0 ? -1 : add_output(b, YKI_ROLE_STATISTIC, mine, length);
    if (lse < 0) return yki_fail_memory("a plan");
    last_node(b)->attr = attr;
    *lse_out = lse;
    *y_out = add(b, YKI_OP_MOVE + YKI_MOVE_ALL_TO_ALL, 1, &y, YKI_ROLE_ACTIVATION, tokens(b->plan, b->rank),
                 heads * attr.width);
    return *y_out >= 0 && exchange(b, 1, heads, attr.width, true) ? YOKE_OK : yki_fail_memory("a plan");
}

yoke_status yki_context_attend(yki_plan *plan, yki_placed *placed, int lane, const yki_placed_node *node,
                               int *y_out, int *lse_out)
{
    builder b = {.plan = plan, .placed = placed, .node = node, .cp = plan->mesh.degree[YKI_AXIS_CP]};
    b.rank = lane / plan->mesh.degree[YKI_AXIS_TP];
    return plan->options.layout.cp_kind == YOKE_CP_ULYSSES ? ulysses(&b, y_out, lse_out)
                                                           : ring(&b, y_out, lse_out);
}
