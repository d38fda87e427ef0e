/* Rows of traces as Chrome's JSON, which Perfetto opens: a process for each rank, with a thread for its steps
 * and actions, one for what computes and one for what moves; an arrow from each send to its receive; bytes
 * received as a counter. Times are microseconds from the start of the trace. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "report/trace.h"

enum { THREAD_STEPS, THREAD_COMPUTE, THREAD_MOVEMENT, NTHREADS };
static const char *const thread_names[NTHREADS] = {"steps and actions", "compute", "movement"};
static const char *const thread_kinds[NTHREADS] = {"action", "compute", "movement"};

static void put_string(yki_trace_writer *w, const char *text)
{
    char quoted[300];
    fputs(yki_json_string(quoted, sizeof quoted, text), w->out);
}

/* Whole nanoseconds from the start, so that ends and starts that are one time stay one. Another machine's
 * clock is known to so much, and nothing is before the start. */
static int64_t from_start(const yki_trace_writer *w, double ns)
{
    return ns > w->origin_ns ? (int64_t)(ns - w->origin_ns) : 0;
}

static void put_time(yki_trace_writer *w, const char *key, int64_t ns)
{
    fprintf(w->out, ",\"%s\":%lld.%03lld", key, (long long)(ns / 1000), (long long)(ns % 1000));
}

/* Begins an event of the rank: {"ph":..,"pid":..,"tid":..  Threads have numbers of their own: Perfetto takes
 * one with its process's number for the main thread. */
static void begin(yki_trace_writer *w, char phase, int thread)
{
    fprintf(w->out, "%s{\"ph\":\"%c\",\"pid\":%d,\"tid\":%d", w->begun ? ",\n" : "\n", phase, w->rank,
            (w->rank + 1) * 10 + thread);
    w->begun = true;
}

static void begin_complete(yki_trace_writer *w, int thread, double start_ns, double end_ns)
{
    int64_t start = from_start(w, start_ns), end = from_start(w, end_ns);
    begin(w, 'X', thread);
    put_time(w, "ts", start);
    put_time(w, "dur", end > start ? end - start : 0);
    fprintf(w->out, ",\"cat\":\"%s\",\"name\":", thread_kinds[thread]);
}

static void put_metadata(yki_trace_writer *w, int thread, const char *name, const char *text)
{
    begin(w, 'M', thread);
    fprintf(w->out, ",\"name\":\"%s\",\"args\":{\"name\":", name);
    put_string(w, text);
    fputs("}}", w->out);
}

static void put_rank(yki_trace_writer *w)
{
    char name[128], layers[96];
    const yoke_layout *layout = &w->plan->options.layout;
    char on[48], others[48] = "";
    if (w->like == 0)
        yoke_layout_device_name(layout, w->rank, on);
    else
        snprintf(on, sizeof on, "device %d", yoke_layout_device(layout, w->rank));
    if (w->like > 1) snprintf(others, sizeof others, " and %d more", w->like - 1);
    snprintf(name, sizeof name, "rank %d%s on %s (dp %d, tp %d, pp %d, cp %d)", w->rank, others, on,
             w->place[YKI_AXIS_DP], w->place[YKI_AXIS_TP], w->place[YKI_AXIS_PP], w->place[YKI_AXIS_CP]);
    put_metadata(w, THREAD_STEPS, "process_name", name);
    yki_plan_stage_layers(w->plan, w->place[YKI_AXIS_PP], layers, sizeof layers);
    begin(w, 'M', THREAD_STEPS);
    fputs(",\"name\":\"process_labels\",\"args\":{\"labels\":", w->out);
    put_string(w, layers);
    fputs("}}", w->out);
    begin(w, 'M', THREAD_STEPS);
    fprintf(w->out, ",\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%d}}", w->rank);
    for (int thread = 0; thread < NTHREADS; thread++) {
        put_metadata(w, thread, "thread_name", thread_names[thread]);
        begin(w, 'M', thread);
        fprintf(w->out, ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%d}}", thread);
    }
}

