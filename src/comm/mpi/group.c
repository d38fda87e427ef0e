/* Groups: their processes and machines, and all the memory that operations will need. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "comm/mpi/mpi.h"

static int process_of(const yki_mpi_world *world, int world_rank)
{
    return world_rank / world->nlocal;
}

/* Members by process, processes in the order of their first members. */
static void sort_members(yki_mpi_group *g, const int *world_ranks)
{
    int n = 0, *processes = g->processes;
    for (int m = 0; m < g->size; m++) {
        int p = 0, at = process_of(g->world, world_ranks[m]);
        g->world_ranks[m] = world_ranks[m];
        while (p < n && processes[p] != at) p++;
        if (p == n) processes[n++] = at;
    }
    g->nprocesses = n;
    int count = 0;
    for (int p = 0; p < n; p++) {
        g->first[p] = count;
        if (processes[p] == g->world->cluster->rank) g->me = p;
        for (int m = 0; m < g->size; m++)
            if (process_of(g->world, world_ranks[m]) == processes[p]) {
                g->position[m] = count;
                g->members[count++] = m;
            }
    }
    g->first[n] = count;
    g->nlocal = yki_mpi_members(g, g->me);
}

static void sort_machines(yki_mpi_group *g)
{
    const int *processes = g->processes;
    const int *machine_of = g->world->cluster->machine_of;
    int count = 0;
    for (int p = 0; p < g->nprocesses; p++) g->machine[p] = -1;
    for (int p = 0; p < g->nprocesses; p++) {
        if (g->machine[p] >= 0) continue;
        g->machine_first[g->nmachines] = count;
        for (int q = p; q < g->nprocesses; q++) {
            if (machine_of[processes[q]] != machine_of[processes[p]]) continue;
            g->machine[q] = g->nmachines;
            g->index[q] = count - g->machine_first[g->nmachines];
            g->neighbours[count++] = q;
        }
        if (count - g->machine_first[g->nmachines] > g->largest)
            g->largest = count - g->machine_first[g->nmachines];
        g->nmachines++;
    }
    g->machine_first[g->nmachines] = count;
}

/* What operations and rounds work with. */
static bool reserve(yki_mpi_group *g)
{
    size_t n = (size_t)g->nprocesses, nlocal = (size_t)g->nlocal, relayed = 0,
           B = (size_t)yki_mpi_round_bytes;
    int machine = g->machine[g->me];
    size_t mates = (size_t)(g->machine_first[machine + 1] - g->machine_first[machine]);
    for (int s = 0; s < g->nprocesses; s++) relayed += yki_mpi_relay(g, machine, s) == g->me;
    size_t chunk = (B > YKI_MPI_SMALL_BYTES ? B : YKI_MPI_SMALL_BYTES) / n + 64,
           parts = (relayed * mates > n ? relayed * mates : n) * chunk;
    bool all = true;
    for (int k = 0; k < YKI_COMM_OUTSTANDING; k++) {
        yki_mpi_op *op = &g->ops[k];
        all &= (op->requests = calloc(nlocal, sizeof *op->requests)) != NULL;
        all &= (op->signatures = calloc(nlocal, sizeof *op->signatures)) != NULL;
        all &= (op->scalars = calloc(nlocal * YKI_COMM_SCALARS, sizeof(double))) != NULL;
        all &= (op->all_scalars = calloc((size_t)g->size * YKI_COMM_SCALARS, sizeof(double))) != NULL;
        all &= (op->out = calloc(n, sizeof *op->out)) != NULL;
        all &= (op->in = calloc(n, sizeof *op->in)) != NULL;
    }
    for (int r = 0; r < YKI_MPI_ROUNDS; r++) {
        yki_mpi_round *round = &g->rounds[r];
        all &=
            (round->messages = calloc(4 * n + 4 * (size_t)g->largest + 16, sizeof *round->messages)) != NULL;
        all &= (round->own = calloc(n, sizeof *round->own)) != NULL;
        all &= (round->sent = malloc(chunk * n)) != NULL;
        all &= (round->parts = malloc(parts)) != NULL;
        all &= (round->sums = malloc(relayed * chunk + 64)) != NULL;
        all &= (round->from_machines = malloc((size_t)g->nmachines * chunk)) != NULL;
        all &= (round->result = malloc(chunk * n)) != NULL;
        all &= (round->gathered = malloc(chunk * n)) != NULL;
    }
    all &= (g->widened = malloc(nlocal * chunk)) != NULL;
    all &= (g->arrays = calloc(n + nlocal + 2, sizeof *g->arrays)) != NULL;
    all &= (g->started = calloc(nlocal, sizeof *g->started)) != NULL;
    return all;
}

