/* The events of a step. Each class of ranks goes through its actions; what it computes, and every movement,
 * has so much left to do at a rate that changes when others begin or end: a movement shares the links of its
 * level with what else its members move there, and products are slower while data moves. */
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "predict/simulate/simulate.h"

enum { LATEST = 16 }; /* of a meeting, which comms hold apart: YKI_COMM_OUTSTANDING and as many again */

typedef enum waits { RUNS, WAITS_MEETING, WAITS_MESSAGE, WAITS_SENDS, WAITS_ALL, DONE } waits;

typedef struct runner {
    const yki_program *program;
    int action; /* then the ends */
    const yki_lowered *code;
    int at;
    waits waits;
    int64_t for_what; /* the meeting's number; the message's slot */
    int meeting;
    int64_t *started;         /* by the plan's groups */
    int64_t *request;         /* by request: which of its meeting's movements */
    unsigned char *message;   /* by slot: what it has sent: 1 under way, 2 there */
    int sends;                /* under way */
    double left, rate, since; /* of what it computes; rate 0: nothing */
    double waits_since;
    int version, moving, nmoves, cmoves;
    int *moves; /* movements under way */
    int busy[YOKE_MACHINE_LEVELS];
    double scale[2]; /* of bodies, of ends */
} runner;

typedef struct movement {
    double left, rate, since;
    int version, level, meeting, next_free;
    int64_t number; /* of its meeting; a message's slot */
    int64_t bytes;  /* that a member receives */
    int ends[2];    /* a message: from, to */
} movement;

typedef struct event {
    double time;
    int what, version; /* a class; ~a movement */
} event;

typedef struct engine {
    yki_works *works;
    const yki_classes *classes;
    const yki_plan *plan;
    const yki_what_if *what_if;
    yki_record *record;
    runner *runners;
    int *arrived; /* [meeting][LATEST] */
    bool *ended;  /* the same */
    movement *movements;
    int nmovements, cmovements, free;
    event *heap;
    int nheap, cheap;
    double now, computing;
    int64_t working; /* ranks that compute now */
    int at_meet, done;
    double meet_s;
    yki_tape *tapes; /* by class; NULL: nobody looks */
    yki_simulated *out;
    bool failed;
} engine;

static void push(engine *e, double time, int what, int version)
{
    if (e->nheap == e->cheap) {
        int room = e->cheap * 2 + 256;
        event *more = realloc(e->heap, sizeof *more * (size_t)room);
        if (!more) {
            e->failed = true;
            return;
        }
        e->heap = more, e->cheap = room;
    }
    int at = e->nheap++;
    for (; at > 0 && e->heap[(at - 1) / 2].time > time; at = (at - 1) / 2)
        e->heap[at] = e->heap[(at - 1) / 2];
    e->heap[at] = (event){time, what, version};
}

static event pop(engine *e)
{
    event first = e->heap[0], last = e->heap[--e->nheap];
    int at = 0;
    for (int child; (child = 2 * at + 1) < e->nheap; at = child) {
        if (child + 1 < e->nheap && e->heap[child + 1].time < e->heap[child].time) child++;
        if (e->heap[child].time >= last.time) break;
        e->heap[at] = e->heap[child];
    }
    e->heap[at] = last;
    return first;
}

/* --- what is computed --- */

static double rate_of(const engine *e, int class)
{
    const yoke_machine *machine = e->works->costs->machine;
    double rate = 1 / e->classes->list[class].slower;
    if (e->runners[class].moving > 0) rate *= 1 - machine->contention;
    int64_t working = e->working < INT32_MAX ? e->working : INT32_MAX;
    return machine->device.nshared > 0 ? rate * yoke_machine_shared_rate(machine, (int)working) : rate;
}

static void settle_compute(engine *e, int class)
{
    runner *r = &e->runners[class];
    if (r->rate == 0) return;
    r->left -= (e->now - r->since) * r->rate;
    r->since = e->now;
    r->rate = rate_of(e, class);
    push(e, e->now + fmax(r->left, 0) / r->rate, class, ++r->version);
}

/* Where devices share cores, each is as fast as the number of those that compute lets it be. */
static void change_working(engine *e, int64_t by)
{
    e->working += by;
    if (e->works->costs->machine->device.nshared == 0) return;
    for (int c = 0; c < e->classes->count; c++) settle_compute(e, c);
}