/* "F0", "BW3.1": as a schedule's text has it. */
static void action_text(const yoke_action *action, char text[32])
{
    static const char *const names[] = {
        [YOKE_ACTION_F] = "F", [YOKE_ACTION_B] = "B", [YOKE_ACTION_W] = "W", [YOKE_ACTION_BW] = "BW"};
    int length = snprintf(text, 32, "%s%d", names[action->kind], (int)action->microbatch);
    if (action->chunk > 0) snprintf(text + length, 32 - (size_t)length, ".%d", action->chunk);
}

/* The arguments that all events of a step have, and those of an action. */
static void put_place(yki_trace_writer *w)
{
    char text[32];
    fprintf(w->out, ",\"args\":{\"step\":%lld", (long long)w->step->step);
    if (w->end) fprintf(w->out, ",\"action\":\"%s\"", w->end);
    if (!w->action) return;
    action_text(w->action, text);
    fprintf(w->out, ",\"action\":\"%s\",\"microbatch\":%d,\"chunk\":%d,\"part\":%d", text,
            (int)w->action->microbatch, w->action->chunk, w->program->parts[w->action->chunk].part);
}

static int64_t operand_bytes(const yki_operand *operand, int64_t samples)
{
    yki_view view = yki_operand_view(operand, samples);
    if (operand->space == YKI_SPACE_NONE) return 0;
    return yki_view_elems(&view) * (int64_t)yki_dtype_bytes(view.dtype);
}

/* Bytes of the tensors that a movement is of, on this rank: the whole ones. */
static int64_t moved_bytes(const yki_trace_writer *w, const yki_instruction *in)
{
    int64_t bytes = 0;
    for (int i = 0; in->kind == YKI_DO_MOVE_STATES && i < in->as.move_states.npieces; i++)
        bytes += w->program->parameters[in->as.move_states.pieces[i].parameter].elems *
                 (int64_t)yki_dtype_bytes(in->as.move_states.dtype);
    for (int i = 0; i < in->noperands; i++) {
        int64_t of = operand_bytes(&in->operands[i], w->samples);
        bytes = of > bytes ? of : bytes;
    }
    return bytes;
}

/* Whether it is an end of a copy: to another stage, or round a group. */
static bool copies(const yki_instruction *in)
{
    return in->kind == YKI_DO_COPY || in->op == YKI_OP_MOVE + YKI_MOVE_COPY;
}

/* The rank at the other end of a copy: of the next or last stage, or of the neighbour along an axis. */
static int peer_of(const yki_trace_writer *w, const yki_instruction *in, int direction)
{
    int place[YKI_AXIS_COUNT];
    memcpy(place, w->place, sizeof place);
    if (in->kind == YKI_DO_COPY) {
        const struct yki_do_copy *copy = &in->as.copy;
        const yki_edge *edge = &w->plan->edges[copy->edge];
        place[YKI_AXIS_PP] = w->plan->stage_of[copy->sends != copy->gradient ? edge->to : edge->from];
    } else {
        yki_axis axis = w->plan->groups[in->as.move.group].axis;
        int degree = w->plan->mesh.degree[axis];
        place[axis] = (place[axis] + direction * (in->as.move.back ? -1 : 1) + degree) % degree;
    }
    return yki_mesh_rank(&w->plan->mesh, place);
}

/* An end of the arrow from a send to its receive. Both ends make the same number: of the step, of the copy
 * among the step's (a channel's by its index, a ring's by place in the program), and of the sender. */
