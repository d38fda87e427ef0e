/* The update of matrices whose rule is orthogonal: each is brought together from those who have parts of it,
 * made orthogonal by products (Newton-Schulz), and each rank takes its own elements of what comes of it. All
 * ranks that have parts of a matrix, and all replicas, do the same products: nothing but the parts is moved.
 *
 * The direction of an update lies in its gradient's memory. Where that is a part of the matrix, the whole is
 * made in temporary memory, which matrices have one after the other:
 *   X  the matrix   Y  (bA + cA^2) X; before and after, a lane's share of it   A  X X^T   B  A^2, bA + cA^2
 */
#include "plan/matrices.h"

#include "plan/tail.h"

typedef enum place { X, Y, A, B, PLACES } place;

typedef struct matrix {
    yki_builder *b;
    yki_code *code;
    const yki_orthogonal *rule;
    int parameter; /* the program's */
    const yki_local_parameter *local;
    const yki_param_place *at;
    int64_t rows, columns, shorter; /* in memory, of the whole */
    int64_t offset[PLACES];
} matrix;

static bool is_orthogonal(const yki_builder *b, const yki_local_parameter *p)
{
    return !p->frozen && yki_plan_rule(b->plan, p->parameter)->orthogonal;
}

/* Where the tensors of one matrix lie in temporary memory; returns its bytes. */
static int64_t lay_out(int64_t rows, int64_t columns, int64_t offset[PLACES])
{
    int64_t shorter = rows < columns ? rows : columns;
    int64_t large = yki_align(4 * rows * columns), small = yki_align(4 * shorter * shorter);
    offset[X] = 0, offset[Y] = large, offset[A] = 2 * large, offset[B] = offset[A] + small;
    return offset[B] + small;
}

static const yki_value *value_of(const yki_builder *b, const yki_local_parameter *p)
{
    const yoke_model *model = b->plan->options.model;
    return &model->values[model->parameters[p->parameter].value];
}

int64_t yki_matrices_bytes(const yki_builder *b)
{
    int64_t most = 0, offset[PLACES];
    for (int i = 0; i < b->program->nparameters && !!yki_plan_trains(b->plan); i++) {
        const yki_local_parameter *p = &b->program->parameters[i];
        if (!is_orthogonal(b, p)) continue;
        int64_t bytes = lay_out(value_of(b, p)->dims[0], value_of(b, p)->dims[1], offset);
        if (bytes > most) most = bytes;
    }
    return most;
}

int yki_matrices_instructions(const yki_builder *b)
{
    int count = 0, each = 5 + 5 * b->plan->options.orthogonal.steps;
    for (int i = 0; i < b->program->nparameters; i++)
        if (is_orthogonal(b, &b->program->parameters[i])) count += each;
    return count;
}

/* ---- operands ---- */

/* A new tensor in temporary memory. */
static yki_operand make(matrix *m, place at, int64_t rows, int64_t columns)
{
    yki_program *program = m->b->program;
    program->made[program->nmade] = (yki_made){m->parameter, rows * columns};
    return (yki_operand){.space = YKI_SPACE_TEMP,
                         .value = program->nmade++,
                         .offset = m->offset[at],
                         .dtype = YKI_F32,
                         .ndim = 2,
                         .dims = {rows, columns}};
}

/* The lane's share of the direction: in the gradient's memory, where that has it, or in temporary memory. */
static yki_operand share(matrix *m)
{
    const int64_t *dims = m->local->dims;
    if (yki_states_sharded(m->b->plan, YKI_TENSOR_GRADIENT)) return make(m, Y, dims[0], dims[1]);
    return (yki_operand){.space = YKI_SPACE_GRADIENT,
                         .index = m->parameter,
                         .dtype = YKI_F32,
                         .ndim = 2,
                         .dims = {dims[0], dims[1]}};
}

/* As kernels see it that know no rows. */
static yki_operand flat(yki_operand operand)
{
    operand.dims[0] *= operand.dims[1];
    operand.ndim = 1;
    return operand;
}

/* ---- instructions ---- */

static yki_instruction *append(matrix *m, yki_instruction_kind kind, int op, const yki_operand *operands,
                               int count)
{
    yki_instruction *in = &m->code->instructions[m->code->count++];
    *in = (yki_instruction){.kind = kind, .op = op, .layer = -1, .request = -1, .noperands = count};
    if (count > 0) in->operands = yki_arena_alloc(&m->b->plan->arena, sizeof *operands * (size_t)count);
    for (int i = 0; i < count; i++) in->operands[i] = operands[i];
    return in;
}

static void launch(matrix *m, yki_kernel kernel, yki_attr constants, const yki_operand *operands, int ninputs)
{
    yki_attr *attr = yki_arena_alloc(&m->b->plan->arena, sizeof *attr);
    *attr = constants;
    append(m, YKI_DO_KERNEL, (int)kernel, operands, ninputs + 1)->as.kernel =
        (struct yki_do_kernel){.attr = attr, .number = m->b->program->nkernels++, .ninputs = ninputs};
}

/* out = x y^T */
static void multiply(matrix *m, yki_operand x, yki_operand y, yki_operand out)
{
    launch(m, YKI_KERNEL_LINEAR, (yki_attr){0}, (yki_operand[]){x, y, {0}, out}, 3);
}

/* out = of_a a + of_b b; it may lie where a does */
static void combine(matrix *m, yki_operand a, double of_a, yki_operand b, double of_b, yki_operand out)
{
    launch(m, YKI_KERNEL_COMBINE, (yki_attr){.of_a = of_a, .of_b = of_b},
           (yki_operand[]){flat(a), flat(b), flat(out)}, 2);
}