static void begin_compute(engine *e, int class, double seconds)
{
    runner *r = &e->runners[class];
    change_working(e, e->classes->list[class].count);
    r->left = seconds, r->since = e->now, r->rate = rate_of(e, class);
    e->computing -= e->now * e->classes->list[class].count;
    push(e, e->now + seconds / r->rate, class, ++r->version);
}

/* --- what moves --- */

static double rate_of_movement(const engine *e, const movement *m)
{
    int most = 1;
    const int *classes = m->meeting < 0 ? m->ends : e->classes->meetings[m->meeting].classes;
    int count = m->meeting < 0 ? 2 : e->classes->meetings[m->meeting].nclasses;
    for (int i = 0; i < count; i++) {
        int busy = e->runners[classes[i]].busy[m->level];
        most = busy > most ? busy : most;
    }
    return 1.0 / most;
}

static void settle_movement(engine *e, int at)
{
    movement *m = &e->movements[at];
    double rate = rate_of_movement(e, m);
    if (rate == m->rate) return;
    m->left -= (e->now - m->since) * m->rate;
    m->since = e->now;
    m->rate = rate;
    push(e, e->now + fmax(m->left, 0) / rate, ~at, ++m->version);
}

/* A class takes part in a movement, or does no longer: `by` 1 or -1. */
static void count_movement(engine *e, int class, int at, int by)
{
    runner *r = &e->runners[class];
    int level = e->movements[at].level, before = r->moving;
    r->busy[level] += by;
    r->moving += by;
    if (by > 0) {
        if (r->nmoves == r->cmoves) {
            int room = r->cmoves * 2 + 8;
            int *more = realloc(r->moves, sizeof *more * (size_t)room);
            if (!more) {
                e->failed = true;
                return;
            }
            r->moves = more, r->cmoves = room;
        }
        r->moves[r->nmoves++] = at;
    } else {
        for (int i = 0; i < r->nmoves; i++)
            if (r->moves[i] == at) r->moves[i--] = r->moves[--r->nmoves];
    }
    if ((before == 0) != (r->moving == 0)) settle_compute(e, class);
    for (int i = 0; i < r->nmoves; i++)
        if (r->moves[i] != at && e->movements[r->moves[i]].level == level) settle_movement(e, r->moves[i]);
}

static void count_all(engine *e, int at, int by)
{
    movement m = e->movements[at];
    const int *classes = m.meeting < 0 ? m.ends : e->classes->meetings[m.meeting].classes;
    int count = m.meeting < 0 ? 1 + (m.ends[0] != m.ends[1]) : e->classes->meetings[m.meeting].nclasses;
    for (int i = 0; i < count && !e->failed; i++) count_movement(e, classes[i], at, by);
}

static void run(engine *e, int class);

static void go_on(engine *e, int class)
{
    runner *r = &e->runners[class];
    yki_record_wait(e->record, class, r->waits_since, e->now);
    r->waits = RUNS;
    run(e, class);
}

static void wake(engine *e, int class, waits from, int meeting, int64_t what)
{
    const runner *r = &e->runners[class];
    if (r->waits == from && r->for_what == what && r->meeting == meeting) go_on(e, class);
}

/* What a movement brought has come. */
static void note_received(engine *e, const movement *m)
{
    const yki_meeting *meeting = m->meeting < 0 ? NULL : &e->classes->meetings[m->meeting];
    for (int i = 0; i < (meeting ? meeting->nclasses : 1); i++)
        e->tapes[meeting ? meeting->classes[i] : m->ends[1]].received += m->bytes;
}

static void finish(engine *e, const movement *m)
{
    if (e->tapes) note_received(e, m);
    if (m->meeting >= 0) {
        const yki_meeting *meeting = &e->classes->meetings[m->meeting];
        e->ended[m->meeting * LATEST + m->number % LATEST] = true;
        for (int i = 0; i < meeting->nclasses; i++)
            wake(e, meeting->classes[i], WAITS_MEETING, m->meeting, m->number);
        return;
    }
    runner *from = &e->runners[m->ends[0]];
    from->message[m->number] = 2;
    from->sends--;
    wake(e, m->ends[1], WAITS_MESSAGE, -1, m->number);
    if (from->sends == 0) wake(e, m->ends[0], WAITS_SENDS, -1, 0);
}

