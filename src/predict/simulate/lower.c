/* Bodies as few steps: what is computed between two movements is one, however many kernels it is. */
#include "backend/signature.h"
#include "base/fail.h"
#include "predict/predict.h"
#include "predict/simulate/simulate.h"

typedef struct lowering {
    const yki_plan *plan;
    const yki_costs *costs;
    bool apart;
    int lane, part; /* -1: a step's end */
    const yki_program *program;
    const yki_states *states;
    int64_t samples;
    yki_lowered out;
} lowering;

/* launching: what the host takes beside. */
static void spend(lowering *l, double seconds, double launching, bool again)
{
    yki_timed *last = l->out.count > 0 ? &l->out.steps[l->out.count - 1] : NULL;
    if (!last || last->kind != YKI_STEP_COMPUTE || l->apart) {
        last = &l->out.steps[l->out.count++];
        *last = (yki_timed){.kind = YKI_STEP_COMPUTE};
    }
    last->seconds += seconds + launching;
    last->launches += launching;
    if (again) last->again += seconds;
}

static void compute(lowering *l, double seconds, int launches, bool again)
{
    spend(l, seconds, launches * l->costs->machine->device.launch_s, again);
}

static void lower_kernel(lowering *l, const yki_instruction *in)
{
    yki_launch launch;
    yki_attr own;
    yki_instruction_shapes(in, l->samples, &launch);
    if (l->part >= 0 && yki_lane_attr(l->plan, l->lane, l->part, in, &own)) launch.attr = &own;
    compute(l, yki_kernel_seconds(l->costs, &launch), 1, in->as.kernel.again);
    if (in->as.kernel.again && *yki_kernel_signature(launch.kernel)->work)
        l->out.steps[l->out.count - 1].flops_again += yki_launch_flops(&launch);
}

/* Seconds of a kernel on all elements of parameters that are the rank's own, run by run, as it was measured;
 * 0: it was not. */
static double measured_states(const lowering *l, const yki_instruction *in)
{
    const struct yki_do_states *states = &in->as.states;
    double seconds = 0;
    for (int i = 0; i < states->nparameters; i++) {
        const yki_kept *kept = &l->states->kept[states->parameters[i]];
        int64_t dims[YOKE_MACHINE_DIMS] = {kept->run_elems};
        bool half = false;
        if (kept->runs * kept->run_elems == 0) continue;
        for (int v = 0; v < states->ntensors; v++)
            if (states->tensors[v] != YKI_TENSOR_NONE)
                half |= yki_tensor_dtype(l->plan, l->program, states->tensors[v], states->parameters[i]) ==
                        YKI_BF16;
        double run = yki_measured_kernel(l->costs, (yki_kernel)in->op, half, dims);
        if (!(run > 0)) return 0;
        seconds += (double)kept->runs * run;
    }
    return seconds;
}

static void lower_states(lowering *l, const yki_instruction *in)
{
    int64_t launches;
    double bytes = yki_states_bytes(l->plan, l->program, l->states, in, &launches);
    double seconds = measured_states(l, in);
    if (!(seconds > 0)) seconds = bytes / l->costs->machine->device.bandwidth;
    compute(l, seconds, (int)launches, false);
}

static int64_t bytes_of_move(const lowering *l, const yki_instruction *in)
{
    const struct yki_do_move *move = &in->as.move;
    yki_view to = yki_operand_view(&in->operands[1], l->samples);
    yki_move_launch launch = {
        .dtype = to.dtype, .elems = yki_view_elems(&to), .cut = move->cut, .exchange = move->exchange};
    if (in->operands[1].per_sample) launch.cut.outer *= l->samples, launch.exchange.outer *= l->samples;
    return yki_movements[in->op - YKI_OP_MOVE].moved_bytes(&launch, l->plan->groups[move->group].size);
}