/* Between the rank's own elements and the lane's share, over zero's shards. */
static void move_shards(matrix *m, yki_move move, const yki_operand *lane)
{
    yki_state_piece *piece = yki_arena_alloc(&m->b->plan->arena, sizeof *piece);
    *piece = (yki_state_piece){.parameter = m->parameter, .all = lane ? *lane : (yki_operand){0}};
    append(m, YKI_DO_MOVE_STATES, YKI_OP_MOVE + (int)move, NULL, 0)->as.move_states =
        (struct yki_do_move_states){.group = YKI_GROUP_SHARDS,
                                    .tensor = YKI_TENSOR_GRADIENT,
                                    .dtype = YKI_F32,
                                    .npieces = 1,
                                    .pieces = piece,
                                    .first_piece = m->b->program->npieces++};
}

/* How the whole is cut into lanes' shares: in each section of the dim that is cut, in their order. */
static yki_cut cut_of(const matrix *m)
{
    yki_spec spec = m->at->spec;
    const yki_group *group = &m->b->plan->groups[m->at->whole_group];
    int64_t size = spec.dim == 0 ? m->rows : m->columns;
    int64_t *shares = yki_arena_alloc(&m->b->plan->arena, sizeof *shares * (size_t)group->size);
    for (int i = 0; i < group->size; i++)
        shares[i] = yki_spec_share(spec, size, m->b->plan->mesh.degree[YKI_AXIS_TP], i * group->stride) /
                    spec.sections;
    return (yki_cut){.outer = spec.sections * (spec.dim == 0 ? 1 : m->rows),
                     .inner = spec.dim == 0 ? m->columns : 1,
                     .share = shares};
}

static void move_lanes(matrix *m, yki_move move, yki_operand from, yki_operand to)
{
    append(m, YKI_DO_MOVE, YKI_OP_MOVE + (int)move, (yki_operand[]){from, to}, 2)->as.move =
        (struct yki_do_move){.group = m->at->whole_group, .cut = cut_of(m)};
}

/* ---- one matrix ---- */

/* The whole of its direction, of norm 1 at most. */
static yki_operand bring(matrix *m)
{
    yki_operand whole = share(m), x;
    if (m->b->plan->zero > 0)
        move_shards(m, YKI_MOVE_ALL_GATHER, whole.space == YKI_SPACE_TEMP ? &whole : NULL);
    if (m->at->whole_group >= 0) {
        yki_operand lane = whole;
        whole = make(m, X, m->rows, m->columns);
        move_lanes(m, YKI_MOVE_ALL_GATHER, lane, whole);
    }
    x = make(m, X, m->rows, m->columns);
    launch(m, YKI_KERNEL_UNIT, (yki_attr){.eps = m->rule->eps}, (yki_operand[]){flat(whole), flat(x)}, 1);
    return x;
}

/* (bA + cA^2) X for A = X X^T; of a tall X the products are those of its transpose, which need none made. */
static yki_operand iterate(matrix *m, yki_operand x)
{
    bool tall = m->rows > m->columns;
    yki_operand a = make(m, A, m->shorter, m->shorter), squared = make(m, B, m->shorter, m->shorter),
                b = make(m, B, m->shorter, m->shorter), y = make(m, Y, m->rows, m->columns);
    if (tall)
        launch(m, YKI_KERNEL_LINEAR_DW, (yki_attr){0}, (yki_operand[]){x, x, a}, 2);
    else
        multiply(m, x, x, a);
    multiply(m, a, a, squared);
    combine(m, squared, m->rule->c, a, m->rule->b, b);
    if (tall)
        multiply(m, x, b, y);
    else
        launch(m, YKI_KERNEL_LINEAR_DX, (yki_attr){0}, (yki_operand[]){b, x, y}, 2);
    return y;
}

static void add_matrix(matrix *m)
{
    bool cut = m->at->whole_group >= 0;
    yki_operand x = bring(m), lane = {0};
    for (int step = 1; step <= m->rule->steps; step++) {
        yki_operand y = iterate(m, x);
        if (step == m->rule->steps && !cut) {
            lane = share(m);
            combine(m, y, 1, x, m->rule->a, lane);
        } else {
            yki_operand next = make(m, X, m->rows, m->columns);
            combine(m, x, m->rule->a, y, 1, next);
            x = next;
        }
    }
    if (cut) {
        lane = share(m);
        move_lanes(m, YKI_MOVE_SHARD, x, lane);
    }
    if (lane.space == YKI_SPACE_TEMP) move_shards(m, YKI_MOVE_SHARD, &lane);
}

void yki_add_matrices(yki_builder *b, yki_code *code)
{
    yki_program *program = b->program;
    program->made =
        yki_arena_alloc(&b->plan->arena, sizeof *program->made * (size_t)(yki_matrices_instructions(b) + 1));
    for (int i = 0; i < program->nparameters; i++) {
        const yki_local_parameter *p = &program->parameters[i];
        if (!is_orthogonal(b, p)) continue;
        const yki_value *value = value_of(b, p);
        matrix m = {.b = b,
                    .code = code,
                    .rule = &b->plan->options.orthogonal,
                    .parameter = i,
                    .local = p,
                    .at = &b->plan->param_places[p->parameter],
                    .rows = value->dims[0],
                    .columns = value->dims[1],
                    .shorter = value->dims[value->dims[0] > value->dims[1]]};
        lay_out(m.rows, m.columns, m.offset);
        add_matrix(&m);
    }
}
