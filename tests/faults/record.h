/* What a program does to a folder of files, in order: every call of yoke that makes, writes, reserves,
 * flushes, renames, links or removes something below `root` is written to a log, by all threads and processes
 * that name the same log, in the order in which the calls were done. The linker puts these functions in place
 * of the system's (--wrap), so that it works under sanitizers and by any compiler. Calls that are not wrapped
 * are not seen: whoever reads the log compares what it gives with what is on the disk (crash.h). */
#ifndef YKI_TESTS_FAULTS_RECORD_H
#define YKI_TESTS_FAULTS_RECORD_H

#include <stdbool.h>
#include <stdint.h>

typedef enum record_kind {
    RECORD_CREATE,  /* path, ino: a file that was not there */
    RECORD_FOLDER,  /* path, ino */
    RECORD_LINK,    /* path: a symbolic link; the payload is where it leads */
    RECORD_SIZE,    /* ino; end: cut or filled up to that many bytes */
    RECORD_RESERVE, /* ino; end: at least that many bytes */
    RECORD_WRITE,   /* ino; end: where; the payload is what */
    RECORD_FLUSH,   /* ino, a file or a folder */
    RECORD_RENAME,  /* path, to */
    RECORD_EXCHANGE,
    RECORD_REMOVE, /* path: a file, a link or an empty folder */
    RECORD_TOLD    /* path: a step that was told as saved; ino: the hash of what it holds; end: a number that
                    * grows; to: what is told with it */
} record_kind;

typedef struct record {
    int32_t kind, process;
    uint64_t ino;
    int64_t end, payload; /* payload: bytes that follow */
    char path[256], to[256];
} record;

/* Records calls on paths that begin with `root` into `log`, at its end. kill_at > 0: the process is killed
 * instead of its so many-th call. no_exchange: the system refuses to let two names change places. */
void record_begin(const char *log, const char *root, int kill_at, bool no_exchange);
void record_told(const char *path, uint64_t hash, int64_t age, const char *beside);

#endif