static int64_t bytes_of_states(const lowering *l, const yki_instruction *in)
{
    const struct yki_do_move_states *move = &in->as.move_states;
    const yki_movement *movement = &yki_movements[in->op - YKI_OP_MOVE];
    int64_t bytes = 0;
    for (int i = 0; i < move->npieces; i++) {
        int parameter = move->pieces[i].parameter;
        const yki_local_parameter *p = &l->program->parameters[parameter];
        const yki_kept *kept = &l->states->kept[parameter];
        bool own = in->op == YKI_OP_MOVE + YKI_MOVE_ALL_REDUCE;
        yki_move_launch launch = {
            .dtype = move->dtype, .cut = p->cut, .elems = own ? kept->runs * kept->run_elems : p->elems};
        bytes += movement->moved_bytes(&launch, l->plan->groups[move->group].size);
    }
    return bytes;
}

/* What a rank keeps of what all have. */
static int64_t bytes_of_slices(const lowering *l, const yki_instruction *in)
{
    if (in->kind == YKI_DO_MOVE) {
        yki_view to = yki_operand_view(&in->operands[1], l->samples);
        return yki_view_elems(&to) * (int64_t)yki_dtype_bytes(to.dtype);
    }
    const struct yki_do_move_states *move = &in->as.move_states;
    int64_t elems = 0;
    for (int i = 0; i < move->npieces; i++) {
        const yki_kept *kept = &l->states->kept[move->pieces[i].parameter];
        elems += kept->runs * kept->run_elems;
    }
    return elems * (int64_t)yki_dtype_bytes(move->dtype);
}

static void lower_movement(lowering *l, const yki_instruction *in)
{
    yki_timed step = {.at = yki_group_of(in),
                      .op = in->op - YKI_OP_MOVE,
                      .request = in->request,
                      .once = yki_runs_once(in)};
    step.crosses = in->op == YKI_OP_MOVE + YKI_MOVE_ALL_TO_ALL;
    step.twice = in->op == YKI_OP_MOVE + YKI_MOVE_ALL_REDUCE;
    if (in->op == YKI_OP_MOVE + YKI_MOVE_SHARD) { /* each keeps its slice */
        if (in->phase != YKI_PHASE_WAIT)
            compute(l, 2.0 * (double)bytes_of_slices(l, in) / l->costs->machine->device.bandwidth, 1, false);
        return;
    }
    if (in->phase != YKI_PHASE_WAIT) {
        step.kind = YKI_STEP_START;
        step.bytes = in->kind == YKI_DO_MOVE ? bytes_of_move(l, in) : bytes_of_states(l, in);
        l->out.steps[l->out.count++] = step;
    }
    step.kind = YKI_STEP_WAIT;
    if (in->phase != YKI_PHASE_START) l->out.steps[l->out.count++] = step;
}

static void lower_copy(lowering *l, const yki_instruction *in)
{
    const yki_edge *edge = &l->plan->edges[in->as.copy.edge];
    if (l->plan->stage_of[edge->from] == l->plan->stage_of[edge->to]) return; /* handed over */
    if (!in->as.copy.sends && in->phase == YKI_PHASE_START) return;
    yki_view view = in->noperands > 0 ? yki_operand_view(&in->operands[0], l->samples) : (yki_view){0};
    l->out.steps[l->out.count++] = (yki_timed){
        .kind = in->as.copy.sends ? YKI_STEP_SEND : YKI_STEP_RECEIVE,
        .at = in->as.copy.edge,
        .gradient = in->as.copy.gradient,
        .bytes = in->noperands > 0 ? yki_view_elems(&view) * (int64_t)yki_dtype_bytes(view.dtype) : 0};
}

/* Loads are of the batch, which lies beside the device. */
static void lower_load(lowering *l, const yki_instruction *in)
{
    yki_view view = yki_operand_view(&in->operands[0], l->samples);
    compute(l,
            (double)yki_view_elems(&view) * (double)yki_dtype_bytes(view.dtype) /
                l->costs->machine->device.bandwidth,
            0, false);
}

static void lower_drain(lowering *l, const yki_instruction *in)
{
    (void)in;
    l->out.steps[l->out.count++] = (yki_timed){.kind = YKI_STEP_DRAIN};
}

