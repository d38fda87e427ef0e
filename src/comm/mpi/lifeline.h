/* The lifeline's connections; see cluster.h. */
#ifndef YKI_COMM_MPI_LIFELINE_H
#define YKI_COMM_MPI_LIFELINE_H

#include "comm/mpi/cluster.h"

typedef enum yki_frame_kind {
    YKI_FRAME_HELLO,  /* who connects, with the secret; and the answer */
    YKI_FRAME_BEAT,   /* signs */
    YKI_FRAME_LOST,   /* a rank is lost: the record */
    YKI_FRAME_FAILED, /* the sender ends with this record */
    YKI_FRAME_BYE,    /* the sender ends well */
    YKI_FRAME_HEARD   /* from process 0: what LOST or FAILED told it is said, and it is about to end */
} yki_frame_kind;

enum { YKI_FRAME_MAGIC = 0x796f6b65, YKI_SECRET_BYTES = 16 };

/* All frames are of one form and size. */
typedef struct yki_frame {
    uint32_t magic, kind;
    int32_t rank, status;
    uint64_t world; /* LOST: of which; 0: of all, a process is gone */
    unsigned char secret[YKI_SECRET_BYTES];
    yki_signs signs;
    int32_t line; /* of the record, as those that follow */
    char text[sizeof((yoke_error *)0)->message], file[sizeof((yoke_error *)0)->file],
        key[sizeof((yoke_error *)0)->key];
} yki_frame;

typedef struct yki_peer {
    int fd;               /* -1: none, or closed */
    bool gone;            /* it said so, or was found lost */
    double silent, still; /* seconds without a frame; without progress */
    yki_signs signs;
    yki_frame frame; /* coming in */
    size_t have;
} yki_peer;

typedef struct yki_lifeline {
    pthread_mutex_t lock;
    pthread_cond_t told; /* telling has ended; heard */
    pthread_t thread;
    int rank, size, wake[2];
    yki_peer *peers; /* by process; those that this one is connected to */
    bool quit, lost, telling, watched, heard;
    uint64_t world;    /* watched so far: the same number on all processes */
    yki_frame pending; /* of the next world, which is not watched here yet */
    yki_watch watch;
    yki_loss_hook hook;
} yki_lifeline;

/* connect.c: process 0 gets a connection from each other one. YOKE_SYSTEM: no way there. */
yoke_status yki_lifeline_connect(yki_cluster *cluster, yki_peer *peers);

#endif
