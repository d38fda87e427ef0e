/* yoke launch: `yoke train` in several processes under mpirun or srun, begun again from the newest complete
 * step where it ended before it was done: over fewer processes, and another layout, where hosts are gone. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attempt.h"
#include "cli.h"
#include "goodput.h"
#include "signs.h"
#include "text.h"
#include "yoke/checkpoint.h"
#include "yoke/cluster.h"
#include "yoke/train.h"

enum { RESTARTS = 3 };

static struct {
    int64_t processes, restarts;
    const char *launcher, *hosts;
} given = {.restarts = RESTARTS};

static const option_group group_launch = {
    "Launch",
    (const option[]){
        OPTION("n", "N", OPTION_COUNT, "processes; the job's devices are dealt evenly to them",
               .target = &given.processes, .least = 1, .most = 65536),
        OPTION("max-restarts", "K", OPTION_COUNT,
               "begin again at most K times after a failure; 3 where it is not given",
               .target = &given.restarts, .least = 0, .most = 1000000),
        OPTION("hosts", "A,B,...", OPTION_TEXT,
               "run on these hosts, as many processes on each; hosts that no longer answer are left out of "
               "restarts",
               .target = &given.hosts),
        OPTION("launcher", "WORDS", OPTION_TEXT,
               "what starts processes, with options of its own: srun inside a Slurm job, else mpirun; e.g. "
               "'mpirun --oversubscribe'",
               .target = &given.launcher),
        {0},
    },
};

enum { MOST_WORDS = 64, MOST_HOSTS = 256 };

typedef enum launcher_kind { OPEN_MPI, HYDRA, SRUN, OTHER } launcher_kind;

typedef struct launch {
    cli *run;
    cli inner; /* the command line of `yoke train` */
    yoke_job *job;
    launcher_kind kind;
    char *launcher, *hosts; /* cut into words */
    char *words[MOST_WORDS], *host[MOST_HOSTS];
    int nwords, nhosts, per_host;
    int processes, per_process; /* now; devices of each */
    double start;               /* seconds for them to begin; 0: no limit */
    char program[4096], layout[8192], log[1200], signs[1200], step[1300];
    char name[33]; /* of the run, through all attempts */
    bool again;    /* an attempt came before */
    goodput trained;
} launch;

/* Words of a copy of `text`, cut at any of `ends`. -1: too many, or no memory. */
static int cut(const char *text, const char *ends, char **copy, char **words, int most)
{
    int count = 0;
    char *rest = NULL;
    *copy = strdup(text);
    if (!*copy) return -1;
    for (char *word = strtok_r(*copy, ends, &rest); word; word = strtok_r(NULL, ends, &rest)) {
        if (count == most) return -1;
        words[count++] = word;
    }
    return count;
}

/* Who it is, from what it says of its version. */
static launcher_kind identify(const char *word)
{
    const char *name = strrchr(word, '/');
    char command_line[600], line[256];
    if (strncmp(name ? name + 1 : word, "srun", 4) == 0) return SRUN;
    if (strcspn(word, "'") != strlen(word)) return OTHER;
    snprintf(command_line, sizeof command_line, "'%.500s' --version 2>/dev/null </dev/null", word);
    FILE *said = popen(command_line, "r");
    launcher_kind kind = OTHER;
    while (said && fgets(line, sizeof line, said)) {
        if (strstr(line, "Open MPI") || strstr(line, "OpenRTE")) kind = OPEN_MPI;
        if (strstr(line, "HYDRA")) kind = HYDRA;
    }
    if (said) pclose(said);
    return kind;
}

/* "a:2,b:2" as the launcher wants it; "": it has no say. Owned by the caller. */
static char *host_list(const launch *l, char *const *host, int nhosts, int each)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (int i = 0; out && i < nhosts; i++)
        fprintf(out, l->kind == SRUN ? "%s%s" : "%s%s:%d", i ? "," : "", host[i], each);
    if (!out || fclose(out) != 0) return NULL;
    return text;
}

