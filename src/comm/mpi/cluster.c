/* Joining, comparing and leaving. */
#include "comm/mpi/cluster.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"
#include "comm/mpi/meeting.h"
#include "yoke/version.h"

static yki_cluster *joined;
static int pretended;

yki_cluster *yki_cluster_get(void)
{
    return joined;
}

int yki_cluster_rank(void)
{
    return joined ? joined->rank : 0;
}

int yki_cluster_size(void)
{
    return joined ? joined->size : 1;
}

const char *yki_cluster_host(int process)
{
    return joined ? joined->hosts[process] : "";
}

int yki_cluster_neighbours(int *place_out)
{
    int count = 0;
    *place_out = 0;
    for (int p = 0; joined && p < joined->size; p++)
        if (joined->machine_of[p] == joined->machine_of[joined->rank]) {
            if (p < joined->rank) ++*place_out;
            count++;
        }
    return joined ? count : 1;
}

bool yki_cluster_bound(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (joined && sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set) < sysconf(_SC_NPROCESSORS_ONLN);
#endif
    return false;
}

void yki_cluster_name(int process, int ranks, char *text, size_t size)
{
    int first = process * ranks;
    if (ranks > 1)
        snprintf(text, size, "rank %d (to %d) on %s", first, first + ranks - 1, yki_cluster_host(process));
    else
        snprintf(text, size, "rank %d on %s", first, yki_cluster_host(process));
}

/* What a process brings to an agreement. */
typedef struct yki_opinion {
    uint64_t hash;
    yoke_error error;
} yki_opinion;

static void destroy(yki_cluster *cluster)
{
    if (!cluster) return;
    free(cluster->machine_of);
    free(cluster->hosts);
    free(cluster->opinions);
    free(cluster);
}

yoke_status yki_cluster_gather(const void *mine, void *all, size_t bytes)
{
    if (!joined) {
        memcpy(all, mine, bytes);
        return YOKE_OK;
    }
    pthread_mutex_lock(&joined->lock);
    int error = joined->mpi->all_gather(mine, all, bytes);
    pthread_mutex_unlock(&joined->lock);
    if (error) return yki_fail(YOKE_PEER_FAILED, "%s gave error %d in a gather", joined->mpi->name, error);
    return YOKE_OK;
}

yoke_status yki_cluster_broadcast(void *data, size_t bytes)
{
    if (!joined) return YOKE_OK;
    pthread_mutex_lock(&joined->lock);
    int error = joined->mpi->broadcast(data, bytes);
    pthread_mutex_unlock(&joined->lock);
    if (error) return yki_fail(YOKE_PEER_FAILED, "%s gave error %d in a broadcast", joined->mpi->name, error);
    return YOKE_OK;
}

yoke_status yki_cluster_least(int64_t *values, int count)
{
    if (!joined) return YOKE_OK;
    size_t bytes = sizeof *values * (size_t)count;
    int64_t *all = malloc(bytes * (size_t)joined->size);
    if (!all) return yki_fail_memory("a comparison of processes");
    yoke_status status = yki_cluster_gather(values, all, bytes);
    for (int i = 0; i < joined->size * count && status == YOKE_OK; i++)
        if (all[i] < values[i % count]) values[i % count] = all[i];
    free(all);
    return status;
}

yoke_status yki_cluster_agree(yoke_status status, const char *what, uint64_t hash)
{
    if (!joined) return status;
    yki_opinion *all = joined->opinions, *mine = all + joined->size;
    *mine = (yki_opinion){.hash = hash};
    if (status != YOKE_OK) {
        mine->error = *yoke_error_get();
        mine->error.status = status;
    }
    yoke_status told = yki_cluster_gather(mine, all, sizeof *mine);
    int failed = 0, other = 0;
    while (told == YOKE_OK && failed < joined->size && all[failed].error.status == YOKE_OK) failed++;
    while (told == YOKE_OK && other < joined->size && all[other].hash == all[0].hash) other++;
    if (told == YOKE_OK && failed < joined->size) {
        told = all[failed].error.status;
        yki_error_set(&all[failed].error);
        if (failed > 0) /* the others need not know the place */
            told = yki_fail_at(told, all[failed].error.file, all[failed].error.line, all[failed].error.key,
                               "rank %d on %s: %s", failed, joined->hosts[failed], all[failed].error.message);
    } else if (told == YOKE_OK && other < joined->size)
        told = yki_fail(YOKE_INVALID,
                        "rank %d on %s has another %s than rank 0 on %s; all processes need the same%s",
                        other, joined->hosts[other], what, joined->hosts[0],
                        strcmp(what, "job") == 0 ? " (runs that have nothing to do with each other need "
                                                   "YOKE_ALONE=1 in their environment)"
                                                 : "");
    return told;
}

