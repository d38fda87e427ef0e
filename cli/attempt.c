/* Starting, signalling and waiting for another program. */
#include "attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

volatile sig_atomic_t attempt_signalled;
static volatile sig_atomic_t child;

static void hand_on(int number)
{
    int error = errno, as = attempt_signalled ? number : SIGUSR1;
    if (!attempt_signalled) attempt_signalled = number;
    if (child > 0) kill((pid_t)child, as);
    errno = error;
}

void attempt_hand_on_signals(void)
{
    struct sigaction action = {.sa_handler = hand_on, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A signal that came before the program was there to get it is handed on now; handlers are this program's
 * alone. */
static int start(char *const argv[], bool quiet, pid_t *started)
{
    sigset_t ours, before, none;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigemptyset(&none);
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGUSR1);
    sigaddset(&ours, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    for (int f = STDOUT_FILENO; f <= STDERR_FILENO && quiet; f++)
        posix_spawn_file_actions_addopen(&files, f, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigdefault(&attributes, &ours);
    posix_spawnattr_setsigmask(&attributes, &none);
    sigprocmask(SIG_BLOCK, &ours, &before);
    int fault = posix_spawnp(started, argv[0], &files, &attributes, argv, environ);
    if (fault == 0) child = (sig_atomic_t)*started;
    if (fault == 0 && attempt_signalled) kill(*started, SIGUSR1);
    sigprocmask(SIG_SETMASK, &before, NULL);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return fault;
}

int attempt_run(char *const argv[], double limit, bool quiet, double *seconds_out)
{
    pid_t started = 0, ended;
    int status = 0, fault = start(argv, quiet, &started);
    double begin = now();
    *seconds_out = 0;
    if (fault) {
        errno = fault;
        return -1;
    }
    const struct timespec pause = {.tv_nsec = 20000000};
    while ((ended = waitpid(started, &status, limit > 0 ? WNOHANG : 0)) <= 0) {
        if (ended < 0 && errno != EINTR) return -1;
        if (limit <= 0) continue;
        if (now() - begin > limit) kill(-started, SIGKILL);
        nanosleep(&pause, NULL);
    }
    child = 0;
    *seconds_out = now() - begin;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
