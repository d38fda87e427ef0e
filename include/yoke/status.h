/* Status codes and the error record.
 *
 * Every fallible function returns a yoke_status; the sentence that explains it is written once, by the
 * function that first detects the fault, into a record that belongs to the calling thread. The library never
 * prints and never exits. */
#ifndef YOKE_STATUS_H
#define YOKE_STATUS_H

#include <stddef.h>

#include "yoke/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Room for the path of every file or folder that the library names, with its end. */
#define YOKE_PATH_BYTES 1200

/* name, exit code of the command line, meaning */
#define YOKE_STATUS_LIST(X)                                                                                  \
    X(OK, 0, "done")                                                                                         \
    X(CHECK_FAILED, 1, "a check failed")                                                                     \
    X(SYSTEM, 1, "the system refused: input/output, memory, threads")                                        \
    X(INVALID, 2, "bad usage or input")                                                                      \
    X(DOES_NOT_FIT, 3, "does not fit in the memory of a device")                                             \
    X(PEER_FAILED, 4, "a rank or peer failed")                                                               \
    X(NON_FINITE, 5, "stopped on a non-finite value")                                                        \
    X(STOPPED, 75, "stopped on request, state saved")

typedef enum yoke_status {
#define YOKE_STATUS_ENUM(name, exit_code, text) YOKE_##name,
    YOKE_STATUS_LIST(YOKE_STATUS_ENUM)
#undef YOKE_STATUS_ENUM
} yoke_status;

/* What went wrong in the last public call of this thread that failed. Strings are empty where they do not
 * apply. */
typedef struct yoke_error {
    yoke_status status;
    char message[1024]; /* one sentence: what is wrong, where, what would be right */
    char file[256];     /* the input file at fault */
    int line;           /* line in that file, counted from 1; 0: none */
    char key[128];      /* the key of the job or machine file, dotted */
    int rank;           /* the rank that detected it; -1: none */
    int nwould_fit; /* with YOKE_DOES_NOT_FIT: flags of `yoke train` that run in that memory, cheapest first
                     */
    char would_fit[8][160];
} yoke_error;

/* The exit code of the command line for a status. */
YOKE_API int yoke_status_exit_code(yoke_status status);

/* The name of a status, e.g. "DOES_NOT_FIT". Static storage. */
YOKE_API const char *yoke_status_name(yoke_status status);

/* The record of this thread's last failure. Never NULL; borrowed, valid until this thread's next failing
 * call. */
YOKE_API const yoke_error *yoke_error_get(void);

/* Room for every sentence, with its end. */
#define YOKE_SENTENCE_BYTES 1536

/* This thread's last failure in one line, as the program prints it: "FILE:LINE: KEY: MESSAGE", as far as the
 * record has them. Writes at most `size` bytes, with the end, and returns `text`. */
YOKE_API const char *yoke_error_sentence(char *text, size_t size);
/* The same of a record at hand, e.g. of a notice. */
YOKE_API const char *yoke_error_print(const yoke_error *error, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