/* seconds: where its links carry nothing else. */
static void begin_movement(engine *e, movement m, double seconds)
{
    if (!(seconds > 0) || m.level < 0) {
        finish(e, &m);
        return;
    }
    int at = e->free;
    if (at >= 0) {
        e->free = e->movements[at].next_free;
    } else {
        if (e->nmovements == e->cmovements) {
            int room = e->cmovements * 2 + 64;
            movement *more = realloc(e->movements, sizeof *more * (size_t)room);
            if (!more) {
                e->failed = true;
                return;
            }
            e->movements = more, e->cmovements = room;
        }
        at = e->nmovements++;
        e->movements[at].version = 0;
    }
    m.version = e->movements[at].version;
    m.left = seconds, m.rate = 0, m.since = e->now;
    e->movements[at] = m;
    count_all(e, at, 1);
    if (!e->failed) settle_movement(e, at);
}

/* --- the steps of a class --- */

double yki_movement_seconds(const yki_costs *costs, const yki_meeting *meeting, const yki_timed *step)
{
    const yki_route *route = &meeting->route;
    double each = (double)step->bytes / meeting->size;
    if (meeting->size == 1 || step->bytes == 0) return 0;
    double measured = yki_measured_move(costs, step->op, route, meeting->size, each);
    return measured > 0 ? measured
                        : route->latency_s * (step->twice ? 2 : 1) +
                              each / (step->crosses ? route->crossing : route->bytes_s);
}

static void start(engine *e, int class, const yki_timed *step)
{
    runner *r = &e->runners[class];
    int at = e->classes->list[class].meetings[step->at];
    const yki_meeting *meeting = &e->classes->meetings[at];
    const yki_group *group = &e->plan->groups[meeting->group];
    int64_t number = r->started[step->at]++;
    int *arrived = &e->arrived[at * LATEST + number % LATEST];
    if (step->request >= 0) r->request[step->request] = number;
    if (*arrived == 0) e->ended[at * LATEST + number % LATEST] = false;
    if (++*arrived < meeting->nclasses) return;
    *arrived = 0;
    double seconds =
        e->what_if->free_axis[group->axis] ? 0 : yki_movement_seconds(e->works->costs, meeting, step);
    e->out->moved[group->axis] += step->bytes * meeting->groups;
    begin_movement(e,
                   (movement){.level = meeting->route.level,
                              .meeting = at,
                              .number = number,
                              .bytes = step->bytes / meeting->size},
                   seconds);
}

static int64_t slot_of(const engine *e, const yki_timed *step, int microbatch)
{
    return ((int64_t)step->at * 2 + step->gradient) * e->plan->microbatches + microbatch;
}

static void send(engine *e, int class, const yki_timed *step, int microbatch)
{
    const yki_edge *edge = &e->plan->edges[step->at];
    const yki_rank_class *of = &e->classes->list[class];
    int to = of->peers[e->plan->stage_of[step->gradient ? edge->from : edge->to]];
    int stages = e->plan->stage_of[step->gradient ? edge->from : edge->to], place[YKI_AXIS_COUNT];
    yki_mesh_place(&e->plan->mesh, of->first, place);
    place[YKI_AXIS_PP] = stages;
    int other = yki_mesh_rank(&e->plan->mesh, place);
    int ranks[2] = {of->first < other ? of->first : other, of->first < other ? other : of->first};
    yki_route route = yki_route_of(e->works->costs, ranks, 2);
    movement m = {.level = route.level,
                  .meeting = -1,
                  .number = slot_of(e, step, microbatch),
                  .bytes = step->bytes,
                  .ends = {class, to}};
    double seconds = 0;
    if (!e->what_if->free_axis[YKI_AXIS_PP] && step->bytes > 0) {
        seconds = yki_measured_move(e->works->costs, YKI_MOVE_COPY, &route, 2, (double)step->bytes);
        if (!(seconds > 0)) seconds = route.latency_s + (double)step->bytes / route.bytes_s;
    }
    e->out->moved[YKI_AXIS_PP] += step->bytes * of->count;
    e->runners[class].message[m.number] = 1;
    e->runners[class].sends++;
    begin_movement(e, m, seconds);
}

