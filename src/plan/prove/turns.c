/* Whose turn it is: every slot is free when an action takes it. Slots of a part are a micro-batch's from the
 * action that first writes them to the one that last reads them, by the stage's own list. A gradient on its
 * way is its receiver's until the receiver has taken it, and the sender knows that only by messages: when the
 * action runs that takes the slot again, one must have reached its stage that left the receiver's after that
 * (vector clocks, Mattern 1988). An action receives before it does anything else (contents.c), so a message
 * that it sends says that it has taken what it was sent. */
#include <string.h>

#include "base/fail.h"
#include "plan/prove/prove.h"
#include "schedule/walk.h"

/* Slots of a part, which micro-batches take in turn. */
typedef struct area {
    const int *slot; /* by micro-batch */
    int slots;       /* 0: nothing lies there */
    int *owner;      /* by slot: who has it, from 1; 0: nobody */
} area;

typedef struct turns {
    yki_prover *p;
    int *first;              /* by stage: the number of its first action among those of all stages */
    int *order;              /* stages, each time that of the next action in an order in which all can run */
    int *needs;              /* by action: the one of another stage that it needs; -1 */
    int *forward, *backward; /* by part and micro-batch: F, and B or BW */
    int *now, *at;           /* by stage: how far the stage that is watched had got; the next action */
    int *direct, *seen;      /* how far by action of one stage, and of all; seen NULL: not asked for yet */
    int *owner, cowner;      /* by slot: who has it, from 1; 0: nobody */
    area *areas;             /* of the program's parts */
    int *begins;             /* by part and body: the first action that runs it */
    int *last;               /* by part: the last action that adds to its weights' gradients */
} turns;

static int *numbers(const yki_prover *p, int count)
{
    return yki_arena_alloc(p->arena, sizeof(int) * ((size_t)count + 1));
}

/* --- slots of a part --- */

/* Which of a part's areas an action takes, and which it gives back. */
static const struct {
    bool takes[YKI_AREAS], gives[YKI_AREAS];
} rules[] = {
    [YOKE_ACTION_F] = {{true, true, false}, {false, false, false}},
    [YOKE_ACTION_B] = {{false, false, true}, {true, false, false}},
    [YOKE_ACTION_W] = {{false, false, false}, {false, true, true}},
    [YOKE_ACTION_BW] = {{false, false, true}, {true, true, true}},
};

static yoke_status run_action(turns *t, const yoke_action *action)
{
    yki_prover *p = t->p;
    const area *areas = &t->areas[YKI_AREAS * p->chunk];
    int mine = action->microbatch + 1;
    char text[YKI_ACTION_TEXT];
    for (int g = 0; g < YKI_AREAS; g++) {
        if (areas[g].slots == 0) continue;
        bool takes = rules[action->kind].takes[g], gives = rules[action->kind].gives[g];
        if (!takes && !gives) continue;
        int slot = areas[g].slot[action->microbatch];
        if (slot < 0 || slot >= areas[g].slots)
            return yki_fault(p, NULL, "action %s has slot %d of %d", yki_action_print(text, *action), slot,
                             areas[g].slots);
        int *owner = &areas[g].owner[slot];
        if (*owner != (takes ? 0 : mine))
            return yki_fault(p, NULL, "action %s takes slot %d, which micro-batch %d has",
                             yki_action_print(text, *action), slot, *owner - 1);
        *owner = gives ? 0 : mine;
    }
    return YOKE_OK;
}

static void free_slots(turns *t, int count)
{
    yki_arena_grow(t->p->arena, &t->owner, &t->cowner, count, sizeof *t->owner);
    if (count > 0) memset(t->owner, 0, sizeof *t->owner * (size_t)count);
}

static yoke_status check_list(turns *t)
{
    yki_prover *p = t->p;
    int count;
    const yoke_action *actions = yoke_schedule_actions(p->plan->schedule, p->program->stage, &count);
    if (p->program->actions != actions || p->program->nactions != count)
        return yki_fault(p, NULL, "it does not run its stage's list of actions");
    return YOKE_OK;
}

