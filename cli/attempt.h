/* One run of another program: started in a process group of its own, signals handed on, waited for. */
#ifndef CLI_ATTEMPT_H
#define CLI_ATTEMPT_H

#include <signal.h>
#include <stdbool.h>

/* The first signal that asked this program to end; 0: none did. */
extern volatile sig_atomic_t attempt_signalled;

/* From now on SIGINT, SIGTERM, SIGUSR1 and, unless it is ignored already, SIGHUP go to the attempt under way:
 * the first, and every SIGHUP, as SIGUSR1, which mpirun and srun hand on to every process (of a SIGTERM most
 * kill them), those that follow as they are. Where this program is killed, the attempt gets a SIGUSR1 too. */
void attempt_hand_on_signals(void);

typedef struct attempt_options {
    bool quiet;        /* its output is thrown away */
    double limit;      /* seconds, then it is killed; 0: without end */
    const char *signs; /* the file, cleared, where the run gives signs; NULL: it gives none */
    double start;      /* seconds until the first sign; 0: without end */
} attempt_options;

/* Runs argv[0], found by PATH, with nothing on standard input, and waits for it. A launcher may wait for ever
 * for a host that is gone: where what it says on standard error has named a lost rank, or the run's signs say
 * that it has ended, it gets some seconds more. With one that is killed everything ends that it started here.
 * Returns the run's exit code by its signs, else the launcher's own, or 128 + the signal that ended it; -1
 * with errno: it cannot be started. *seconds_out: how long it took. */
int attempt_run(char *const argv[], const attempt_options *options, double *seconds_out);

#endif
