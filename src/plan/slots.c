/* Slots. A gradient on its way occupies its buffer until the stage before has taken it. Nobody waits for
 * that: the buffer is used again only by an action that, by the order of messages, cannot start before it was
 * taken. So buffers can cause no deadlock whatever the schedule. The order is that of vector clocks (Mattern
 * 1988): action A on stage s knows how far stage t had got when the last message that reached A left t. */
#include "plan/slots.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

yoke_status yki_action_times_find(yki_plan *plan, yki_action_times *times)
{
    size_t parts = (size_t)plan->nparts, m = (size_t)plan->microbatches;
    int **tables[3];
    for (int k = 0; k < 3; k++) {
        tables[k] = yki_arena_alloc(&plan->arena, sizeof(int *) * parts);
        for (size_t part = 0; part < parts && tables[k]; part++)
            tables[k][part] = yki_arena_alloc(&plan->arena, sizeof(int) * (m + 1));
    }
    *times = (yki_action_times){tables[0], tables[1], tables[2], yki_arena_alloc(&plan->arena, parts)};
    if (plan->arena.failed) return yki_fail_memory("a plan");
    for (int part = 0; part < plan->nparts; part++) {
        int count;
        const yoke_action *actions = yoke_schedule_actions(plan->schedule, plan->stage_of[part], &count);
        for (int i = 0; i < count; i++) {
            if (actions[i].chunk != plan->chunk_of[part]) continue;
            int at = actions[i].microbatch;
            if (actions[i].kind == YOKE_ACTION_F) times->forward[part][at] = i;
            if (actions[i].kind == YOKE_ACTION_B || actions[i].kind == YOKE_ACTION_BW)
                times->input[part][at] = i;
            if (actions[i].kind == YOKE_ACTION_W || actions[i].kind == YOKE_ACTION_BW)
                times->weight[part][at] = i;
            times->split[part] |= actions[i].kind == YOKE_ACTION_B;
        }
    }
    return YOKE_OK;
}

typedef struct interval {
    int start, end, which;
} interval;

static int by_start(const void *a, const void *b)
{
    const interval *x = a, *y = b;
    return x->start != y->start ? x->start - y->start : x->which - y->which;
}

int yki_slots_assign(yki_arena *arena, const int *start, const int *end, int count, int *slot)
{
    interval *sorted = yki_arena_alloc(arena, sizeof *sorted * (size_t)(count + 1));
    int *busy_until = yki_arena_alloc(arena, sizeof(int) * (size_t)(count + 1));
    if (arena->failed) return -1;
    for (int i = 0; i < count; i++) sorted[i] = (interval){start[i], end[i], i};
    qsort(sorted, (size_t)count, sizeof *sorted, by_start);
    int nslots = 0;
    for (int i = 0; i < count; i++) {
        int s = 0;
        while (s < nslots && busy_until[s] >= sorted[i].start) s++;
        nslots += s == nslots;
        busy_until[s] = sorted[i].end;
        slot[sorted[i].which] = s;
    }
    return nslots;
}

/* How far stage `watched` had got, at least, when each action of each stage starts; by repeated passes over
 * the lists in the order in which they can run. */
typedef struct clocks {
    const int *part_at; /* [stage * chunks + chunk] */
    int chunks;
    int **seen; /* [stage][action] */
    int *next;  /* [stage] */
    int *now;   /* [stage] what the stage knows so far */
} clocks;

/* The part that must have run before, and when: fills up to two of them; returns how many. */
static int needs(const yki_plan *plan, const yki_action_times *times, int part, const yoke_action *action,
                 int stages[2], int at[2])
{
    int count = 0, m = action->microbatch;
    if (action->kind == YOKE_ACTION_F && part > 0) {
        stages[count] = plan->stage_of[part - 1];
        at[count++] = times->forward[part - 1][m];
    }
    if ((action->kind == YOKE_ACTION_B || action->kind == YOKE_ACTION_BW) && part + 1 < plan->nparts) {
        stages[count] = plan->stage_of[part + 1];
        at[count++] = times->input[part + 1][m];
    }
    return count;
}