/* Which action begins sums of gradients (sums.c), and which one completes them. */
static yoke_status check_ends(turns *t)
{
    yki_prover *p = t->p;
    for (p->chunk = 0; p->chunk < p->program->nparts; p->chunk++) {
        const yki_part_program *part = yki_prover_part(p);
        for (int body = 0; body < YKI_BODY_COUNT; body++) {
            p->body = (yki_body)body;
            if (part->first_action[body] != t->begins[YKI_BODY_COUNT * p->chunk + body])
                return yki_fault(p, NULL, "it is said to run first in action %d of its stage",
                                 part->first_action[body]);
        }
        p->body = YKI_BODY_COUNT;
        if (part->last_weight != t->last[p->chunk])
            return yki_fault(
                p, NULL, "its gradients are called complete after action %d of its stage, and are after %d",
                part->last_weight, t->last[p->chunk]);
    }
    return YOKE_OK;
}

/* No slot is anybody's, and no body has run. */
static void begin_program(turns *t)
{
    const yki_program *program = t->p->program;
    int slots = 0;
    for (int c = 0; c < program->nparts; c++) {
        t->last[c] = -1;
        for (int body = 0; body < YKI_BODY_COUNT; body++) t->begins[YKI_BODY_COUNT * c + body] = -1;
        for (int g = 0; g < YKI_AREAS; g++) slots += program->parts[c].area_slots[g];
    }
    free_slots(t, slots);
    for (int k = 0, at = 0; k < YKI_AREAS * program->nparts; k++) {
        const yki_part_program *part = &program->parts[k / YKI_AREAS];
        int g = k % YKI_AREAS;
        t->areas[k] = (area){part->slot[g], part->area_bytes[g] > 0 ? part->area_slots[g] : 0, t->owner + at};
        at += part->area_slots[g];
    }
}

static yoke_status prove_slots(turns *t)
{
    yki_prover *p = t->p;
    const yki_program *program = p->program;
    begin_program(t);
    for (int i = 0; i < program->nactions; i++) {
        const yoke_action *action = &program->actions[i];
        p->chunk = action->chunk;
        p->body = yki_action_body(action);
        if (!yki_prover_part(p)->present[p->body])
            return yki_fault(p, NULL, "it runs a body that is not there");
        int *begins = &t->begins[YKI_BODY_COUNT * p->chunk + (int)p->body];
        if (*begins < 0) *begins = i;
        if (action->kind == YOKE_ACTION_F || yki_plan_trains(p->plan)) YKI_TRY(run_action(t, action));
        if (action->kind == YOKE_ACTION_W || action->kind == YOKE_ACTION_BW) t->last[action->chunk] = i;
    }
    p->body = YKI_BODY_COUNT;
    return check_ends(t);
}

/* The first lane class's program of the same stage, which is gone through before. */
static const yki_program *first_class(const yki_prover *p)
{
    return p->program - p->program->lane_class;
}

/* Whether all that turns depend on is as in another program, which has the same actions. */
static bool takes_turns_as(const yki_plan *plan, const yki_program *a, const yki_program *b)
{
    if (a->nparts != b->nparts) return false;
    for (int c = 0; c < a->nparts; c++) {
        const yki_part_program *x = &a->parts[c], *y = &b->parts[c];
        if (memcmp(x->present, y->present, sizeof x->present) != 0 ||
            memcmp(x->first_action, y->first_action, sizeof x->first_action) != 0 ||
            x->last_weight != y->last_weight)
            return false;
        for (int g = 0; g < YKI_AREAS; g++)
            if (x->area_slots[g] != y->area_slots[g] || (x->area_bytes[g] > 0) != (y->area_bytes[g] > 0) ||
                memcmp(x->slot[g], y->slot[g], sizeof *x->slot[g] * (size_t)plan->microbatches) != 0)
                return false;
    }
    return true;
}