/* The launcher's own words for `processes` on these hosts; returns how many. *kept: to be freed after use. */
static int launcher_words(const launch *l, char *const *host, int nhosts, int processes, int each,
                          char **argv, char number[16], char **kept)
{
    static char as_root[] = "--allow-run-as-root", n[] = "-n";
    static char *const flags[] = {
        [OPEN_MPI] = "--host", [HYDRA] = "-hosts", [SRUN] = "--nodelist", [OTHER] = "--host"};
    int count = 0;
    for (int i = 0; i < l->nwords; i++) argv[count++] = l->words[i];
    if (l->kind == OPEN_MPI && geteuid() == 0 && l->nwords == 1) argv[count++] = as_root;
    snprintf(number, 16, "%d", processes);
    argv[count++] = n;
    argv[count++] = number;
    *kept = nhosts ? host_list(l, host, nhosts, each) : NULL;
    if (*kept) {
        argv[count++] = flags[l->kind];
        argv[count++] = *kept;
    }
    return count;
}

/* Whether a host still runs programs. */
static bool answers(const launch *l, char *host)
{
    static char nothing[] = "true";
    char *argv[MOST_WORDS + 8], number[16], *kept;
    double seconds;
    int count = launcher_words(l, &host, 1, 1, 1, argv, number, &kept);
    argv[count++] = nothing;
    argv[count] = NULL;
    int code = attempt_run(argv, &(attempt_options){.quiet = true, .limit = 20}, &seconds);
    free(kept);
    return code == 0;
}

/* `train ...` as it was typed, without the --resume of a first attempt where there is a step to go on from.
 */
static int typed_words(const launch *l, char **argv)
{
    const arguments *typed = &l->run->arguments;
    int count = 0;
    for (int i = 0; i < typed->nrest; i++) {
        char *word = typed->rest[i];
        const char *next = i + 1 < typed->nrest ? typed->rest[i + 1] : "-";
        if (l->step[0] && strcmp(word, "--resume") == 0)
            i += next[0] != '-';
        else if (!l->step[0] || strncmp(word, "--resume=", 9) != 0)
            argv[count++] = word;
    }
    return count;
}

/* What an attempt runs in each process. */
static int train_words(launch *l, bool has_log, char **argv)
{
    static char resume[] = "--resume", layout[] = "--layout", log[] = "--log", to[] = "--signs",
                run[] = "--run", over[] = "--take-over";
    int count = 0;
    argv[count++] = l->program;
    count += typed_words(l, argv + count);
    if (l->layout[0]) argv[count++] = layout, argv[count++] = l->layout;
    if (!has_log) argv[count++] = log, argv[count++] = l->log;
    argv[count++] = to, argv[count++] = l->signs;
    argv[count++] = run, argv[count++] = l->name;
    if (l->again) argv[count++] = over; /* the one before has ended; its host may not have told so */
    if (l->step[0]) argv[count++] = resume, argv[count++] = l->step;
    argv[count] = NULL;
    return count;
}

/* The value that a flag of the inner command line was given last; NULL: it was not. */
static const char *value_of(const arguments *typed, const char *flag)
{
    const char *value = NULL;
    size_t length = strlen(flag);
    for (int i = 0; i < typed->nrest; i++) {
        if (strcmp(typed->rest[i], flag) == 0 && i + 1 < typed->nrest) value = typed->rest[i + 1];
        if (strncmp(typed->rest[i], flag, length) == 0 && typed->rest[i][length] == '=')
            value = typed->rest[i] + length + 1;
    }
    return value;
}

static int attempt(launch *l, double *seconds)
{
    char number[16], *kept = NULL;
    char **argv = malloc(sizeof *argv * (size_t)(MOST_WORDS + 19 + l->run->arguments.nrest));
    if (!argv) return cli_fail(l->run, 1, "", "out of memory");
    if (!signs_clear(l->signs)) {
        free(argv);
        return cli_fail(l->run, 2, "checkpoint.dir", "cannot write %s: %s", l->signs, strerror(errno));
    }
    int count = launcher_words(l, l->host, l->nhosts, l->processes, l->per_host, argv, number, &kept);
    train_words(l, value_of(&l->run->arguments, "--log") != NULL, argv + count);
    int code = attempt_run(argv, &(attempt_options){.signs = l->signs, .start = l->start}, seconds);
    if (code < 0)
        code = cli_fail(l->run, 2, "--launcher", "cannot start %s: %s; give --launcher, e.g. mpirun or srun",
                        argv[0], strerror(errno));
    signs said = signs_read(l->signs);
    if (code == 0 && !said.begun)
        code =
            cli_fail(l->run, 2, "--launcher",
                     "%s has ended with 0, and nothing that it started wrote to %s; all hosts must have the "
                     "folder in common",
                     l->words[0], l->signs);
    else if (code == 0 && !said.ended)
        code = 4; /* rank 0 went without a word, and the launcher lost that */
    free(kept);
    free(argv);
    return code;
}