static void put_arrow(yki_trace_writer *w, const yki_instruction *in, bool sends, double at_ns)
{
    const yki_plan *plan = w->plan;
    int64_t channels = (int64_t)yki_channel_index(plan, plan->nedges, false, 0), copy,
            sender = sends ? w->rank : peer_of(w, in, -1);
    if (in->kind == YKI_DO_COPY)
        copy =
            (int64_t)yki_channel_index(plan, in->as.copy.edge, in->as.copy.gradient, w->action->microbatch);
    else
        copy = channels + (w->action - w->program->actions) * (int64_t)w->program->nrequests + in->request;
    int64_t most = channels; /* copies of a step: the same number on all ranks */
    for (int i = 0; i < yki_plan_programs(plan); i++) {
        int64_t of = channels + plan->programs[i].nactions * (int64_t)plan->programs[i].nrequests;
        most = of > most ? of : most;
    }
    begin(w, sends ? 's' : 'f', THREAD_MOVEMENT);
    put_time(w, "ts", from_start(w, at_ns));
    fprintf(w->out, ",\"cat\":\"copy\",\"name\":\"copy\",\"id\":%lld%s}",
            (long long)((w->number * (most + 1) + copy) * plan->mesh.nranks + sender),
            sends ? "" : ",\"bp\":\"e\"");
}

static void put_counter(yki_trace_writer *w, double at_ns, int64_t bytes)
{
    begin(w, 'C', THREAD_MOVEMENT);
    put_time(w, "ts", from_start(w, at_ns));
    fprintf(w->out, ",\"name\":\"received bytes\",\"args\":{\"bytes\":%lld}}", (long long)bytes);
}

/* A bucket waits for the last micro-batch that adds to it. */
static bool is_skipped(const yki_trace_writer *w, const yki_instruction *in)
{
    if (!w->action || !yki_runs_once(in)) return false;
    int last = w->program->parts[w->action->chunk].last_weight;
    return last < 0 || w->action != &w->program->actions[last];
}

/* "linear h.0", "all_gather start h.1", "send gradient", "gradient norm". */
static void put_name(yki_trace_writer *w, const yki_instruction *in, const char *layer)
{
    static const char *const phases[] = {
        [YKI_PHASE_WHOLE] = "", [YKI_PHASE_START] = " start", [YKI_PHASE_WAIT] = " wait"};
    const char *op = in->what                  ? in->what
                     : in->op == YKI_OP_INPUT  ? "load inputs"
                     : in->op == YKI_OP_TARGET ? "load targets"
                     : in->kind == YKI_DO_COPY ? (in->as.copy.sends ? "send" : "receive")
                     : copies(in)              ? "pass on"
                                               : yki_op_name(in->op);
    const char *phase = !yki_runs_once(in)            ? phases[in->phase]
                        : in->phase == YKI_PHASE_WAIT ? " bucket wait"
                                                      : " bucket";
    char name[200];
    snprintf(name, sizeof name, "%s%s%s%s%s", op, phase,
             in->kind == YKI_DO_COPY && in->as.copy.gradient ? " gradient" : "", *layer ? " " : "", layer);
    put_string(w, name);
}

/* Bytes of the rank's own elements that a kernel is given. */
static double state_bytes(const yki_trace_writer *w, const struct yki_do_states *states)
{
    const yki_kept *kept = yki_rank_states(w->plan, w->rank)->kept;
    double bytes = 0;
    for (int i = 0; i < states->nparameters; i++)
        for (int v = 0; v < states->ntensors; v++) {
            int parameter = states->parameters[i];
            yki_tensor_kind kind = states->tensors[v];
            const yki_kept *of = &kept[parameter];
            if (kind == YKI_TENSOR_NONE || of->offset[kind] < 0) continue;
            bytes += (double)(of->runs * of->run_elems) *
                     (double)yki_dtype_bytes(yki_tensor_dtype(w->plan, w->program, kind, parameter));
        }
    return bytes;
}