static yoke_status prove_program(turns *t)
{
    const yki_prover *p = t->p;
    const yki_program *first = first_class(p);
    YKI_TRY(check_list(t));
    return first != p->program && takes_turns_as(p->plan, p->program, first) ? YOKE_OK : prove_slots(t);
}

/* --- gradients on their way --- */

/* An order of all actions, and where each stands. */
static yoke_status follow(turns *t)
{
    const yki_plan *plan = t->p->plan;
    yki_walk walk;
    int stage, index, count = 0;
    YKI_TRY(yki_walk_init(&walk, plan->schedule));
    while (yki_walk_next(&walk, &stage, &index)) {
        const yoke_action *action = &plan->programs[stage * plan->nlane_classes].actions[index];
        int part = yki_schedule_part(plan->schedule, stage, *action), at = t->first[stage] + index;
        size_t of = yki_schedule_slot(plan->schedule, part, action->microbatch);
        t->order[count++] = stage;
        t->needs[at] = -1;
        if (action->kind == YOKE_ACTION_F) {
            t->forward[of] = at;
            if (part > 0) t->needs[at] = t->forward[of - (size_t)plan->microbatches];
        } else if (action->kind != YOKE_ACTION_W) {
            t->backward[of] = at;
            if (part + 1 < plan->nparts) t->needs[at] = t->backward[of + (size_t)plan->microbatches];
        }
    }
    int left = walk.left;
    yki_walk_release(&walk);
    return left == 0 ? YOKE_OK : yki_fault(t->p, NULL, "%d actions wait for each other", left);
}

/* Parts follow each other by messages: there is an edge between any two. */
static yoke_status check_links(yki_prover *p)
{
    const yki_plan *plan = p->plan;
    char *linked = yki_arena_alloc(p->arena, (size_t)plan->nparts + 1);
    for (int e = 0; e < plan->nedges; e++) {
        if (plan->edges[e].from >= plan->edges[e].to) return yki_fault(p, NULL, "edge %d leads back", e);
        if (plan->edges[e].to == plan->edges[e].from + 1) linked[plan->edges[e].to] = 1;
    }
    for (int part = 1; part < plan->nparts; part++)
        if (!linked[part])
            return yki_fault(p, NULL, "no message goes from part %d to part %d", part - 1, part);
    return YOKE_OK;
}

/* How far `watched` had got, at least, when each action of `stage` starts. */
static const int *watch(turns *t, int watched, int stage)
{
    int stages = t->p->plan->parts.nstages, count = t->first[stages];
    if (!t->seen) t->seen = numbers(t->p, count);
    for (int s = 0; s < stages; s++) t->now[s] = -1;
    memcpy(t->at, t->first, sizeof *t->at * (size_t)stages);
    for (int i = 0; i < count; i++) {
        int at = t->at[t->order[i]]++, needs = t->needs[at], *now = &t->now[t->order[i]];
        if (needs >= 0) {
            bool here = needs >= t->first[watched] && needs < t->first[watched + 1];
            int known = here ? needs - t->first[watched] : t->seen[needs];
            if (known > *now) *now = known;
        }
        t->seen[at] = *now;
    }
    return t->seen + t->first[stage];
}

/* The same by messages from `watched` to the stage alone: less, but soon found. */
static const int *watch_directly(turns *t, int watched, int stage)
{
    const int *needs = t->needs + t->first[stage];
    int count = t->first[stage + 1] - t->first[stage], from = t->first[watched],
        most = t->first[watched + 1] - from;
    for (int i = 0, now = -1; i < count; i++) {
        int known = needs[i] - from;
        if (known > now && known < most) now = known;
        t->direct[i] = now;
    }
    return t->direct;
}

/* The first action of an edge's sender whose slot is not known to be free, by what each of its actions has
 * seen; -1: there is none. Whose it is by then: *before_out, -1 where it is none of the edge's. */
