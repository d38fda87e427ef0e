/* What a run tells `yoke launch` in a file: that it has begun, and how it ended. Launchers lose a code, wait
 * for a lost machine when all is done, or start nothing and do not say so. */
#ifndef CLI_SIGNS_H
#define CLI_SIGNS_H

#include "cli.h"

/* --signs FILE, of a run; NULL: nobody asks. */
extern const char *signs_path;

/* By the process that speaks. The exit code, or -1: said, or nothing to do. */
int signs_begin(cli *run);
void signs_end(int code); /* the last counts */

typedef struct signs {
    bool begun, ended;
    int code; /* where it has ended */
} signs;

/* By who started it. An empty file, so that it is there on all machines; false: errno. */
bool signs_clear(const char *path);
signs signs_read(const char *path);

#endif