static void make_clocks(yki_plan *plan, clocks *c)
{
    int nstages = plan->parts.nstages, *part_at;
    *c = (clocks){.chunks = 1};
    for (int part = 0; part < plan->nparts; part++)
        if (plan->chunk_of[part] >= c->chunks) c->chunks = plan->chunk_of[part] + 1;
    c->part_at = part_at = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)nstages * (size_t)c->chunks);
    for (int part = 0; part < plan->nparts; part++)
        part_at[plan->stage_of[part] * c->chunks + plan->chunk_of[part]] = part;
    c->seen = yki_arena_alloc(&plan->arena, sizeof(int *) * (size_t)nstages);
    c->next = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)nstages);
    c->now = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)nstages);
    for (int s = 0; s < nstages; s++) {
        int count;
        yoke_schedule_actions(plan->schedule, s, &count);
        c->seen[s] = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(count + 1));
    }
}

static void run_clocks(const yki_plan *plan, const yki_action_times *times, int watched, clocks *c)
{
    int nstages = plan->parts.nstages;
    for (int s = 0; s < nstages; s++) {
        c->next[s] = 0;
        c->now[s] = -1;
    }
    for (bool moved = true; moved;) {
        moved = false;
        for (int s = 0; s < nstages; s++) {
            int count;
            const yoke_action *actions = yoke_schedule_actions(plan->schedule, s, &count);
            for (; c->next[s] < count; c->next[s]++) {
                const yoke_action *action = &actions[c->next[s]];
                int stages[2], at[2], part = c->part_at[s * c->chunks + action->chunk],
                                      n = needs(plan, times, part, action, stages, at);
                bool ready = true;
                for (int i = 0; i < n; i++) ready &= stages[i] == s || c->next[stages[i]] > at[i];
                if (!ready) break;
                for (int i = 0; i < n; i++) {
                    int known = stages[i] == watched ? at[i] : c->seen[stages[i]][at[i]];
                    if (stages[i] != s && known > c->now[s]) c->now[s] = known;
                }
                c->seen[s][c->next[s]] = c->now[s];
                moved = true;
            }
        }
    }
}

/* The last position in the list of edge->to's stage at which the gradient that its part sent for each
 * micro-batch is not known to have been taken. */
static void find_releases(const yki_plan *plan, const yki_action_times *times, const yki_edge *edge,
                          const clocks *c, int *last)
{
    int sender = plan->stage_of[edge->to], receiver = plan->stage_of[edge->from], count;
    yoke_schedule_actions(plan->schedule, sender, &count);
    for (int m = 0; m < plan->microbatches; m++) {
        int sent = times->input[edge->to][m], taken = times->input[edge->from][m], at = sent + 1;
        while (sender != receiver && at < count && c->seen[sender][at] < taken) at++;
        last[m] = sender == receiver ? taken : at - 1;
    }
}

yoke_status yki_gradient_slots(yki_plan *plan, const yki_action_times *times, yki_send_slots *out)
{
    size_t n = (size_t)plan->nedges + 1, m = (size_t)plan->microbatches;
    clocks c;
    int *last = yki_arena_alloc(&plan->arena, sizeof(int) * m);
    *out = (yki_send_slots){yki_arena_alloc(&plan->arena, sizeof *out->slot * n),
                            yki_arena_alloc(&plan->arena, sizeof *out->count * n)};
    make_clocks(plan, &c);
    for (int stage = 0; stage < plan->parts.nstages; stage++) {
        bool watched = false;
        for (int e = 0; e < plan->nedges; e++) {
            const yki_edge *edge = &plan->edges[e];
            if (edge->gradient_sent < 0 || plan->stage_of[edge->from] != stage) continue;
            if (!watched && plan->stage_of[edge->to] != stage) {
                run_clocks(plan, times, stage, &c);
                watched = true;
            }
            int *slot = yki_arena_alloc(&plan->arena, sizeof(int) * m);
            find_releases(plan, times, edge, &c, last);
            out->count[e] = yki_slots_assign(&plan->arena, times->input[edge->to], last, (int)m, slot);
            out->slot[e] = slot;
        }
    }
    return plan->arena.failed ? yki_fail_memory("a plan") : YOKE_OK;
}