/* The first thing that processes say to each other; its form never changes. */
typedef struct hello {
    char version[32], host[YKI_HOST_BYTES];
    uint64_t binary;
} hello;

static yoke_status meet(yki_cluster *cluster)
{
    hello *mine = calloc((size_t)cluster->size + 1, sizeof *mine), *all = mine + 1;
    if (!mine) return yki_fail_memory("a cluster");
    snprintf(mine->version, sizeof mine->version, "%s", YOKE_VERSION);
    mine->binary = yki_binary_hash();
    gethostname(mine->host, sizeof mine->host - 1);
    yoke_status status = YOKE_OK;
    if (cluster->mpi->all_gather(mine, all, sizeof *mine) || cluster->mpi->machines(cluster->machine_of))
        status = yki_fail(YOKE_PEER_FAILED, "%s gave an error when processes met", cluster->mpi->name);
    for (int p = 0; p < cluster->size && status == YOKE_OK; p++) {
        memcpy(cluster->hosts[p], all[p].host, YKI_HOST_BYTES - 1);
        if (pretended) cluster->machine_of[p] = p / pretended;
        if (memcmp(all[p].version, all[0].version, sizeof all[p].version) != 0)
            status = yki_fail(YOKE_INVALID, "rank %d on %s runs yoke %.31s, and rank 0 on %s yoke %.31s", p,
                              cluster->hosts[p], all[p].version, cluster->hosts[0], all[0].version);
        else if (all[p].binary != all[0].binary)
            status = yki_fail(YOKE_INVALID,
                              "rank %d on %s runs another binary of yoke %.31s than rank 0 on %s; all need "
                              "the same file",
                              p, cluster->hosts[p], all[p].version, cluster->hosts[0]);
    }
    free(mine);
    return status;
}

static yoke_status begin(yki_cluster *cluster, const yki_launched *launch, yki_meeting *meeting)
{
    YKI_TRY(yki_mpi_load(launch, &cluster->mpi));
    pthread_mutex_init(&cluster->lock, NULL);
    if (cluster->mpi->begin(&cluster->rank, &cluster->size))
        return yki_fail(YOKE_INVALID, "%s, which %s started, does not begin", cluster->mpi->name,
                        launch->launcher);
    if (cluster->size != launch->size)
        return yki_fail(YOKE_INVALID,
                        "%s started this as process %d of %d, but %s says rank %d of %d: they are of two "
                        "MPIs; use the launcher of the MPI that the module is for",
                        launch->launcher, launch->rank, launch->size, cluster->mpi->name, cluster->rank,
                        cluster->size);
    cluster->tag_limit = cluster->mpi->tag_limit();
    cluster->machine_of = calloc((size_t)cluster->size, sizeof *cluster->machine_of);
    cluster->hosts = calloc((size_t)cluster->size, sizeof *cluster->hosts);
    cluster->opinions = calloc((size_t)cluster->size + 1, sizeof *cluster->opinions);
    if (!cluster->machine_of || !cluster->hosts || !cluster->opinions) return yki_fail_memory("a cluster");
    yki_meeting_at(meeting, "for their first messages");
    return meet(cluster);
}

yoke_status yki_cluster_join(yki_loss_hook lost)
{
    yki_launched launch;
    yki_meeting meeting;
    if (joined || !yki_launch_find(&launch)) return YOKE_OK;
    YKI_TRY(yki_meeting_begin(&meeting, &launch, lost));
    yki_cluster *cluster = calloc(1, sizeof *cluster);
    yoke_status status = cluster ? begin(cluster, &launch, &meeting) : yki_fail_memory("a cluster");
    if (status != YOKE_OK && cluster && cluster->size > 0) cluster->mpi->end(); /* all find the same */
    if (status == YOKE_OK) status = yki_lifeline_open(cluster, lost);
    yki_meeting_end(&meeting);
    if (status == YOKE_OK)
        joined = cluster;
    else
        destroy(cluster);
    return status;
}

void yki_cluster_leave(const yoke_error *why)
{
    if (!joined) return;
    yki_lifeline_close(why);
    if (why) { /* MPI would wait for all */
        if (joined->mpi->abort) joined->mpi->abort(yoke_status_exit_code(why->status));
        return;
    }
    joined->mpi->end();
    destroy(joined);
    joined = NULL;
}

void yki_cluster_pretend(int processes_a_machine)
{
    pretended = processes_a_machine;
    for (int p = 0; joined && p < joined->size; p++) joined->machine_of[p] = p / processes_a_machine;
}
