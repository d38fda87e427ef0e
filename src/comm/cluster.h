/* The processes that a launcher (mpirun, srun) started together, of which this is one. There is one cluster a
 * process, joined once; without a launcher, or where it started one process, a process is alone: rank 0 of 1.
 *
 * Beside MPI, which moves what ranks compute, processes hold a lifeline: a connection each to process 0, on
 * which a thread of its own sends signs of life. So a process that is killed or stopped is noticed, and
 * named, while all threads that compute wait inside MPI. */
#ifndef YKI_COMM_CLUSTER_H
#define YKI_COMM_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/status.h"

/* Who started this process, by the environment alone. */
typedef struct yki_launched {
    const char *launcher; /* "mpirun of Open MPI" */
    const char *module;   /* "openmpi"; NULL: it does not say */
    int rank, size;
    bool first_here; /* of the processes on its machine */
} yki_launched;
/* False: nobody, or alone. */
bool yki_launch_find(yki_launched *out);

/* Seconds that so many processes have to start and meet: YOKE_START_TIMEOUT, else a minute and what many
 * take; 0: there is no limit. YOKE_INVALID: that variable is no number. */
yoke_status yki_start_limit(int processes, double *limit_out);

/* Called when a process is lost or has failed, or does not come: on a thread of the cluster's, at once with
 * 0, and with 1 after the watch's `lost`. */
typedef void (*yki_loss_hook)(const yoke_error *why, int known);

/* lost: may be NULL. YOKE_INVALID: no module, the wrong MPI, another version or binary elsewhere. Joining
 * again is nothing. */
yoke_status yki_cluster_join(yki_loss_hook lost);
/* ended well: by all processes together; otherwise `why` is told to the others, who end with it. */
void yki_cluster_leave(const yoke_error *why);

int yki_cluster_rank(void);
int yki_cluster_size(void);
const char *yki_cluster_host(int process); /* "": alone */
/* Processes on this machine, and this one's place among them. */
int yki_cluster_neighbours(int *place_out);
/* Whether the launcher has given this process some of the machine's cores only. */
bool yki_cluster_bound(void);

/* These block, and are called by all processes in the same order; alone they are nothing. */
/* Every process's `bytes`, in the order of processes. */
yoke_status yki_cluster_gather(const void *mine, void *all, size_t bytes);
/* Process 0's to all. */
yoke_status yki_cluster_broadcast(void *data, size_t bytes);
/* The least of every value. */
yoke_status yki_cluster_least(int64_t *values, int count);
/* All go on together, or none: the first process that has failed gives its record to all. And all must have
 * the same `hash` of `what`: YOKE_INVALID names who has another one than process 0. */
yoke_status yki_cluster_agree(yoke_status status, const char *what, uint64_t hash);

/* What the lifeline tells others of this process, and says of it when a peer is lost. */
typedef struct yki_signs {
    uint64_t progress;  /* grows whenever a rank goes on */
    int ranks, waiting; /* how many wait for others */
    bool armed;         /* in a step: a wait that does not end is a stall */
    char where[400];    /* "rank 0 waited in step 12, action F3, for all_reduce over dp" */
} yki_signs;

/* ranks: of each process. seconds: without sign of life, or without progress of anybody, before a peer is
 * lost. NULL: nobody watches any more; when it returns, signs and lost are not called. */
typedef struct yki_watch {
    int ranks;
    double seconds;
    void (*signs)(void *context, yki_signs *out);
    void (*lost)(void *context, const yoke_error *why);
    void *context;
} yki_watch;
void yki_cluster_watch(const yki_watch *watch);
/* Tells all other processes' watches that this one's ranks are lost. */
void yki_cluster_lose(const yoke_error *why);

/* Names ranks of a process for a sentence: "rank 2 on HOST", "rank 4 (to 5) on HOST". */
void yki_cluster_name(int process, int ranks, char *text, size_t size);

#endif