static int64_t newest_step(const launch *l, char folder[YOKE_PATH_BYTES])
{
    int64_t step = 0;
    if (yoke_checkpoint_newest(l->job->checkpoint.dir, l->name, folder, &step) != YOKE_OK) folder[0] = '\0';
    return step;
}

/* The run's own newest complete step; "": there is none, and it begins as it was asked to. */
static int64_t find_step(launch *l)
{
    return newest_step(l, l->step);
}

/* What the run is called: as the one that it goes on from; or, where a scheduler has begun this job again, as
 * the one that had the folder; else anew. */
static int name_run(launch *l)
{
    const char *from = value_of(&l->run->arguments, "--resume"), *again = getenv("SLURM_RESTART_COUNT");
    const char *dir = l->job->checkpoint.dir;
    yoke_inspection *found = NULL;
    bool begun = again && atoi(again) > 0;
    if (begun) yoke_checkpoint_holder(dir, l->name);
    if (!l->name[0] && (from || begun)) {
        bool own = begun || from[0] == '-' || !from[0] || strcmp(from, "auto") == 0;
        if (yoke_inspect(own ? dir : from, &found) == YOKE_OK) memcpy(l->name, found->run, sizeof l->name);
        yoke_inspection_destroy(found);
    }
    if (!l->name[0] && yoke_run_name(l->name) != YOKE_OK) return cli_fail_library(l->run);
    if (begun) find_step(l);
    l->again = begun;
    return 0;
}

/* Another layout for what is left of the hosts. */
static int shrink(launch *l, int processes)
{
    yoke_layout layout;
    int used;
    yoke_status status = yoke_job_fallback(l->job, processes, l->per_process, &layout, &used);
    if (status == YOKE_DOES_NOT_FIT)
        return cli_fail(l->run, 3, "--hosts", "nothing fits on the %d devices that are left; see --hosts",
                        processes * l->per_process);
    if (status != YOKE_OK) return cli_fail_library(l->run);
    l->processes = used;
    yoke_layout_print_whole(&layout, l->layout, sizeof l->layout);
    char shown[512];
    yoke_layout_print(&layout, shown, sizeof shown);
    fprintf(stderr, "yoke: %d processes are left: going on with %d, --layout %s\n", processes, used,
            shown[0] ? shown : "dp=1");
    return 0;
}

static int drop_lost_hosts(launch *l)
{
    int left = 0;
    for (int i = 0; i < l->nhosts; i++) {
        if (answers(l, l->host[i]))
            l->host[left++] = l->host[i];
        else
            fprintf(stderr, "yoke: host %s no longer answers\n", l->host[i]);
    }
    if (left == l->nhosts) return 0;
    l->nhosts = left;
    if (left == 0) return cli_fail(l->run, 4, "--hosts", "no host is left that answers");
    return shrink(l, left * l->per_host);
}

static void put_attempt(launch *l, int64_t from, int code, double seconds)
{
    json *j = l->run->json;
    if (!j) return;
    put_begin_object(j, NULL);
    put_integer(j, "processes", l->processes);
    put_string(j, "layout", l->layout[0] ? l->layout : NULL);
    put_integer(j, "from_step", from);
    put_integer(j, "code", code);
    put_number(j, "seconds", seconds);
    put_end_object(j);
}

/* Whether beginning again may help: what was asked for cannot work, is done, or was told to stop. */
static bool is_final(int code)
{
    return code == 0 || code == 2 || code == 3 || code == 5 || code == 75 || attempt_signalled;
}