static void put_kernel(yki_trace_writer *w, const yki_traced *row, const char *layer)
{
    const yki_instruction *in = row->of.instruction;
    begin_complete(w, THREAD_COMPUTE, row->start_ns, row->end_ns);
    put_name(w, in, layer);
    put_place(w);
    yki_launch launch;
    yki_attr own;
    yki_instruction_shapes(in, w->samples, &launch);
    int lane = yki_mesh_lane(&w->plan->mesh, w->place);
    if (in->kind == YKI_DO_KERNEL && w->action && /* ends have no constants of a lane */
        yki_lane_attr(w->plan, lane, w->program->parts[w->action->chunk].part, in, &own))
        launch.attr = &own;
    fprintf(w->out, ",\"node\":%d,\"bytes\":%.0f", w->node,
            in->kind == YKI_DO_STATES ? state_bytes(w, &in->as.states) : yki_launch_bytes(&launch));
    if (in->kind == YKI_DO_KERNEL) fprintf(w->out, ",\"flops\":%.0f", yki_launch_flops(&launch));
    fputs(",\"layer\":", w->out);
    put_string(w, layer);
    fputs("}}", w->out);
}

static void put_movement(yki_trace_writer *w, const yki_traced *row, const char *layer)
{
    const yki_instruction *in = row->of.instruction;
    int group = yki_group_of(in);
    begin_complete(w, THREAD_MOVEMENT, row->start_ns, row->end_ns);
    put_name(w, in, layer);
    put_place(w);
    fprintf(w->out, ",\"node\":%d", w->node);
    if (in->op >= 0)
        fprintf(w->out, ",\"bytes\":%lld,\"axis\":\"%s\"", (long long)moved_bytes(w, in),
                yki_axis_names[group < 0 ? YKI_AXIS_PP : w->plan->groups[group].axis]);
    if (copies(in)) fprintf(w->out, ",\"peer\":%d", peer_of(w, in, in->phase == YKI_PHASE_WAIT ? -1 : 1));
    if (is_skipped(w, in)) fputs(",\"skipped\":true", w->out);
    fputs(",\"layer\":", w->out);
    put_string(w, layer);
    fputs("}}", w->out);
    if (!w->arrows || !copies(in)) return;
    bool sends = in->kind == YKI_DO_COPY ? in->as.copy.sends : in->phase != YKI_PHASE_WAIT;
    bool receives = !sends && in->phase != YKI_PHASE_START;
    /* inside the slices, for viewers that look for what surrounds them */
    double start = row->start_ns, end = row->end_ns;
    if (sends) put_arrow(w, in, true, start + 1 < end ? start + 1 : start);
    if (receives) put_arrow(w, in, false, end - 1 > start ? end - 1 : start);
}

static void put_row(yki_trace_writer *w, const yki_traced *row)
{
    const yoke_model *model = w->plan->options.model;
    char text[32];
    if (row->kind == YKI_TRACED_ACTION) {
        w->action = row->of.action;
        w->samples = row->amount;
        w->node = 0;
        action_text(w->action, text);
        /* one that did not end is as long as what it did */
        begin_complete(w, THREAD_STEPS, row->start_ns, row->end_ns > 0 ? row->end_ns : w->step->end_ns);
        put_string(w, text);
        put_place(w);
        fprintf(w->out, ",\"samples\":%lld}}", (long long)w->samples);
        return;
    }
    if (row->kind == YKI_TRACED_END) {
        static const char *const ends[] = {[YKI_END_REDUCE] = "reduce", [YKI_END_UPDATE] = "update"};
        w->action = NULL;
        w->end = ends[row->of.number];
        w->node = 0;
        begin_complete(w, THREAD_STEPS, row->start_ns, row->end_ns > 0 ? row->end_ns : w->step->end_ns);
        put_string(w, w->end);
        put_place(w);
        fputs("}}", w->out);
        return;
    }
    const yki_instruction *in = row->of.instruction;
    const char *layer = in->layer >= 0 ? model->layers[in->layer].name : "";
    (yki_moves(in) ? put_movement : put_kernel)(w, row, layer);
    w->node++;
    if (row->amount > w->received) {
        put_counter(w, row->end_ns, row->amount - w->step->received);
        w->received = row->amount;
    }
}

