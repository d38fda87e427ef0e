/* Groups of a group. All members tell each other their wishes, and which numbers of groups their processes
 * have in use; all find the same free number for each new group. Another split may have taken one meanwhile:
 * then all try again. */
#include <stdlib.h>

#include "base/fail.h"
#include "comm/mpi/mpi.h"

enum { WORDS = YKI_MPI_GROUPS / 64 };

/* What a member says, in words of 32 bits. */
typedef struct wish {
    int32_t colour, key;
} wish;

typedef struct used {
    uint64_t ids[WORDS];
} used;

/* What a member says when it has seen what all others use. */
typedef struct verdict {
    int32_t failed; /* 1: a number was taken meanwhile; 2: no memory */
    uint32_t generation;
} verdict;

/* A new group with members in this process and others. */
typedef struct yki_mpi_made {
    int colour, id;
    bool reserved;
    yki_mpi_group *group;
} made;

/* A split under way, of one member. */
typedef struct split {
    yki_mpi_comm *comm;
    wish mine, *wishes;
    used *used;
    int *members, *scratch;
    verdict *verdicts;
    int64_t *shares;
    yki_comm *local;
} split;

static yoke_status gather(split *s, const void *mine, void *all, size_t bytes)
{
    yki_comm *base = &s->comm->base;
    for (int i = 0; i < base->size; i++) s->shares[i] = 1;
    yki_request request = {
        .comm = base,
        .kind = YKI_COMM_ALL_GATHER,
        .dtype = YKI_I32,
        .npieces = 1,
        .piece = {.mine = (void *)(uintptr_t)mine, .all = all, .cut = {1, (int64_t)bytes / 4, s->shares}}};
    YKI_TRY(yki_mpi_start(base, &request));
    return yki_mpi_wait(&request);
}

/* Members of a colour in the order of (key, rank); returns how many. */
static int of_colour(const split *s, int colour, int *members)
{
    int count = 0;
    const wish *w = s->wishes;
    for (int r = 0; r < s->comm->base.size; r++) {
        if (w[r].colour != colour) continue;
        int at = count++;
        for (; at > 0 && w[members[at - 1]].key > w[r].key; at--) members[at] = members[at - 1];
        members[at] = r;
    }
    return count;
}

/* How many of some members are in this process. */
static int here_of(const yki_mpi_group *g, const int *members, int count)
{
    int here = 0, first = g->first[g->me], end = g->first[g->me + 1];
    for (int i = 0; i < count; i++) here += g->position[members[i]] >= first && g->position[members[i]] < end;
    return here;
}

static int next_colour(const split *s, int last)
{
    int64_t next = -1;
    for (int r = 0; r < s->comm->base.size; r++) {
        int64_t c = s->wishes[r].colour;
        if (c > last && (next < 0 || c < next)) next = c;
    }
    return (int)next;
}

/* A number that none of the members' processes uses, and no group of this split: from one on that depends on
 * the group that is split, so that two splits at a time seldom meet. -1: none. */
static int pick(split *s, const int *members, int count, used *taken, int attempt)
{
    used busy = *taken;
    for (int i = 0; i < count; i++)
        for (int w = 0; w < WORDS; w++) busy.ids[w] |= s->used[members[i]].ids[w];
    int start = s->comm->group->id * 31 + attempt * 7 + 1;
    for (int k = 0; k < YKI_MPI_GROUPS; k++) {
        int id = (start + k) % YKI_MPI_GROUPS;
        if (busy.ids[id / 64] >> id % 64 & 1) continue;
        taken->ids[id / 64] |= UINT64_C(1) << id % 64;
        return id;
    }
    return -1;
}

/* The first of this process's members picks and reserves for all of them. Under the lock. */
static yoke_status reserve(split *s, int attempt)
{
    yki_mpi_group *g = s->comm->group;
    made *list = calloc((size_t)g->nlocal + 1, sizeof *list);
    if (!list) return yki_fail_memory("groups of ranks");
    used taken = {{0}};
    int n = 0;
    list[g->nlocal].colour = 0; /* whether a number was taken meanwhile */
    for (int colour = next_colour(s, -1); colour >= 0; colour = next_colour(s, colour)) {
        int count = of_colour(s, colour, s->scratch), here = here_of(g, s->scratch, count);
        int id = pick(s, s->scratch, count, &taken, attempt);
        if (here == 0 || here == count) continue;
        list[n] = (made){.colour = colour, .id = id};
        if (id >= 0 && !(g->world->ids[id / 64] >> id % 64 & 1)) {
            list[n].reserved = true;
            g->world->ids[id / 64] |= UINT64_C(1) << id % 64;
        } else
            list[g->nlocal].colour = 1;
        n++;
    }
    g->made = list;
    g->made_for = g->nlocal;
    return YOKE_OK;
}

