/* The greedy player. Each part runs its micro-batches in order, forward and backward, so that two counts a
 * part are its whole state. It cannot get stuck: the oldest unfinished micro-batch can always go on, because
 * a part that holds as many as it may holds older ones only. */
#include "schedule/greedy.h"

#include <assert.h>
#include <stdlib.h>

#include "base/fail.h"

enum { FORWARD_TICKS = 1, BACKWARD_TICKS = 2, CLOCK = 3 }; /* the clock turns over after the longest action */

typedef struct play {
    yoke_schedule *schedule;
    yki_greedy_rules rules;
    int *forward, *backward; /* [nparts]: micro-batches done */
    int *stage_forwards;     /* [nstages]: forwards done, all parts together */
    int *running;            /* [nstages]: 2 * part + is backward; -1: free */
    int *due[CLOCK];         /* [nstages] each: stages whose action ends at tick % CLOCK */
    int ndue[CLOCK];
    int *candidates; /* stages that may be able to start */
    int ncandidates;
} play;

static bool can_forward(const play *p, int c)
{
    int available = c > 0 ? p->forward[c - 1] : p->schedule->microbatches;
    int limit = p->rules.limit_in_flight ? p->schedule->parts.nparts - c : p->schedule->microbatches;
    return p->forward[c] < available && p->forward[c] - p->backward[c] < limit;
}

static bool can_backward(const play *p, int stage, int c)
{
    int all = p->schedule->microbatches * yki_schedule_chunks(p->schedule, stage);
    if (p->rules.backward_after_all_forward && p->stage_forwards[stage] < all) return false;
    bool is_last = c + 1 == p->schedule->parts.nparts;
    return p->backward[c] < p->forward[c] && (is_last || p->backward[c] < p->backward[c + 1]);
}

/* Backward before forward, for it frees memory. Of several parts the one that is nearest its micro-batch's
 * end, forward the last and backward the first: what was begun is finished. Of the rules tried, over maps
 * that loop, fold and repeat stages, this one leaves stages idle least. */
static int choose(const play *p, int stage)
{
    const yoke_schedule *schedule = p->schedule;
    int forward = -1, backward = -1;
    for (int k = schedule->first_part[stage]; k < schedule->first_part[stage + 1]; k++) {
        int c = schedule->part_at[k];
        if ((backward < 0 || c < backward) && can_backward(p, stage, c)) backward = c;
        if (c > forward && can_forward(p, c)) forward = c;
    }
    if (backward >= 0) return 2 * backward + 1;
    return forward >= 0 ? 2 * forward : -1;
}

static void add_candidate(play *p, int part)
{
    if (part >= 0 && part < p->schedule->parts.nparts)
        p->candidates[p->ncandidates++] = p->schedule->parts.stage_of[part];
}

/* Ends the actions due at `slot` of the clock; the stages that may go on become candidates. */
static int end_actions(play *p, int slot)
{
    int ended = p->ndue[slot];
    p->ncandidates = 0;
    for (int i = 0; i < ended; i++) {
        int stage = p->due[slot][i], part = p->running[stage] / 2;
        bool is_backward = p->running[stage] % 2;
        p->running[stage] = -1;
        if (is_backward) {
            p->backward[part]++;
        } else {
            p->forward[part]++;
            p->stage_forwards[stage]++;
        }
        add_candidate(p, part);
        add_candidate(p, is_backward ? part - 1 : part + 1);
    }
    p->ndue[slot] = 0;
    return ended;
}

static void start_actions(play *p, int tick)
{
    for (int i = 0; i < p->ncandidates; i++) {
        int stage = p->candidates[i];
        int choice = p->running[stage] < 0 ? choose(p, stage) : -1;
        if (choice < 0) continue;
        int part = choice / 2;
        bool is_backward = choice % 2;
        yki_schedule_add(p->schedule, stage, is_backward ? YOKE_ACTION_BW : YOKE_ACTION_F,
                         p->schedule->parts.chunk_of[part],
                         is_backward ? p->backward[part] : p->forward[part]);
        int slot = (tick + (is_backward ? BACKWARD_TICKS : FORWARD_TICKS)) % CLOCK;
        p->due[slot][p->ndue[slot]++] = stage;
        p->running[stage] = choice;
    }
}

yoke_status yki_schedule_play(yoke_schedule *schedule, yki_greedy_rules rules)
{
    int nstages = schedule->parts.nstages, nparts = schedule->parts.nparts;
    size_t stages = (size_t)nstages, parts = (size_t)nparts;
    int *storage = calloc(2 * parts + (4 + CLOCK) * stages, sizeof *storage);
    if (!storage) return yki_fail_memory("making a schedule");
    play p = {.schedule = schedule, .rules = rules, .forward = storage, .backward = storage + parts};
    p.stage_forwards = storage + 2 * parts;
    p.running = p.stage_forwards + stages;
    p.candidates = p.running + stages; /* an action that ends adds two */
    for (int i = 0; i < CLOCK; i++) p.due[i] = p.candidates + (size_t)(2 + i) * stages;
    for (int s = 0; s < nstages; s++) {
        p.running[s] = -1;
        p.candidates[p.ncandidates++] = s;
    }
    int left = schedule->first_action[nstages];
    start_actions(&p, 0);
    for (int tick = 1; left > 0; tick++) {
        left -= end_actions(&p, tick % CLOCK);
        start_actions(&p, tick);
        assert(left == 0 || p.ndue[0] + p.ndue[1] + p.ndue[2] > 0);
    }
    free(storage);
    return YOKE_OK;
}
