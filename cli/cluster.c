/* The program under mpirun or srun. */
#include "cluster.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "signs.h"
#include "yoke/cluster.h"

static atomic_int said; /* 1: a thread is about to; 2: it has */
static sem_t ending;    /* this process ends by itself */
static bool speaks;

/* Until the launcher has read what was said: Hydra loses what it has not when it ends processes. Nothing
 * tells when a pipe is empty, so it is looked at; at most half a second. */
static void hand_over(void)
{
    struct stat file;
    int left;
    if (fstat(STDERR_FILENO, &file) != 0 || !S_ISFIFO(file.st_mode)) return;
    for (int looks = 0; looks < 500 && ioctl(STDERR_FILENO, FIONREAD, &left) == 0 && left > 0; looks++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Until another thread, which has begun to speak, has spoken; at most half a second. */
static void wait_until_said(void)
{
    for (int looks = 0; looks < 500 && atomic_load(&said) == 1; looks++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* A process is lost, or has failed. The sentence goes out at once: the launcher ends this process soon, and
 * the thread that trains may be in the middle of a long kernel. */
static void on_loss(const yoke_error *why, int known)
{
    char text[CLI_SENTENCE], line[CLI_SENTENCE + 16];
    cli_sentence(why, text, sizeof text);
    int length = snprintf(line, sizeof line, "yoke: %s\n", text);
    for (int i = 0; i < length - 1; i++)
        if ((unsigned char)line[i] < ' ') line[i] = '?';
    bool mine = why->status == YOKE_PEER_FAILED || speaks;
    int nobody = 0;
    if (mine && atomic_compare_exchange_strong(&said, &nobody, 1)) {
        atomic_store(&said, write(STDERR_FILENO, line, (size_t)length) < 0 ? 0 : 2);
        signs_end(yoke_status_exit_code(why->status));
        hand_over();
    }
    wait_until_said();
    if (!known) return;
    struct timespec limit; /* of the thread that trains, to end by itself */
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_nsec += 500000000;
    limit.tv_sec += 1 + limit.tv_nsec / 1000000000;
    limit.tv_nsec %= 1000000000;
    int late;
    while ((late = sem_timedwait(&ending, &limit)) != 0 && errno == EINTR) {}
    if (late == 0) return;
    alarm(2); /* whatever MPI does at its end */
    yoke_cluster_leave(why);
    _exit(yoke_status_exit_code(why->status));
}

/* MPI's libraries abort where a peer's memory is gone; the lifeline knows of it at the same moment. */
static void on_abort(int number)
{
    for (int waited = 0; waited < 100 && atomic_load(&said) != 2; waited++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    hand_over();
    if (atomic_load(&said)) _exit(yoke_status_exit_code(YOKE_PEER_FAILED));
    signal(number, SIG_DFL);
    raise(number);
}

static void be_quiet(cli *run)
{
    FILE *nowhere = fopen("/dev/null", "w");
    run->quiet = true;
    if (run->json) {
        if (run->json_file != STDOUT_FILENO) close(run->json_file);
        out_destroy(run->json);
        run->json = NULL;
    }
    if (!nowhere) return;
    if (run->out != stdout) fclose(run->out);
    run->out = nowhere;
}

void cluster_begin(cli *run)
{
    yoke_launch at;
    if (!yoke_launched(&at)) return;
    setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* launchers mix what comes in pieces */
    /* Open MPI gives process 0 a terminal of its own as standard output, whatever comes behind it */
    run->out_terminal = run->out_colour = false;
    speaks = at.rank == 0;
    if (!speaks) be_quiet(run);
}

int cluster_enter(cli *run)
{
    yoke_launch at;
    if (!yoke_launched(&at)) return -1;
    switch (run->command->processes) {
    case ONE_PROCESS:
        return cli_fail(
            run, 2, "",
            "yoke %s runs in one process, and %s has started %d; start it without, or with YOKE_ALONE=1 in "
            "the environment, each by itself",
            run->command->name, at.launcher, at.size);
    case FIRST_PROCESS:
        return speaks ? -1 : 0;
    case ALL_PROCESSES:
        break;
    }
    setenv("UCX_HANDLE_ERRORS", "none", 0); /* no pages of addresses beside our sentence */
    signal(SIGABRT, on_abort);
    sem_init(&ending, 0, 0);
    if (yoke_cluster_join(on_loss) == YOKE_OK) return -1;
    run->quiet = !at.first_here; /* what is missing may be missing on one machine only */
    int code = cli_fail_library(run);
    /* the first failure ends the others: it is to be one that has spoken */
    return at.first_here ? code : 0;
}

yoke_job *cluster_load_job(cli *run, int *code_out)
{
    yoke_job *job = NULL;
    const arguments *given = &run->arguments;
    yoke_status status =
        yoke_job_load(given->positional[0], given->noverrides, (const char *const *)given->overrides, &job);
    if (status == YOKE_OK || yoke_cluster_size() > 1) status = yoke_cluster_agree(job);
    if (status == YOKE_OK) return job;
    *code_out = cli_fail_library(run);
    yoke_job_destroy(job);
    return NULL;
}

bool cluster_speaks(const cli *run, const yoke_error *error)
{
    if (yoke_cluster_size() == 1) return !run->quiet;
    bool lost = error->status == YOKE_PEER_FAILED;
    int nobody = 0;
    return (!run->quiet || lost) && atomic_compare_exchange_strong(&said, &nobody, 1);
}

void cluster_spoken(void)
{
    if (yoke_cluster_size() == 1) return;
    fflush(stderr);
    hand_over();
    atomic_store(&said, 2);
}

/* MPICH 4.0 over UCX and TCP may wait for ever in MPI_Finalize, when all that matters is done and said: it
 * gets some seconds. */
static volatile sig_atomic_t leaving_with;

static void on_deadline(int number)
{
    (void)number;
    _exit((int)leaving_with);
}

static void end_within(unsigned seconds, int code)
{
    leaving_with = code;
    signal(SIGALRM, on_deadline);
    alarm(seconds);
}

bool cluster_together(int code)
{
    return code == 0 || code == yoke_status_exit_code(YOKE_STOPPED) ||
           code == yoke_status_exit_code(YOKE_NON_FINITE);
}

int cluster_leave(int code)
{
    if (yoke_cluster_size() == 1) return code;
    sem_post(&ending);
    if (cluster_together(code)) {
        end_within(5, code);
        yoke_cluster_leave(NULL);
        return code;
    }
    yoke_error why = *yoke_error_get();
    if (why.status == YOKE_OK) {
        why.status = YOKE_CHECK_FAILED;
        strcpy(why.message, "another process failed");
    }
    fflush(NULL);
    hand_over();
    alarm(4); /* two seconds are for process 0 to end first */
    yoke_cluster_leave(&why);
    _exit(code); /* MPI would wait for the others */
}
