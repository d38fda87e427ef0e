/* The row of calls, for the MPI that this is compiled with. YKI_MPI_NAME: what people call it. */
#include "comm/mpi/module.h"

#include <limits.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

static MPI_Comm everybody = MPI_COMM_NULL;

static int begin(int *rank, int *size)
{
    int provided, error = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided);
    if (error) return error;
    if (provided < MPI_THREAD_SERIALIZED) return MPI_ERR_OTHER;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN); /* MPICH's tests of requests ask this one */
    if ((error = MPI_Comm_dup(MPI_COMM_WORLD, &everybody))) return error;
    MPI_Comm_set_errhandler(everybody, MPI_ERRORS_RETURN);
    if ((error = MPI_Comm_rank(everybody, rank))) return error;
    return MPI_Comm_size(everybody, size);
}

static void end(void)
{
    MPI_Comm_free(&everybody);
    MPI_Finalize();
}

#ifdef MPICH_VERSION
/* Hydra waits for processes on other hosts, be they stopped. */
static void abort_all(int code)
{
    MPI_Abort(MPI_COMM_WORLD, code);
}
#else
#define abort_all NULL
#endif

static int tag_limit(void)
{
    int found = 0, *limit = NULL;
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, (void *)&limit, &found);
    return found ? *limit : 32767;
}

static int machines(int *machine_of)
{
    int rank, first, error;
    MPI_Comm here;
    MPI_Comm_rank(everybody, &rank);
    error = MPI_Comm_split_type(everybody, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &here);
    if (error) return error;
    first = rank;
    error = MPI_Bcast(&first, 1, MPI_INT, 0, here);
    MPI_Comm_free(&here);
    return error ? error : MPI_Allgather(&first, 1, MPI_INT, machine_of, 1, MPI_INT, everybody);
}

static int all_gather(const void *mine, void *all, size_t bytes)
{
    return MPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, everybody);
}

static int broadcast(void *data, size_t bytes)
{
    return MPI_Bcast(data, (int)bytes, MPI_BYTE, 0, everybody);
}

static int world(void **world_out)
{
    MPI_Comm *made = malloc(sizeof *made);
    if (!made) return MPI_ERR_NO_MEM;
    int error = MPI_Comm_dup(everybody, made);
    if (error) {
        free(made);
        return error;
    }
    MPI_Comm_set_errhandler(*made, MPI_ERRORS_RETURN);
    *world_out = made;
    return 0;
}

static void world_free(void *made)
{
    MPI_Comm_free(made);
    free(made);
}

static void keep(yki_mpi_request *request, const MPI_Request *of)
{
    request->handle = 0;
    memcpy(&request->handle, of, sizeof *of);
}

static MPI_Request kept(const yki_mpi_request *request)
{
    MPI_Request of;
    memcpy(&of, &request->handle, sizeof of);
    return of;
}

_Static_assert(sizeof(MPI_Request) <= sizeof(uint64_t), "a request's handle has room");

static int send(void *in_world, const void *data, size_t bytes, int to, int tag, int synchronous,
                yki_mpi_request *request)
{
    MPI_Request made;
    if (bytes > INT_MAX) return MPI_ERR_COUNT;
    MPI_Comm comm = *(MPI_Comm *)in_world;
    int error = synchronous ? MPI_Issend(data, (int)bytes, MPI_BYTE, to, tag, comm, &made)
                            : MPI_Isend(data, (int)bytes, MPI_BYTE, to, tag, comm, &made);
    if (!error) keep(request, &made);
    return error;
}

static int receive(void *in_world, void *data, size_t bytes, int from, int tag, yki_mpi_request *request)
{
    MPI_Request made;
    if (bytes > INT_MAX) return MPI_ERR_COUNT;
    int error = MPI_Irecv(data, (int)bytes, MPI_BYTE, from, tag, *(MPI_Comm *)in_world, &made);
    if (!error) keep(request, &made);
    return error;
}

static int test(yki_mpi_request *request, size_t *bytes_out)
{
    MPI_Request of = kept(request);
    MPI_Status status;
    int done = 0, count = 0;
    if (MPI_Test(&of, &done, &status)) return -1;
    keep(request, &of);
    if (!done) return 0;
    if (bytes_out) {
        MPI_Get_count(&status, MPI_BYTE, &count);
        *bytes_out = (size_t)count;
    }
    return 1;
}

static void give_up(yki_mpi_request *request, int receives)
{
    MPI_Request of = kept(request);
    if (of == MPI_REQUEST_NULL) return;
    if (receives) MPI_Cancel(&of);
    MPI_Request_free(&of);
}

static int waiting(void *in_world, int from, int *tag_out, size_t *bytes_out)
{
    MPI_Status status;
    int there = 0, count = 0;
    if (MPI_Iprobe(from, MPI_ANY_TAG, *(MPI_Comm *)in_world, &there, &status) || !there) return 0;
    MPI_Get_count(&status, MPI_BYTE, &count);
    *tag_out = status.MPI_TAG;
    *bytes_out = (size_t)count;
    return 1;
}

extern __attribute__((visibility("default"))) const yki_mpi_module yki_mpi_module_row;
const yki_mpi_module yki_mpi_module_row = {
    .version = YKI_MPI_MODULE_VERSION,
    .name = YKI_MPI_NAME,
    .begin = begin,
    .end = end,
    .abort = abort_all,
    .tag_limit = tag_limit,
    .machines = machines,
    .all_gather = all_gather,
    .broadcast = broadcast,
    .world = world,
    .world_free = world_free,
    .send = send,
    .receive = receive,
    .test = test,
    .give_up = give_up,
    .waiting = waiting,
};
