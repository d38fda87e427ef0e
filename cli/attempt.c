/* Starting, signalling and waiting for another program. */
#include "attempt.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "signs.h"

volatile sig_atomic_t attempt_signalled;
static volatile sig_atomic_t child;

enum { GRACE = 10, WAIT_MS = 100 };

/* What a program says on standard error, on its way to this one's. */
typedef struct listener {
    int file;
    bool quiet;
    char line[256]; /* the beginning of the line at hand */
    size_t length;
    double lost; /* when a rank was named as lost; 0: none was */
} listener;

static const int handed[] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP};
static bool hangup_ignored; /* from the start, as nohup has it */

/* A terminal that closes sends SIGHUP more than once: it never means more than the first time. */
static void hand_on(int number)
{
    static volatile sig_atomic_t asked;
    int error = errno, as = asked && number != SIGHUP ? number : SIGUSR1;
    asked |= number != SIGHUP;
    if (!attempt_signalled) attempt_signalled = number;
    if (child > 0) kill((pid_t)child, as);
    errno = error;
}

void attempt_hand_on_signals(void)
{
    struct sigaction action = {.sa_handler = hand_on, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    hangup_ignored = sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler == SIG_IGN;
    for (size_t i = 0; i < sizeof handed / sizeof *handed; i++)
        if (handed[i] != SIGHUP || !hangup_ignored) sigaction(handed[i], &action, NULL);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void hear(listener *l, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\n') {
            if (l->length + 1 < sizeof l->line) l->line[l->length++] = text[i];
            continue;
        }
        l->line[l->length] = '\0';
        l->length = 0;
        if (l->lost == 0 && strstr(l->line, "yoke: rank ")) l->lost = now();
    }
}

/* Waits at most `ms` for more; false: there was none. */
static bool listen_on(listener *l, int ms)
{
    char text[4096];
    struct pollfd wait = {.fd = l->file, .events = POLLIN};
    if (poll(&wait, l->file >= 0, ms) <= 0) return false;
    ssize_t length = read(l->file, text, sizeof text);
    if (length < 0 && errno == EINTR) return true;
    if (length <= 0) {
        close(l->file);
        l->file = -1;
        return false;
    }
    hear(l, text, (size_t)length);
    for (ssize_t done = 0, n; !l->quiet && done < length; done += n)
        if ((n = write(STDERR_FILENO, text + done, (size_t)(length - done))) < 0) {
            if (errno != EINTR) break;
            n = 0;
        }
    return true;
}

static bool is_child(const char *pid)
{
    char path[300], line[512];
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return false;
    const char *name_end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    int parent = 0;
    bool is = name_end && sscanf(name_end + 1, " %*c %d", &parent) == 1 && parent == (int)getpid();
    fclose(file);
    return is;
}

/* What a launcher has left behind has become this program's children: those that ended are taken in; where
 * the launcher was killed, the others are too, or they would go on beside the next attempt. */
static void take_orphans(bool killed)
{
    pid_t ended;
    double end = now() + 2;
    while ((ended = waitpid(-1, NULL, WNOHANG)) >= 0 && (ended > 0 || killed) && now() < end) {
        DIR *all = ended == 0 ? opendir("/proc") : NULL;
        for (struct dirent *entry; all && (entry = readdir(all));)
            if (isdigit((unsigned char)entry->d_name[0]) && is_child(entry->d_name))
                kill((pid_t)atoi(entry->d_name), SIGKILL);
        if (all) closedir(all);
        if (ended == 0) nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

/* What this program catches is the new one's as it would be without it; but for what was ignored from the
 * start, as nohup has it. */
static void reset_signals(void)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGUSR1, SIGPIPE};
    sigset_t none;
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) signal(caught[i], SIG_DFL);
    if (!hangup_ignored) signal(SIGHUP, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the new process: it becomes argv[0], and is asked to end, as by a signal that is handed on, when this
 * program is killed; where it cannot start, `told` gets the reason. */
static void become(char *const argv[], bool quiet, int errors, int told, pid_t parent)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    setpgid(0, 0);
    reset_signals();
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    if (getppid() == parent && nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
        (!quiet || dup2(nothing, STDOUT_FILENO) >= 0) && dup2(errors, STDERR_FILENO) >= 0)
        execvp(argv[0], argv);
    int why = errno;
    if (write(told, &why, sizeof why) < 0) _exit(126);
    _exit(127);
}