static void lower_agree(lowering *l, const yki_instruction *in)
{
    (void)in;
    l->out.steps[l->out.count++] = (yki_timed){.kind = YKI_STEP_MEET};
}

static void (*const kinds[])(lowering *l, const yki_instruction *in) = {
    [YKI_DO_KERNEL] = lower_kernel,        [YKI_DO_LOAD] = lower_load,     [YKI_DO_COPY] = lower_copy,
    [YKI_DO_MOVE] = lower_movement,        [YKI_DO_STATES] = lower_states, [YKI_DO_DRAIN] = lower_drain,
    [YKI_DO_MOVE_STATES] = lower_movement, [YKI_DO_AGREE] = lower_agree,
};

void yki_busy_add(yki_busy *to, const yki_busy *more, double times)
{
    to->bodies += times * more->bodies;
    to->ends += times * more->ends;
    to->again += times * more->again;
    to->flops_again += times * more->flops_again;
    for (int k = 0; k < 2; k++) to->launches[k] += times * more->launches[k];
}

static yki_lowered *lower(yki_works *w, int class, int part, const yki_code *code, int64_t samples)
{
    int place[YKI_AXIS_COUNT], rank = w->classes->list[class].first;
    yki_mesh_place(&w->plan->mesh, rank, place);
    lowering l = {.plan = w->plan,
                  .costs = w->costs,
                  .apart = w->apart,
                  .lane = yki_mesh_lane(&w->plan->mesh, place),
                  .part = part,
                  .program = yki_plan_program(w->plan, rank),
                  .states = yki_rank_states(w->plan, rank),
                  .samples = samples};
    yki_lowered *out = yki_arena_alloc(&w->arena, sizeof *out);
    l.out.steps = yki_arena_alloc(&w->arena, sizeof *l.out.steps * (size_t)(2 * code->count + 2));
    if (!out || !l.out.steps) return NULL;
    l.out.samples = samples;
    for (int i = 0; i < code->count; i++) {
        const yki_instruction *in = &code->instructions[i];
        int before = l.out.count;
        kinds[in->kind](&l, in);
        if (l.apart && l.out.count == before) compute(&l, 0, 0, false); /* it takes no time, and is there */
        for (int k = before; k < l.out.count; k++) l.out.steps[k].in = in;
    }
    if (code == &l.program->ends[YKI_END_UPDATE] && w->costs->machine->device.step_s > 0) {
        l.apart = false; /* it is no instruction's own */
        spend(&l, 0, w->costs->machine->device.step_s, false);
        if (code->count > 0) l.out.steps[l.out.count - 1].in = &code->instructions[code->count - 1];
    }
    for (int i = 0; i < l.out.count; i++) {
        if (l.out.steps[i].kind != YKI_STEP_COMPUTE) continue;
        *(part < 0 ? &l.out.busy.ends : &l.out.busy.bodies) += l.out.steps[i].seconds;
        l.out.busy.again += l.out.steps[i].again;
        l.out.busy.launches[part < 0] += l.out.steps[i].launches;
        l.out.busy.flops_again += l.out.steps[i].flops_again;
    }
    *out = l.out;
    return out;
}

static yki_lowered *find(yki_works *w, int class, int at, int part, const yki_code *code, int64_t samples)
{
    yki_lowered **first = &w->bodies[class][at], *found = *first;
    while (found && found->samples != samples) found = found->next;
    if (found) return found;
    found = lower(w, class, part, code, samples);
    if (found) found->next = *first, *first = found;
    return found;
}

const yki_lowered *yki_work_of_action(yki_works *works, int class, int action)
{
    return works->actions[class][action];
}

static const yki_lowered *work_of(yki_works *works, int class, const yki_program *program, int rank_of_dp,
                                  const yoke_action *action)
{
    int64_t first;
    const yki_plan *plan = works->plan;
    int64_t samples = yki_plan_samples(plan, plan->options.batch, rank_of_dp, action->microbatch, &first);
    return find(works, class, action->chunk * YKI_BODY_COUNT + (int)yki_action_body(action),
                program->parts[action->chunk].part, yki_action_code(program, action), samples);
}

