/* An MPI module: the few calls of MPI that yoke makes, compiled against one implementation and loaded at run
 * time, so that yoke itself is linked with none. One thread at a time calls a module (MPI_THREAD_SERIALIZED).
 * Processes are numbered as in MPI_COMM_WORLD. */
#ifndef YKI_COMM_MPI_MODULE_H
#define YKI_COMM_MPI_MODULE_H

#include <stddef.h>
#include <stdint.h>

enum { YKI_MPI_MODULE_VERSION = 4 };

/* MPI's handle, whatever its type is there. */
typedef struct yki_mpi_request {
    uint64_t handle;
} yki_mpi_request;

/* Functions that return an int return 0, or MPI's error, where nothing else is said. */
typedef struct yki_mpi_module {
    int version;
    const char *name;
    int (*begin)(int *rank, int *size);
    void (*end)(void); /* all processes together */
    /* Ends all processes, where an exit of this one does not make the launcher do so; NULL: it does. */
    void (*abort)(int code);
    int (*tag_limit)(void);
    /* These block, and are called by all processes together. */
    int (*machines)(int *machine_of); /* by process: the first one of its machine */
    int (*all_gather)(const void *mine, void *all, size_t bytes);
    int (*broadcast)(void *data, size_t bytes); /* process 0's */
    int (*world)(void **world_out);             /* messages in one are never those of another */
    void (*world_free)(void *world);
    /* synchronous: it ends when the receiver has taken the message */
    int (*send)(void *world, const void *data, size_t bytes, int to, int tag, int synchronous,
                yki_mpi_request *request);
    int (*receive)(void *world, void *data, size_t bytes, int from, int tag, yki_mpi_request *request);
    /* 1: ended, and with what it received; 0: under way; -1: failed, the message was longer, say. */
    int (*test)(yki_mpi_request *request, size_t *bytes_out);
    void (*give_up)(yki_mpi_request *request, int receives);
    /* 1: a message of that process has come that nobody receives yet. */
    int (*waiting)(void *world, int from, int *tag_out, size_t *bytes_out);
} yki_mpi_module;

/* What a module exports: const yki_mpi_module yki_mpi_module_row. */
#define YKI_MPI_MODULE_SYMBOL "yki_mpi_module_row"

#endif
