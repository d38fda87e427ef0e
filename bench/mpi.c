/* all_reduce between processes through yoke, against plain MPI_Allreduce, in one run, in turns.
 *
 * usage: mpirun -n N bench_mpi_NAME [MAX_BYTES [RANKS]]; NAME: openmpi, mpich. RANKS: of each process, 1.
 *
 * us: median over rounds of the mean time of one f32 sum in place, on rank 0, all processes starting
 * together. With several ranks in a process, plain MPI reduces one buffer a process: it is compared with what
 * a program without yoke's ranks would do. */
#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comm/cluster.h"
#include "comm/comm.h"
#include "comm/worlds.h"

enum { ROUNDS = 9, MAX_RANKS = 16 };

typedef struct bench {
    yki_mpi_world *world;
    int rank, local, ranks;
    int64_t most;
} bench;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, by_value);
    return values[ROUNDS / 2];
}

static int through_yoke(yki_comm *comm, float *data, int64_t elems)
{
    yki_segment segment = {data, elems};
    yki_request request;
    return yki_all_reduce_start(comm, &segment, 1, YKI_F32, YKI_SUM, &request) != YOKE_OK ||
           yki_wait(&request) != YOKE_OK;
}

static int plain(float *data, int64_t elems)
{
    return MPI_Allreduce(MPI_IN_PLACE, data, (int)elems, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

/* The mean time of one, in us; by all. MPI is called by one thread at a time: the first rank's. */
static double measure(const bench *b, yki_comm *comm, int yoke, float *data, int64_t elems, int repeats)
{
    double start = 0;
    int failed = yki_barrier(comm) != YOKE_OK;
    for (int i = -1; i < repeats && !failed; i++) { /* the first one warms up */
        if (i == 0) start = now_us();
        if (yoke)
            failed = through_yoke(comm, data, elems);
        else if (b->local == 0)
            failed = plain(data, elems);
    }
    double us = (now_us() - start) / repeats;
    if (failed || yki_barrier(comm) != YOKE_OK) {
        fprintf(stderr, "bench_mpi: %s\n", yoke_error_get()->message);
        exit(1);
    }
    return us;
}

static void *run(void *of)
{
    const bench *b = of;
    yki_comm *comm = NULL;
    float *data = malloc((size_t)b->most);
    if (!data || yki_mpi_world_join(b->world, b->local, &comm) != YOKE_OK) exit(1);
    memset(data, 0, (size_t)b->most);
    for (int64_t bytes = 1024; bytes <= b->most; bytes *= 4) {
        double yoke[ROUNDS], mpi[ROUNDS];
        int repeats = bytes <= 1 << 14 ? 2000 : bytes <= 1 << 18 ? 200 : bytes <= 1 << 22 ? 20 : 4;
        for (int r = 0; r < ROUNDS; r++) {
            yoke[r] = measure(b, comm, 1, data, bytes / 4, repeats);
            mpi[r] = measure(b, comm, 0, data, bytes / 4, repeats);
        }
        double y = median(yoke), m = median(mpi);
        if (b->rank == 0 && b->local == 0)
            printf("%10lld bytes  yoke %10.1f us  MPI_Allreduce %10.1f us  ratio %.2f\n", (long long)bytes, y,
                   m, y / m);
    }
    yki_comm_destroy(comm);
    free(data);
    return NULL;
}

int main(int argc, char **argv)
{
    bench ends[MAX_RANKS];
    pthread_t threads[MAX_RANKS];
    int64_t most = argc > 1 ? atoll(argv[1]) : 64 << 20;
    int ranks = argc > 2 ? atoi(argv[2]) : 1;
    yki_mpi_world *world = NULL;
    if (yki_cluster_join(NULL) != YOKE_OK || yki_cluster_size() == 1 || ranks < 1 || ranks > MAX_RANKS ||
        yki_mpi_world_create(ranks, &world) != YOKE_OK) {
        fprintf(stderr, "bench_mpi: %s\n",
                yki_cluster_size() > 1 ? yoke_error_get()->message
                                       : "start it with mpirun, 2 processes or more");
        return 2;
    }
    for (int i = 0; i < ranks; i++) {
        ends[i] = (bench){world, yki_cluster_rank(), i, ranks, most};
        if (i > 0 && pthread_create(&threads[i], NULL, run, &ends[i]) != 0) return 1;
    }
    run(&ends[0]);
    for (int i = 1; i < ranks; i++) pthread_join(threads[i], NULL);
    yki_mpi_world_destroy(world);
    yki_cluster_leave(NULL);
    return 0;
}