/* Whether the class has to wait for what the step needs. */
static bool must_wait(engine *e, int class, const yki_timed *step, int microbatch)
{
    runner *r = &e->runners[class];
    const yki_rank_class *of = &e->classes->list[class];
    if (step->kind == YKI_STEP_WAIT) {
        /* one that has no request ends before another begins */
        int64_t number = step->request >= 0 ? r->request[step->request] : r->started[step->at] - 1;
        r->meeting = of->meetings[step->at], r->for_what = number, r->waits = WAITS_MEETING;
        return !e->ended[r->meeting * LATEST + number % LATEST];
    }
    r->meeting = -1;
    if (step->kind == YKI_STEP_RECEIVE) {
        const yki_edge *edge = &e->plan->edges[step->at];
        int from = of->peers[e->plan->stage_of[step->gradient ? edge->to : edge->from]];
        r->for_what = slot_of(e, step, microbatch), r->waits = WAITS_MESSAGE;
        return e->runners[from].message[r->for_what] != 2;
    }
    if (step->kind == YKI_STEP_DRAIN) {
        r->for_what = 0, r->waits = WAITS_SENDS;
        return r->sends > 0;
    }
    r->waits = WAITS_ALL;
    if (++e->at_meet == e->classes->count) push(e, e->now + e->meet_s, e->classes->count, 0);
    return true;
}

/* The next body, or end; false: the step is over. */
static bool next_code(engine *e, int class)
{
    runner *r = &e->runners[class];
    const yki_program *program = r->program;
    int at = ++r->action - program->nactions;
    r->at = 0;
    yki_record_turn(e->record, class, r->action, e->now);
    if (at < 0)
        r->code = yki_work_of_action(e->works, class, r->action);
    else if (at < YKI_END_COUNT - YKI_END_REDUCE)
        r->code = yki_work_of_end(e->works, class, (yki_end)(YKI_END_REDUCE + at));
    else
        return false;
    e->failed |= !r->code;
    if (r->code && e->tapes)
        e->failed |= !yki_tape_begin(&e->tapes[class], at < 0 ? &program->actions[r->action] : NULL,
                                     (yki_end)(YKI_END_REDUCE + (at < 0 ? 0 : at)),
                                     at < 0 ? r->code->samples : 0, e->now);
    return r->code != NULL;
}

static void run(engine *e, int class)
{
    runner *r = &e->runners[class];
    const yki_program *program = r->program;
    while (!e->failed) {
        if (!r->code || r->at == r->code->count) {
            if (e->tapes) yki_tape_end(&e->tapes[class], e->now);
            if (next_code(e, class)) continue;
            r->waits = DONE;
            e->done++;
            return;
        }
        const yki_timed *step = &r->code->steps[r->at++];
        bool ends = r->action >= program->nactions;
        if (e->tapes) e->failed |= !yki_tape_instruction(&e->tapes[class], step->in, e->now);
        const yoke_action *action = ends ? NULL : &program->actions[r->action];
        if (step->once && action && program->parts[action->chunk].last_weight != r->action) continue;
        if (step->kind == YKI_STEP_COMPUTE) {
            double seconds = step->seconds * r->scale[ends];
            if (!(seconds > 0)) continue;
            begin_compute(e, class, seconds);
            return;
        }
        if (step->kind == YKI_STEP_START)
            start(e, class, step);
        else if (step->kind == YKI_STEP_SEND)
            send(e, class, step, action->microbatch);
        else if (must_wait(e, class, step, action ? action->microbatch : 0)) {
            r->waits_since = e->now;
            return;
        } else
            r->waits = RUNS;
    }
}

/* --- the whole --- */

static void take(engine *e, const event *next)
{
    e->now = next->time;
    if (next->what == e->classes->count) {
        e->at_meet = 0;
        for (int c = 0; c < e->classes->count; c++) go_on(e, c);
        return;
    }
    if (next->what >= 0) {
        runner *r = &e->runners[next->what];
        if (next->version != r->version || r->rate == 0) return;
        r->rate = 0;
        e->computing += e->now * e->classes->list[next->what].count;
        change_working(e, -e->classes->list[next->what].count);
        run(e, next->what);
        return;
    }
    int at = ~next->what;
    movement m = e->movements[at];
    if (next->version != m.version) return;
    e->movements[at].version++;
    count_all(e, at, -1);
    e->movements[at].next_free = e->free;
    e->free = at;
    finish(e, &m);
}