static int find_taken(turns *t, int e, const int *seen, int *before_out)
{
    const yki_plan *plan = t->p->plan;
    const yki_program *program = t->p->program;
    const yki_edge *edge = &plan->edges[e];
    int sender = program->stage, receiver = plan->stage_of[edge->from];
    *before_out = -1;
    free_slots(t, plan->microbatches);
    for (int i = 0; i < program->nactions; i++) {
        const yoke_action *action = &program->actions[i];
        if (action->chunk != plan->chunk_of[edge->to] || action->kind == YOKE_ACTION_F ||
            action->kind == YOKE_ACTION_W)
            continue;
        int slot = program->send_slot[e][action->microbatch];
        if (slot < 0 || slot >= plan->microbatches) return i;
        int before = t->owner[slot] - 1;
        t->owner[slot] = action->microbatch + 1;
        if (before < 0) continue;
        int taken = t->backward[yki_schedule_slot(plan->schedule, edge->from, before)] - t->first[receiver];
        *before_out = before;
        if (sender == receiver ? taken >= i : seen[i] < taken) return i;
    }
    return -1;
}

/* The backward actions of an edge's sender, in their order, each with a slot that is free. */
static yoke_status prove_edge(turns *t, int e)
{
    yki_prover *p = t->p;
    int receiver = p->plan->stage_of[p->plan->edges[e].from], before, i;
    char text[YKI_ACTION_TEXT];
    if (find_taken(t, e, watch_directly(t, receiver, p->program->stage), &before) < 0) return YOKE_OK;
    if ((i = find_taken(t, e, watch(t, receiver, p->program->stage), &before)) < 0) return YOKE_OK;
    yki_action_print(text, p->program->actions[i]);
    if (before < 0) return yki_fault(p, NULL, "action %s has no slot for its gradient over edge %d", text, e);
    return yki_fault(
        p, NULL,
        "action %s writes a gradient to slot %d of edge %d, and nothing says that stage %d has taken "
        "that of micro-batch %d from there",
        text, p->program->send_slot[e][p->program->actions[i].microbatch], e, receiver, before);
}

static yoke_status prove_edges(turns *t)
{
    yki_prover *p = t->p;
    for (int e = 0; e < p->plan->nedges; e++)
        for (int class = 0; class < p->plan->nlane_classes && p->plan->edges[e].gradient_sent >= 0;
             class ++) {
            int sender = p->plan->stage_of[p->plan->edges[e].to];
            p->program = &p->plan->programs[sender * p->plan->nlane_classes + class];
            if (class == 0 || p->program->send_slot[e] != first_class(p)->send_slot[e])
                YKI_TRY(prove_edge(t, e));
        }
    yki_prover_leave(p);
    return YOKE_OK;
}

yoke_status yki_prove_turns(yki_prover *p)
{
    const yki_plan *plan = p->plan;
    int stages = plan->parts.nstages;
    int passes = (int)yki_schedule_slot(plan->schedule, plan->nparts, 0); /* no more than actions */
    turns t = {.p = p, .first = numbers(p, stages)};
    int most = 0; /* actions of a stage */
    for (int s = 0; s < stages; s++) {
        int count = plan->programs[s * plan->nlane_classes].nactions;
        t.first[s + 1] = t.first[s] + count;
        most = count > most ? count : most;
    }
    t.order = numbers(p, t.first[stages]), t.needs = numbers(p, t.first[stages]);
    t.forward = numbers(p, passes), t.backward = numbers(p, passes);
    t.now = numbers(p, stages), t.at = numbers(p, stages), t.direct = numbers(p, most);
    t.begins = numbers(p, YKI_BODY_COUNT * plan->nparts), t.last = numbers(p, plan->nparts);
    t.areas = yki_arena_alloc(p->arena, sizeof *t.areas * (size_t)(YKI_AREAS * plan->nparts + 1));
    for (int i = 0; i < yki_plan_programs(plan); i++) {
        p->program = &plan->programs[i];
        YKI_TRY(prove_program(&t));
    }
    yki_prover_leave(p);
    YKI_TRY(check_links(p));
    YKI_TRY(follow(&t));
    return prove_edges(&t);
}