/* A member leaves an attempt; the last one clears it up. Under the lock. */
static void leave(yki_mpi_group *g, bool keeps)
{
    if (!g->made || --g->made_for > 0) return;
    for (int i = 0; i < g->nlocal && !keeps; i++)
        if (g->made[i].reserved) g->world->ids[g->made[i].id / 64] &= ~(UINT64_C(1) << g->made[i].id % 64);
    free(g->made);
    g->made = NULL;
}

static yoke_status take(split *s, yki_comm **group_out)
{
    yki_mpi_group *g = s->comm->group;
    int count = s->mine.colour < 0 ? 0 : of_colour(s, s->mine.colour, s->members), place = 0, i = 0;
    if (count == 0 || here_of(g, s->members, count) == count) {
        *group_out = s->local;
        return YOKE_OK;
    }
    while (s->members[place] != s->comm->base.rank) place++;
    while (g->made[i].colour != s->mine.colour || !g->made[i].reserved) i++;
    made *of = &g->made[i];
    if (!of->group) {
        for (int m = 0; m < count; m++) s->scratch[m] = g->world_ranks[s->members[m]];
        YKI_TRY(yki_mpi_group_create(g->world, count, s->scratch, of->id, &of->group));
        uint32_t generation = 0;
        for (int r = 0; r < s->comm->base.size; r++)
            if (s->verdicts[r].generation > generation) generation = s->verdicts[r].generation;
        of->group->generation = ++generation;
        if (generation > g->world->generation) g->world->generation = generation;
    }
    return yki_mpi_comm_create(of->group, place, s->local, group_out);
}

static yoke_status attempt_split(split *s, int attempt, bool *again, yki_comm **group_out)
{
    yki_mpi_group *g = s->comm->group;
    pthread_mutex_t *lock = &g->world->cluster->lock;
    used mine;
    pthread_mutex_lock(lock);
    for (int w = 0; w < WORDS; w++) mine.ids[w] = g->world->ids[w];
    pthread_mutex_unlock(lock);
    YKI_TRY(gather(s, &mine, s->used, sizeof mine));
    pthread_mutex_lock(lock);
    yoke_status status = g->made ? YOKE_OK : reserve(s, attempt);
    verdict my_verdict = {status == YOKE_OK ? g->made[g->nlocal].colour : 2, g->world->generation};
    pthread_mutex_unlock(lock);
    YKI_TRY(gather(s, &my_verdict, s->verdicts, sizeof my_verdict));
    *again = false;
    for (int r = 0; r < s->comm->base.size; r++) {
        *again |= s->verdicts[r].failed == 1;
        if (s->verdicts[r].failed == 2) status = yki_fail_memory("groups of ranks");
    }
    pthread_mutex_lock(lock);
    if (status == YOKE_OK && !*again) status = take(s, group_out);
    leave(g, status == YOKE_OK && !*again);
    pthread_mutex_unlock(lock);
    return status;
}

yoke_status yki_mpi_split(yki_comm *base, int colour, int key, yki_comm **group_out)
{
    size_t n = (size_t)base->size;
    split s = {.comm = (yki_mpi_comm *)base,
               .mine = {colour < 0 ? -1 : colour, key},
               .wishes = calloc(n, sizeof *s.wishes),
               .used = calloc(n, sizeof *s.used),
               .members = calloc(n, sizeof *s.members),
               .scratch = calloc(n, sizeof *s.scratch),
               .verdicts = calloc(n, sizeof *s.verdicts),
               .shares = calloc(n, sizeof *s.shares)};
    bool all = s.wishes && s.used && s.members && s.scratch && s.verdicts && s.shares, again = true;
    yoke_status status = all ? YOKE_OK : yki_fail_memory("a group of ranks");
    if (status == YOKE_OK) status = gather(&s, &s.mine, s.wishes, sizeof s.mine);
    if (status == YOKE_OK) status = yki_comm_split(s.comm->local, colour, key, &s.local);
    for (int attempt = 0; status == YOKE_OK && again; attempt++)
        status = attempt < 100 ? attempt_split(&s, attempt, &again, group_out)
                               : yki_fail(YOKE_INVALID, "a process can be in %d groups of ranks at a time",
                                          YKI_MPI_GROUPS);
    if (status != YOKE_OK) yki_comm_destroy(s.local);
    free(s.wishes);
    free(s.used);
    free(s.members);
    free(s.scratch);
    free(s.verdicts);
    free(s.shares);
    return status;
}
