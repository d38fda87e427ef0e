/* The event simulator: along a walk, an action starts when its stage is free and what it needs has come. */
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "schedule/walk.h"

static yoke_status check_times(const yoke_schedule *schedule, const yoke_times *times, int ntimes)
{
    if (ntimes != 1 && ntimes != schedule->parts.nparts)
        return yki_fail(YOKE_INVALID,
                        "%d entries of times for a model of %d parts; there must be one for all, or one each",
                        ntimes, schedule->parts.nparts);
    for (int i = 0; i < ntimes; i++) {
        const double values[] = {times[i].forward, times[i].input_gradient, times[i].weight_gradient,
                                 times[i].transfer};
        for (int k = 0; k < 4; k++)
            if (!(values[k] >= 0) || isinf(values[k]))
                return yki_fail(YOKE_INVALID, "%g is not a duration; durations are finite and not negative",
                                values[k]);
    }
    return YOKE_OK;
}

static double duration(const yoke_times *times, int kind)
{
    switch (kind) {
    case YOKE_ACTION_F:
        return times->forward;
    case YOKE_ACTION_B:
        return times->input_gradient;
    case YOKE_ACTION_W:
        return times->weight_gradient;
    default:
        return times->input_gradient + times->weight_gradient;
    }
}

/* Ends of what is handed on: [0] forwards, [1] gradients of the input, by slot. */
typedef struct ends {
    double *of[2];
} ends;

static double find_start(const yoke_schedule *schedule, const yoke_times *times, int ntimes, const ends *e,
                         int part, yoke_action action, double stage_free)
{
    yki_need needs[2];
    int n = yki_action_needs(schedule, part, action.kind, needs);
    double start = stage_free;
    for (int i = 0; i < n; i++) {
        int from = needs[i].part;
        double come = e->of[needs[i].is_backward][yki_schedule_slot(schedule, from, action.microbatch)];
        if (schedule->parts.stage_of[from] != schedule->parts.stage_of[part])
            come += times[ntimes == 1 ? 0 : from].transfer;
        start = come > start ? come : start;
    }
    return start;
}

static void measure(const yoke_schedule *schedule, yoke_timeline *timeline)
{
    double busy = 0, cost = 0, first = INFINITY, last = 0;
    for (int s = 0; s < schedule->parts.nstages; s++) {
        const yoke_event *events = timeline->events + schedule->first_action[s];
        int count = schedule->filled[s];
        double work = 0;
        for (int k = 0; k < count; k++) work += events[k].end - events[k].start;
        busy += work;
        if (count == 0) continue;
        first = fmin(first, events[0].start);
        last = fmax(last, events[count - 1].end);
        double span = events[count - 1].end - events[0].start, rate = span > 0 ? (span - work) / span : 0;
        if (span > cost || (span == cost && rate > timeline->bubble_rate)) timeline->bubble_rate = rate;
        cost = fmax(cost, span);
    }
    timeline->makespan = last > first ? last - first : 0;
    /* rounding may leave a hair below zero where nothing idles */
    timeline->bubble_rate = fmax(timeline->bubble_rate, 0);
    if (timeline->makespan > 0)
        timeline->idle_share = fmax(1 - busy / (timeline->makespan * schedule->parts.nstages), 0);
}

yoke_status yoke_schedule_simulate(const yoke_schedule *schedule, const yoke_times *times, int ntimes,
                                   yoke_timeline *timeline_out)
{
    YKI_NEED(schedule, times, timeline_out);
    YKI_TRY(check_times(schedule, times, ntimes));
    size_t slots = yki_schedule_slot(schedule, schedule->parts.nparts, 0);
    yki_walk walk;
    YKI_TRY(yki_walk_init(&walk, schedule));
    yoke_timeline timeline = {.nevents = walk.left};
    timeline.events = calloc((size_t)walk.left + 1, sizeof *timeline.events);
    ends e = {{calloc(2 * slots, sizeof(double)), NULL}};
    yoke_status status = YOKE_OK;
    if (!timeline.events || !e.of[0]) {
        status = yki_fail_memory("the events of a schedule");
        goto done;
    }
    e.of[1] = e.of[0] + slots;
    for (int stage, index; yki_walk_next(&walk, &stage, &index);) {
        yoke_event *event = timeline.events + schedule->first_action[stage] + index;
        yoke_action action = schedule->actions[schedule->first_action[stage] + index];
        int part = yki_schedule_part(schedule, stage, action);
        double stage_free = index > 0 ? event[-1].end : 0;
        event->action = action;
        event->stage = stage;
        event->start = find_start(schedule, times, ntimes, &e, part, action, stage_free);
        event->end = event->start + duration(&times[ntimes == 1 ? 0 : part], action.kind);
        if (action.kind != YOKE_ACTION_W)
            e.of[action.kind != YOKE_ACTION_F][yki_schedule_slot(schedule, part, action.microbatch)] =
                event->end;
    }
    if (walk.left > 0) { /* not a schedule that was checked: have it say why it cannot run */
        status = yoke_schedule_check(schedule);
        goto done;
    }
    measure(schedule, &timeline);
    *timeline_out = timeline;
    timeline.events = NULL;
done:
    free(timeline.events);
    free(e.of[0]);
    yki_walk_release(&walk);
    return status;
}

void yoke_timeline_release(yoke_timeline *timeline)
{
    if (!timeline) return;
    free(timeline->events);
    *timeline = (yoke_timeline){0};
}