/* Attempts until one is final or restarts are used up; the code of the last, a signal's as 4. */
static int attempts(launch *l, double *wall_out, int64_t *restarts_out)
{
    int64_t from = 0;
    int code = 0;
    *wall_out = 0;
    for (*restarts_out = 0;; ++*restarts_out) {
        double seconds = 0;
        code = attempt(l, &seconds);
        *wall_out += seconds;
        put_attempt(l, from, code, seconds);
        if (is_final(code)) break;
        l->again = true;
        code = code >= 128 ? 4 : code;
        from = find_step(l);
        fprintf(stderr, "yoke: the run ended with %d after %.1f s; ", code, seconds);
        if (*restarts_out == given.restarts) {
            fprintf(stderr, "%lld restarts are used up\n", (long long)given.restarts);
            break;
        }
        fprintf(stderr, "restart %lld of %lld, from %s %lld\n", (long long)*restarts_out + 1,
                (long long)given.restarts, l->step[0] ? "step" : "the beginning, step", (long long)from);
        int lost = drop_lost_hosts(l);
        if (lost) return lost;
    }
    return code >= 128 ? 4 : code;
}

/* The command that goes on from the newest step of a run that ended before it was done. */
static void say_again(launch *l)
{
    char **words = malloc(sizeof *words * (size_t)(l->run->arguments.nrest + 1)), *text = NULL;
    size_t size = 0;
    FILE *out = words ? open_memstream(&text, &size) : NULL;
    int count = words ? typed_words(l, words) : 0;
    if (out) {
        text_shell_word(out, l->run->program);
        fprintf(out, " launch -n %lld", (long long)given.processes);
        if (given.hosts) fputs(" --hosts ", out), text_shell_word(out, given.hosts);
        if (given.launcher) fputs(" --launcher ", out), text_shell_word(out, given.launcher);
        if (given.restarts != RESTARTS) fprintf(out, " --max-restarts %lld", (long long)given.restarts);
        for (int i = 0; i < count; i++) fputc(' ', out), text_shell_word(out, words[i]);
        fputs(" --resume ", out);
        text_shell_word(out, l->step);
        if (fclose(out) == 0) cli_notice(l->run, "go on with: %s", text);
    }
    free(text);
    free(words);
}

static void report(launch *l, double wall, int64_t restarts)
{
    cli *run = l->run;
    double trained = goodput_seconds(&l->trained), share = wall > 0 ? trained / wall : NAN;
    if (wall > 0) {
        fprintf(run->out, "restarts       %lld\n", (long long)restarts);
        fprintf(run->out, "time trained   %.1f %% of %.1f s: steps that count, each once\n", 100 * share,
                wall);
    }
    if (!run->json) return;
    put_integer(run->json, "restarts", restarts);
    put_number(run->json, "seconds", wall);
    put_number(run->json, "trained_seconds", trained);
    put_number(run->json, "trained_share", share);
}

/* What the inner command line says: it must be `train`, of a job that saves. */
static int read_inner(launch *l)
{
    const arguments *typed = &l->run->arguments;
    if (given.processes == 0)
        return cli_fail(l->run, 2, "-n", "-n N is missing: how many processes to start");
    if (typed->nrest == 0 || strcmp(typed->rest[0], "train") != 0)
        return cli_fail(l->run, 2, "train", "what to run comes last: yoke launch -n %lld train JOB ...",
                        (long long)given.processes);
    l->inner = *l->run;
    l->inner.command = &command_train;
    l->inner.arguments = (arguments){0};
    int code = options_parse(&l->inner, typed->nrest, typed->rest, 1);
    if (code < 0) {
        code = train_find_job(&l->inner);
        if (code == 0) l->job = cli_load_job(&l->inner, &code);
    } else if (code == 0)
        return -1; /* its help */
    l->run->failed_with = l->inner.failed_with;
    l->run->error = l->inner.error;
    if (code) return code;
    if (!l->job->checkpoint.dir[0])
        return cli_fail(l->run, 2, "checkpoint.dir",
                        "a restart begins at a saved step, and the job saves none: give checkpoint.dir, and "
                        "checkpoint.every");
    int devices = yoke_job_devices(l->job, NULL);
    l->processes = (int)given.processes;
    if (devices % l->processes)
        return cli_fail(l->run, 2, "-n", "the job's %d devices cannot be dealt evenly to %d processes",
                        devices, l->processes);
    l->per_process = devices / l->processes;
    return 0;
}

