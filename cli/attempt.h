/* One run of another program: started in a process group of its own, signals handed on, waited for. */
#ifndef CLI_ATTEMPT_H
#define CLI_ATTEMPT_H

#include <signal.h>
#include <stdbool.h>

/* The first signal that asked this program to end; 0: none did. */
extern volatile sig_atomic_t attempt_signalled;

/* From now on SIGINT, SIGTERM and SIGUSR1 go to the attempt under way: the first as SIGUSR1, which mpirun and
 * srun hand on to every process (of a SIGTERM most kill them), those that follow as they are. */
void attempt_hand_on_signals(void);

/* Runs argv[0], found by PATH, with nothing on standard input, and waits for it, at most `limit` seconds (0:
 * without end; then it is killed). A launcher may wait for ever for a host that is gone: where what it says
 * on standard error has named a lost rank, it gets some seconds more. With one that is killed everything ends
 * that it started here. Returns its exit code (75 where the run said that a signal stopped it: launchers lose
 * that), 128 + the signal that ended it, or -1 with errno: it cannot be started. *seconds_out: how long it
 * took. quiet: its output is thrown away. */
int attempt_run(char *const argv[], double limit, bool quiet, double *seconds_out);

#endif