/* A signal that came before the program was there to get it is handed on now. Returns 0 or errno. */
static int start(char *const argv[], bool quiet, int errors, pid_t *started)
{
    sigset_t ours, before;
    int ends[2], fault = 0;
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC) != 0) return errno;
    sigemptyset(&ours);
    for (size_t i = 0; i < sizeof handed / sizeof *handed; i++) sigaddset(&ours, handed[i]);
    sigprocmask(SIG_BLOCK, &ours, &before);
    *started = fork();
    if (*started == 0) become(argv, quiet, errors, ends[1], parent);
    if (*started < 0) fault = errno;
    close(ends[1]);
    if (*started > 0) {
        setpgid(*started, *started);
        ssize_t count;
        while ((count = read(ends[0], &fault, sizeof fault)) < 0 && errno == EINTR) continue;
        if (count <= 0) fault = 0;
        if (fault) waitpid(*started, NULL, 0);
    }
    close(ends[0]);
    if (fault == 0) child = (sig_atomic_t)*started;
    if (fault == 0 && attempt_signalled) kill(*started, SIGUSR1);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return fault;
}

/* Whether the program `name` is not waited for any longer; said, but for a limit. */
static bool overdue(const attempt_options *o, const char *name, double begin, const listener *l,
                    double *ended)
{
    double at = now();
    if (o->limit > 0 && at - begin > o->limit) return true;
    if (l->lost > 0 && at - l->lost > GRACE) {
        fprintf(stderr, "yoke: a rank is lost, and %s has not ended for %d s: killed\n", name, GRACE);
        return true;
    }
    signs s = o->signs ? signs_read(o->signs) : (signs){0};
    if (s.ended && *ended == 0) *ended = at;
    if (*ended > 0 && at - *ended > GRACE) {
        fprintf(stderr, "yoke: the run has ended, and %s has not for %d s: killed\n", name, GRACE);
        return true;
    }
    if (!o->signs || s.begun || o->start <= 0 || at - begin <= o->start) return false;
    fprintf(
        stderr,
        "yoke: %s has started nothing that wrote to %s in %g s: killed; all hosts must have the folder in "
        "common, and YOKE_START_TIMEOUT gives more seconds, or with 0 no limit\n",
        name, o->signs, o->start);
    return true;
}

int attempt_run(char *const argv[], const attempt_options *options, double *seconds_out)
{
    int status = 0, ends[2];
    pid_t started = 0, waited;
    bool killed = false;
    double ended = 0;
    *seconds_out = 0;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    listener l = {.file = ends[0], .quiet = options->quiet};
    int fault = start(argv, options->quiet, ends[1], &started);
    double begin = now();
    close(ends[1]);
    while (!fault && (waited = waitpid(started, &status, WNOHANG)) <= 0) {
        if (waited < 0 && errno != EINTR) fault = errno;
        listen_on(&l, WAIT_MS);
        killed = killed || overdue(options, argv[0], begin, &l, &ended);
        if (killed) kill(-started, SIGKILL);
    }
    child = 0;
    while (listen_on(&l, 0)) continue;
    if (l.file >= 0) close(l.file);
    errno = fault;
    if (fault) return -1;
    take_orphans(killed || WIFSIGNALED(status));
    *seconds_out = now() - begin;
    signs said = options->signs ? signs_read(options->signs) : (signs){0};
    if (said.ended) return said.code;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
