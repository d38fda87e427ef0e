/* Training over several processes, which mpirun or srun started: each runs the same program, joins, and makes
 * the same calls in the same order; a trainer made then has its ranks dealt evenly to them. Without a
 * launcher a process is alone, and all of this is nothing. */
#ifndef YOKE_CLUSTER_H
#define YOKE_CLUSTER_H

#include "yoke/job.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the environment says of this process. Static strings. */
typedef struct yoke_launch {
    const char *launcher;
    int rank, size;
    int first_here; /* of the processes on its machine */
} yoke_launch;
/* 1: a launcher has started this process and others; 0: it is alone. Joins nothing. */
YOKE_API int yoke_launched(yoke_launch *out);

/* Seconds that so many processes have to start and meet: the environment's YOKE_START_TIMEOUT, else a minute
 * and one more for each 16; 0: no limit. YOKE_INVALID: the variable is no number. */
YOKE_API yoke_status yoke_start_limit(int processes, double *seconds_out);

/* known 0: say so now, and return; 1: calls that run have begun to fail. */
typedef void (*yoke_loss_hook)(const yoke_error *why, int known);

/* Loads the MPI module that goes with the launcher (beside the library, or in YOKE_MPI_PATH) and joins the
 * others. Once, before the first trainer. lost (may be NULL) is called twice from a thread of the library
 * when a process is lost or has failed, with the sentence that names it; calls that run fail with it too, as
 * soon as they can. So it is, while this call waits, when the others have not come within yoke_start_limit();
 * it should end the process then. YOKE_INVALID: there is no such module, it is of another MPI than the
 * launcher, another process has another version or binary. */
YOKE_API yoke_status yoke_cluster_join(yoke_loss_hook lost);
/* 0 and 1 where the process is alone. */
YOKE_API int yoke_cluster_rank(void);
YOKE_API int yoke_cluster_size(void);
/* All together: whether all have loaded the same job. NULL: loading it failed here, and the record says why;
 * then all fail. */
YOKE_API yoke_status yoke_cluster_agree(const yoke_job *job);
/* The end, after all trainers'. NULL: all processes leave together. Otherwise this one ends with a failure of
 * its own, which the others are told and end with. */
YOKE_API void yoke_cluster_leave(const yoke_error *why);

#ifdef __cplusplus
}
#endif
#endif
