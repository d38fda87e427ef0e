/* Worlds by the names of their transports: for transports that stand on another, for tests and benches. What
 * runs opens one by yki_world_open. */
#ifndef YKI_COMM_WORLDS_H
#define YKI_COMM_WORLDS_H

#include "comm/comm.h"

/* --- local: ranks are threads of one process, which read each other's memory --- */

typedef struct yki_local_world yki_local_world;

/* A world of `size` ranks. spin: how long a wait polls before it sleeps, in iterations; < 0: chosen by the
 * cores (0 where there are more ranks than cores). */
yoke_status yki_local_world_create(int size, int spin, yki_local_world **world_out);
/* Rank `rank`'s end of the group of all, one at a time; owned by the caller, destroyed before the world. */
yoke_status yki_local_world_join(yki_local_world *world, int rank, yki_comm **comm_out);
void yki_local_world_destroy(yki_local_world *world);
/* As yki_comm_abort, by no rank. */
void yki_local_world_lose(yki_local_world *world, const yoke_error *why);

/* --- mpi: ranks are threads of the processes that a launcher started (cluster.h), as many in each --- */

typedef struct yki_mpi_world yki_mpi_world;

/* By all processes together, which have joined: `size` ranks in each, numbered process by process. One world
 * at a time. */
yoke_status yki_mpi_world_create(int size, yki_mpi_world **world_out);
/* The end of this process's rank number `local`, from 0, as yki_local_world_join's. */
yoke_status yki_mpi_world_join(yki_mpi_world *world, int local, yki_comm **comm_out);
void yki_mpi_world_destroy(yki_mpi_world *world);
/* This process is lost to its ranks, as by yki_comm_abort, but the others are not told. */
void yki_mpi_world_lose(yki_mpi_world *world, const yoke_error *why);

#endif