static void put_step(yki_trace_writer *w, const yki_traced_step *step)
{
    yki_traced_step cut = *step; /* one that did not end: until the last that is known of it */
    for (int i = 0; i < step->count && !step->complete; i++) {
        const yki_traced *row = &step->rows[i];
        double end = row->end_ns > row->start_ns ? row->end_ns : row->start_ns;
        cut.end_ns = end > cut.end_ns ? end : cut.end_ns;
    }
    if (cut.end_ns < cut.start_ns) cut.end_ns = cut.start_ns;
    w->step = &cut;
    w->action = NULL;
    w->end = NULL;
    w->received = step->received;
    begin_complete(w, THREAD_STEPS, cut.start_ns, cut.end_ns);
    fprintf(w->out, "\"step %lld\"", (long long)step->step);
    put_place(w);
    fprintf(w->out, ",\"complete\":%s}}", step->complete ? "true" : "false");
    put_counter(w, cut.start_ns, 0);
    for (int i = 0; i < step->count; i++) put_row(w, &step->rows[i]);
}

/* Whether all ranks of this process came to the end of the i-th step: then each send has its receive. */
static bool all_complete(const yoke_trainer *trainer, int64_t i)
{
    double origin_ns;
    for (int r = 0; r < trainer->plan->mesh.nranks; r++) {
        const yki_trace *trace = yki_run_traced(trainer->run, r, &origin_ns);
        const yki_traced_step *step = trace ? yki_trace_step(trace, i) : NULL;
        if (trace && !(step && step->complete)) return false;
    }
    return true;
}

void yki_trace_put_head(yki_trace_writer *w)
{
    fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", w->out);
}

void yki_trace_put_ring(yki_trace_writer *w, const yoke_trainer *trainer, int rank, const yki_trace *trace,
                        yoke_trace_summary *summary)
{
    const yki_traced_step *step;
    w->rank = rank;
    w->program = yki_plan_program(w->plan, rank);
    yki_mesh_place(&w->plan->mesh, rank, w->place);
    put_rank(w);
    for (int64_t i = 0; (step = yki_trace_step(trace, i)); i++) {
        if (trainer) w->arrows = all_complete(trainer, i);
        w->number = trace->recorded > trace->nsteps ? trace->recorded - trace->nsteps + i : i;
        put_step(w, step);
        summary->events += step->count;
        if (i == 0) summary->first_step = step->step;
        summary->last_step = step->step;
        summary->steps = i + 1;
    }
    summary->ranks++;
    summary->dropped_steps = trace->recorded - summary->steps;
    summary->dropped_events += trace->lost_rows;
}

/* What a run was, for those who read the file later. */
static void put_run(const yki_trace_writer *w)
{
    yoke_measured measured;
    char text[YKI_MEASURED_BYTES];
    if (!w->trainer || yoke_trainer_measured(w->trainer, &measured) != YOKE_OK) return;
    char *job = w->trainer->job ? yoke_job_print(w->trainer->job) : NULL;
    size_t room = job ? 6 * strlen(job) + 8 : 0; /* a byte is six characters at most */
    char *quoted = job ? malloc(room) : NULL;
    if (quoted) fprintf(w->out, ",\"job\":%s", yki_json_string(quoted, room, job));
    yki_measured_print(&measured, text);
    fprintf(w->out, ",\"measured\":%s", text);
    free(quoted);
    free(job);
}

void yki_trace_put_tail(yki_trace_writer *w, const yoke_trace_summary *summary)
{
    char layout[256];
    yoke_layout_print(&w->plan->options.layout, layout, sizeof layout);
    fputs("\n],\"otherData\":{\"layout\":", w->out);
    put_string(w, layout);
    fprintf(w->out, ",\"ranks\":%d,\"steps\":%lld,\"dropped_steps\":%lld,\"dropped_events\":%lld",
            w->plan->mesh.nranks, (long long)summary->steps, (long long)summary->dropped_steps,
            (long long)summary->dropped_events);
    put_run(w);
    fputs("}}\n", w->out);
}