/* Mean over ranks of what classes compute, and how each class is to be scaled to it. */
static void weigh(engine *e)
{
    yki_busy mean = {0};
    const yki_works *w = e->works;
    for (int c = 0; c < e->classes->count; c++)
        yki_busy_add(&mean, &w->busy[c], (double)e->classes->list[c].count / e->plan->mesh.nranks);
    e->out->mean = mean;
    for (int c = 0; c < e->classes->count; c++) {
        const double own[2] = {w->busy[c].bodies, w->busy[c].ends}, all[2] = {mean.bodies, mean.ends};
        for (int k = 0; k < 2; k++)
            e->runners[c].scale[k] = e->what_if->balanced && own[k] > 0 ? all[k] / own[k] : 1;
    }
}

static bool make(engine *e)
{
    size_t n = (size_t)e->classes->count,
           slots = (size_t)e->plan->nedges * 2 * (size_t)e->plan->microbatches + 1;
    size_t meetings = (size_t)e->classes->nmeetings * LATEST + 1;
    e->runners = calloc(n, sizeof *e->runners);
    e->arrived = calloc(meetings, sizeof *e->arrived);
    e->ended = calloc(meetings, sizeof *e->ended);
    if (!e->runners || !e->arrived || !e->ended) return false;
    for (int c = 0; c < e->classes->count; c++) {
        runner *r = &e->runners[c];
        r->program = yki_plan_program(e->plan, e->classes->list[c].first);
        int requests = r->program->nrequests;
        r->action = -1;
        r->started = calloc((size_t)e->plan->ngroups + (size_t)requests + 1, sizeof *r->started);
        r->message = calloc(slots, 1);
        if (!r->started || !r->message) return false;
        r->request = r->started + e->plan->ngroups;
    }
    return true;
}

static void release(engine *e)
{
    for (int c = 0; c < e->classes->count && e->runners; c++) {
        free(e->runners[c].started);
        free(e->runners[c].message);
        free(e->runners[c].moves);
    }
    free(e->runners);
    free(e->arrived);
    free(e->ended);
    free(e->movements);
    free(e->heap);
}

/* What all agree on is a few numbers, round all links. */
static double meet_seconds(const engine *e)
{
    int n = e->plan->mesh.nranks, *ranks = malloc(sizeof *ranks * (size_t)n);
    if (!ranks) return 0;
    for (int i = 0; i < n; i++) ranks[i] = i;
    double seconds = 2 * yki_route_of(e->works->costs, ranks, n).latency_s;
    free(ranks);
    return seconds;
}

static yoke_status simulate(yki_works *works, const yki_what_if *what_if, yki_record *record, yki_tape *tapes,
                            yki_simulated *out)
{
    engine e = {.works = works,
                .classes = works->classes,
                .plan = works->plan,
                .what_if = what_if,
                .record = record,
                .free = -1,
                .tapes = tapes,
                .out = out};
    *out = (yki_simulated){0};
    e.failed = !make(&e);
    if (!e.failed) {
        bool apart = false;
        for (int axis = 0; axis < YKI_AXIS_COUNT; axis++) apart |= !what_if->free_axis[axis];
        e.meet_s = apart ? meet_seconds(&e) : 0;
        weigh(&e);
        for (int c = 0; c < e.classes->count; c++) run(&e, c);
    }
    /* events that others overtook may be left when all are done */
    while (!e.failed && e.nheap > 0 && e.done < e.classes->count) {
        event next = pop(&e);
        take(&e, &next);
    }
    bool stuck = !e.failed && e.done < e.classes->count;
    out->seconds = e.now;
    out->computing = e.computing;
    release(&e);
    if (e.failed || (record && record->failed)) return yki_fail_memory("the events of a step");
    if (stuck)
        return yki_fail(YOKE_INVALID, "the step of this plan does not come to its end when it is simulated");
    return YOKE_OK;
}

yoke_status yki_simulate_recorded(yki_works *works, const yki_what_if *what_if, yki_record *record,
                                  yki_simulated *out)
{
    return simulate(works, what_if, record, NULL, out);
}

yoke_status yki_simulate_taped(yki_works *works, const yki_what_if *what_if, yki_tape *tapes,
                               yki_simulated *out)
{
    return simulate(works, what_if, NULL, tapes, out);
}

yoke_status yki_simulate(yki_works *works, const yki_what_if *what_if, yki_simulated *out)
{
    return simulate(works, what_if, NULL, NULL, out);
}
