/* What files of this folder know of the cluster. */
#ifndef YKI_COMM_MPI_CLUSTER_H
#define YKI_COMM_MPI_CLUSTER_H

#include <pthread.h>

#include "comm/cluster.h"
#include "comm/mpi/module.h"

enum { YKI_HOST_BYTES = 64 };

typedef struct yki_cluster {
    const yki_mpi_module *mpi;
    pthread_mutex_t lock; /* whoever calls mpi */
    int rank, size, tag_limit;
    int *machine_of; /* by process: a number of its machine, from 0 */
    char (*hosts)[YKI_HOST_BYTES];
    struct yki_opinion *opinions; /* in an agreement: of all processes, then this one's */
} yki_cluster;

/* NULL: alone. */
yki_cluster *yki_cluster_get(void);
/* For tests: machines of so many processes each. */
void yki_cluster_pretend(int processes_a_machine);

/* module.c's row, loaded; YOKE_INVALID. */
yoke_status yki_mpi_load(const yki_launched *launch, const yki_mpi_module **module_out);
/* A number for the program and library that run. */
uint64_t yki_binary_hash(void);

/* lifeline.c */
yoke_status yki_lifeline_open(yki_cluster *cluster, yki_loss_hook hook);
/* NULL: all leave together. */
void yki_lifeline_close(const yoke_error *why);
/* MPI has failed: mostly a peer is gone, which the lifeline says within moments, and by name. Waits for that,
 * at most a second. */
void yki_lifeline_await_loss(void);

#endif