const yki_lowered *yki_work_of_body(yki_works *works, int class, int chunk, yki_body body, int64_t samples)
{
    const yki_program *program = yki_plan_program(works->plan, works->classes->list[class].first);
    const yki_part_program *part = &program->parts[chunk];
    return find(works, class, chunk * YKI_BODY_COUNT + (int)body, part->part, &part->body[body], samples);
}

const yki_lowered *yki_work_of_end(yki_works *works, int class, yki_end end)
{
    const yki_program *program = yki_plan_program(works->plan, works->classes->list[class].first);
    return find(works, class, program->nparts * YKI_BODY_COUNT + (int)end, -1, &program->ends[end], 0);
}

static bool make_class(yki_works *w, int class)
{
    const yki_program *program = yki_plan_program(w->plan, w->classes->list[class].first);
    size_t count = (size_t)(program->nparts * YKI_BODY_COUNT + YKI_END_COUNT);
    w->bodies[class] = yki_arena_alloc(&w->arena, sizeof(yki_lowered *) * count);
    if (!w->bodies[class]) return false;
    memset(w->bodies[class], 0, sizeof(yki_lowered *) * count);
    int place[YKI_AXIS_COUNT];
    yki_mesh_place(&w->plan->mesh, w->classes->list[class].first, place);
    w->actions[class] = yki_arena_alloc(&w->arena, sizeof(yki_lowered *) * (size_t)(program->nactions + 1));
    if (!w->actions[class]) return false;
    for (int i = 0; i < program->nactions; i++) {
        const yki_lowered *work = work_of(w, class, program, place[YKI_AXIS_DP], &program->actions[i]);
        if (!work) return false;
        w->actions[class][i] = work;
        yki_busy_add(&w->busy[class], &work->busy, 1);
    }
    for (yki_end end = YKI_END_REDUCE; end <= YKI_END_UPDATE; end++) {
        const yki_lowered *work = yki_work_of_end(w, class, end);
        if (!work) return false;
        yki_busy_add(&w->busy[class], &work->busy, 1);
    }
    return true;
}

yoke_status yki_works_of(const yki_plan *plan, const yki_costs *costs, const yki_classes *classes, bool apart,
                         yki_works *out)
{
    size_t n = (size_t)classes->count;
    *out = (yki_works){.plan = plan, .costs = costs, .classes = classes, .apart = apart};
    out->bodies = yki_arena_alloc(&out->arena, sizeof *out->bodies * n);
    out->actions = yki_arena_alloc(&out->arena, sizeof *out->actions * n);
    out->busy = yki_arena_alloc(&out->arena, sizeof *out->busy * n);
    bool made = out->bodies && out->actions && out->busy;
    if (made) memset(out->busy, 0, sizeof *out->busy * n);
    for (int c = 0; c < classes->count && made; c++) made = make_class(out, c);
    if (made) return YOKE_OK;
    yki_works_release(out);
    return yki_fail_memory("a step's work");
}

void yki_works_release(yki_works *works)
{
    yki_arena_release(&works->arena);
    *works = (yki_works){0};
}

yoke_status yki_prepare(const yoke_machine *machine, const yki_plan *plan, bool slow, bool apart,
                        yki_prepared *out)
{
    *out = (yki_prepared){.classes = {.count = 0}};
    YKI_TRY(yki_costs_of(machine, plan, &out->costs));
    YKI_TRY(yki_classes_of(plan, &out->costs, slow, &out->classes));
    yoke_status status = yki_works_of(plan, &out->costs, &out->classes, apart, &out->works);
    if (status != YOKE_OK) yki_classes_release(&out->classes);
    return status;
}

void yki_prepared_release(yki_prepared *prepared)
{
    yki_works_release(&prepared->works);
    yki_classes_release(&prepared->classes);
}