static int read_launcher(launch *l)
{
    const char *words = given.launcher ? given.launcher : getenv("SLURM_JOB_ID") ? "srun" : "mpirun";
    l->nwords = cut(words, " ", &l->launcher, l->words, MOST_WORDS);
    if (l->nwords < 1) return cli_fail(l->run, 2, "--launcher", "--launcher names no program: '%s'", words);
    l->nhosts = given.hosts ? cut(given.hosts, ",", &l->hosts, l->host, MOST_HOSTS) : 0;
    if (l->nhosts < 0) return cli_fail(l->run, 2, "--hosts", "--hosts takes at most %d hosts", MOST_HOSTS);
    if (l->nhosts > 0 && l->processes % l->nhosts)
        return cli_fail(l->run, 2, "--hosts", "%d processes cannot be dealt evenly to %d hosts", l->processes,
                        l->nhosts);
    l->per_host = l->nhosts > 0 ? l->processes / l->nhosts : l->processes;
    l->kind = identify(l->words[0]);
    ssize_t length = readlink("/proc/self/exe", l->program, sizeof l->program - 1);
    if (length < 0) return cli_fail(l->run, 1, "", "cannot tell where yoke is: %s", strerror(errno));
    l->program[length] = '\0';
    return 0;
}

/* The folders above a file; where they cannot be made, `yoke train` says why. */
static void make_parents(const char *path)
{
    char folder[1200];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        mkdir(folder, 0777);
    }
}

static int run_all(launch *l)
{
    const char *log = value_of(&l->run->arguments, "--log");
    snprintf(l->log, sizeof l->log, "%s.launch.jsonl", l->job->checkpoint.dir);
    snprintf(l->signs, sizeof l->signs, "%s.launch.signs", l->job->checkpoint.dir);
    if (yoke_start_limit(l->processes, &l->start) != YOKE_OK) return cli_fail_library(l->run);
    if (l->kind != OPEN_MPI && l->kind != HYDRA) l->start = 0; /* srun and others may stand in a queue */
    make_parents(l->log);
    goodput_open(&l->trained, log ? log : l->log);
    int code = name_run(l);
    if (code) {
        goodput_release(&l->trained);
        return code;
    }
    attempt_hand_on_signals();
    if (l->run->json) put_begin_array(l->run->json, "attempts");
    double wall;
    char before[YOKE_PATH_BYTES];
    int64_t restarts, had = newest_step(l, before), has;
    code = attempts(l, &wall, &restarts);
    if (l->run->json) put_end_array(l->run->json);
    has = code == 0 ? 0 : find_step(l);
    if (l->step[0] && (has > had || code == 75)) say_again(l);
    goodput_read(&l->trained);
    report(l, wall, restarts);
    goodput_release(&l->trained);
    unlink(l->signs);
    return code;
}

static int command_run(cli *run)
{
    launch l = {.run = run};
    int code = read_inner(&l);
    if (code == 0) code = read_launcher(&l);
    if (code == 0) code = run_all(&l);
    yoke_job_destroy(l.job);
    arguments_release(&l.inner.arguments);
    free(l.launcher);
    free(l.hosts);
    return code < 0 ? 0 : code;
}

const command command_launch = {
    .name = "launch",
    .summary = "train over several processes, and begin again after failures",
    .usage = "-n N [options] train JOB [options of train]",
    .operand = "train JOB",
    .takes_rest = true,
    .about = "Starts `yoke train` in N processes by mpirun or srun. Where the run ends before it is done, "
             "because a rank died, stalled, or a host is gone, it begins again from the newest complete "
             "checkpoint. With fewer hosts the job's launch.fallbacks, or else what fits, say the layout. At "
             "the end it says which share of the time trained.",
    .groups = (const option_group *const[]){&group_launch, &options_general, NULL},
    .examples = "yoke launch -n 4 -- train gpt.yaml --dp 4\n"
                "yoke launch -n 8 --hosts a,b --max-restarts 10 -- train gpt.yaml --dp 4 --tp 2\n"
                "yoke launch -n 2 --launcher 'mpirun --oversubscribe' -- train gpt.yaml --dp 2",
    .codes = "0   all steps done\n2   bad usage, or what `yoke train` says with 2\n3   does not fit\n"
             "4   ranks failed, and restarts are used up\n5   a loss or gradient was not finite\n"
             "75  stopped by a signal; state saved",
    .run = command_run,
};