static void release(yki_mpi_group *g)
{
    for (int k = 0; k < YKI_COMM_OUTSTANDING; k++) {
        yki_mpi_op *op = &g->ops[k];
        free(op->requests);
        free(op->signatures);
        free(op->scalars);
        free(op->all_scalars);
        free(op->out);
        free(op->in);
    }
    for (int r = 0; r < YKI_MPI_ROUNDS; r++) {
        yki_mpi_round *round = &g->rounds[r];
        free(round->messages);
        free(round->own);
        free(round->sent);
        free(round->parts);
        free(round->sums);
        free(round->from_machines);
        free(round->result);
        free(round->gathered);
    }
    void *rest[] = {g->widened,   g->arrays,   g->started, g->members, g->first,         g->world_ranks,
                    g->processes, g->position, g->machine, g->index,   g->machine_first, g->neighbours};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) free(rest[i]);
    free(g);
}

yoke_status yki_mpi_group_create(yki_mpi_world *world, int size, const int *world_ranks, int id,
                                 yki_mpi_group **group_out)
{
    size_t n = (size_t)size;
    yki_mpi_group *g = calloc(1, sizeof *g);
    *group_out = NULL;
    if (!g) return yki_fail_memory("a group of ranks");
    g->world = world;
    g->size = size;
    g->id = id;
    int **const arrays[] = {&g->members, &g->first, &g->world_ranks,   &g->position,  &g->processes,
                            &g->machine, &g->index, &g->machine_first, &g->neighbours};
    bool all = true;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        all &= (*arrays[i] = calloc(n + 1, sizeof(int))) != NULL;
    if (all) {
        sort_members(g, world_ranks);
        sort_machines(g);
        all = reserve(g);
    }
    if (!all) {
        release(g);
        return yki_fail_memory("a group of ranks");
    }
    world->ids[id / 64] |= UINT64_C(1) << id % 64;
    g->users = g->nlocal;
    g->next = world->groups;
    world->groups = g;
    *group_out = g;
    return YOKE_OK;
}

/* Under the lock. */
void yki_mpi_group_drop(yki_mpi_group *g)
{
    if (--g->users > 0) return;
    yki_mpi_group **link = &g->world->groups;
    while (*link != g) link = &(*link)->next;
    *link = g->next;
    g->world->ids[g->id / 64] &= ~(UINT64_C(1) << g->id % 64);
    release(g);
}

yoke_status yki_mpi_comm_create(yki_mpi_group *group, int member, yki_comm *local, yki_comm **comm_out)
{
    yki_mpi_comm *comm = calloc(1, sizeof *comm);
    *comm_out = NULL;
    if (!comm) return yki_fail_memory("a rank's end of a group");
    comm->base.transport = &yki_mpi_transport;
    comm->base.rank = member;
    comm->base.size = group->size;
    comm->group = group;
    comm->local = local;
    comm->here = group->position[member] - group->first[group->me];
    comm->started = group->started[comm->here];
    *comm_out = &comm->base;
    return YOKE_OK;
}

void yki_mpi_comm_destroy(yki_comm *base)
{
    yki_mpi_comm *comm = (yki_mpi_comm *)base;
    pthread_mutex_t *lock = &comm->group->world->cluster->lock;
    pthread_mutex_lock(lock);
    yki_mpi_group_drop(comm->group);
    pthread_mutex_unlock(lock);
    yki_comm_destroy(comm->local);
    free(comm);
}
