/* The power goes while runs save: in every state that the disk may be in then, the newest step that was told
 * as saved is there, whole, or a newer one is; and training goes on from there, to the same end.
 *
 * Each case is a few runs of this program, one after the other, of which one may be killed at each of its
 * calls in turn; what they do to their folder is recorded (record.h), and the states are made and looked at
 * (crash.h). Run number r has the seed r + 1, unless it resumes, so that saves are told apart.
 *
 *     test_crash [SAMPLES]    states drawn after each record where there are too many; 24 unless said */
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fail.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/hashes.h"
#include "crash.h"
#include "folder.h"
#include "yoke/yoke.h"

extern char **environ;

enum { MOST_RUNS = 3, MOST_ARGUMENTS = 24, GOES_ON = 12 };
static int samples = 24;

/* ---- a run, as a process of its own ---- */

/* 0: it is not there. */
static uint64_t hash_of(const char *step, const char *name)
{
    char path[512], *text = NULL;
    size_t bytes = 0;
    uint64_t hash = 0;
    snprintf(path, sizeof path, "%s/%s", step, name);
    if (yki_path_exists(path) && yki_disk_read(path, 1 << 20, &text, &bytes) == YOKE_OK)
        hash = yki_hash(text, bytes);
    free(text);
    return hash;
}

/* Of the files of a step that no hash of its own is about. */
static uint64_t digest(const char *step)
{
    static const char *const names[] = {"state.json", "config.json", "hashes.json", "job.yaml",
                                        "tokenizer.json"};
    uint64_t sum = 0;
    for (int i = 0; i < 5; i++) sum = sum * 31 + hash_of(step, names[i]);
    return sum;
}

/* A place in the order of saves: of the run, then of its steps. */
static int64_t age_of(const yki_saved_state *state)
{
    return (int64_t)state->seed * 1000 + state->step;
}

static void tell(void *unused, const yoke_run_event *event)
{
    (void)unused;
    yki_saved_state state;
    char dir[512] = "";
    const char *slash = strrchr(event->path, '/');
    if (slash) snprintf(dir, sizeof dir, "%.*s", (int)(slash - event->path), event->path);
    if (event->kind == YOKE_RUN_SAVED && yoke_cluster_rank() == 0 &&
        yki_checkpoint_state(event->path, &state) == YOKE_OK)
        record_told(event->path, digest(event->path), age_of(&state), yki_best_step(dir) >= 0 ? "best" : "");
}

/* go LOG ROOT JOB KILL_AT WORDS DIR OVERRIDE... : trains JOB, which saves to DIR below ROOT. Of WORDS,
 * "resumes" and "no_exchange" are known. */
static int go(int argc, char **argv)
{
    yoke_job *job = NULL;
    yoke_trainer *trainer = NULL;
    const yoke_watcher watcher = {.event = tell};
    yoke_status status = yoke_cluster_join(NULL);
    if (status == YOKE_OK) status = yoke_job_load(argv[4], argc - 8, (const char **)argv + 8, &job);
    char name[33] = ""; /* runs of one seed are the same run, so that their steps are the same bytes */
    if (status == YOKE_OK) snprintf(name, sizeof name, "%032llx", (unsigned long long)job->train.seed);
    const yoke_start begin = {.overwrite = true, .run = name};
    if (status == YOKE_OK) status = yoke_trainer_create_to_start(&trainer, job, &begin);
    if (status == YOKE_OK && strstr(argv[6], "resumes")) status = yoke_trainer_resume(trainer, argv[7]);
    if (status == YOKE_OK) status = yoke_trainer_watch(trainer, &watcher);
    record_begin(argv[2], argv[3], atoi(argv[5]), strstr(argv[6], "no_exchange") != NULL);
    if (status == YOKE_OK) status = yoke_trainer_run(trainer, 0, NULL, NULL);
    if (status != YOKE_OK)
        fprintf(stderr, "%s %s: %s\n", yoke_error_get()->file, yoke_error_get()->key,
                yoke_error_get()->message);
    yoke_trainer_destroy(trainer);
    yoke_job_destroy(job);
    yoke_cluster_leave(status == YOKE_OK ? NULL : yoke_error_get());
    return status == YOKE_OK ? 0 : 1;
}

typedef struct run {
    const char *overrides; /* separated by ";"; NULL: there is no such run */
    bool killed, resumes, no_exchange;
} run;

typedef struct scenario {
    const char *name;
    run runs[MOST_RUNS];
    const char *launcher;
    const char *dir; /* where it saves, below the folder that is watched */
    int last;        /* the last step of the last run */
} scenario;

static char self[512], disk[128], logged[128], job_path[128];
static const char text_job[] = "model: {family: gpt2, layers: 1, heads: 2, width: 4, context: 8}\n"
                               "data: {format: text, path: text.txt, tokenizer: " YKI_TOKENIZER "}\n"
                               "train: {steps: 6, batch: 4, optimizer: {name: adamw, lr: 1e-2}}\n";
static const char rows_job[] =
    "model:\n  family: layers\n  input: [5]\n  layers: [{type: linear, out: 7}, {type: batchnorm}, "
    "{type: relu}, {type: linear, out: 3}]\n"
    "data: {format: random, samples: 50}\n"
    "train: {steps: 6, batch: 12, optimizer: {name: adamw, lr: 1e-2}}\n";

/* Runs the program and waits; its exit code, or 256 and the signal. */
static int start(const scenario *s, const run *r, int number, int kill_at)
{
    char words[1024], *argv[MOST_ARGUMENTS] = {0}, dir[200], at[16], seed[32], place[256], how[32];
    int argc = 0, result;
    pid_t child;
    snprintf(words, sizeof words, "%s;%s", s->launcher ? s->launcher : "", r->overrides);
    snprintf(at, sizeof at, "%d", kill_at);
    snprintf(how, sizeof how, "%s,%s", r->resumes ? "resumes" : "", r->no_exchange ? "no_exchange" : "");
    snprintf(dir, sizeof dir, "%s/%s", disk, s->dir);
    snprintf(place, sizeof place, "checkpoint.dir=%s", dir);
    snprintf(seed, sizeof seed, "train.seed=%d", number + 1);
    char *overrides = strchr(words, ';'), *rest = NULL;
    *overrides++ = '\0';
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    char *fixed[] = {self, "go", logged, disk, job_path,           at,
                     how,  dir,  place,  seed, "layout.threads=1", "checkpoint.every=2"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) argv[argc++] = fixed[i];
    for (char *word = strtok_r(overrides, "; ", &rest); word; word = strtok_r(NULL, "; ", &rest)) {
        assert_true(argc < MOST_ARGUMENTS - 1);
        argv[argc++] = word;
    }
    assert_int_equal(posix_spawnp(&child, argv[0], NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(child, &result, 0), child);
    return WIFSIGNALED(result) ? 256 + WTERMSIG(result) : WEXITSTATUS(result);
}

/* ---- what must be so ---- */

typedef struct look {
    const scenario *s;
    const crash_log *log;
    uint64_t end; /* the hash of the last step's hashes */
    int run;      /* the last */
    int states, looked, tries;
    uint64_t seen[1 << 14]; /* what was looked at, by what is shown and told */
    crash_state kept[GOES_ON];
    int kept_told[GOES_ON];
} look;

static yoke_status check_tensors(const char *path, const yki_hashes *hashes)
{
    yki_safetensors *file;
    YKI_TRY(yki_safetensors_open(path, &file));
    yoke_status status = YOKE_OK;
    for (int i = 0; i < yki_safetensors_count(file) && status == YOKE_OK; i++) {
        const yki_safetensor *tensor = yki_safetensors_get(file, i);
        int64_t count = yki_hash_blocks(tensor->bytes);
        uint64_t blocks[64];
        assert_true(count <= 64);
        status = yki_hashes_find(hashes, tensor, blocks);
        for (int64_t b = 0; b < count && status == YOKE_OK; b++)
            status = yki_hash_check(tensor, b, blocks[b]);
    }
    yki_safetensors_close(file);
    return status;
}

/* That a step is whole: complete, and every tensor what was saved. */
static yoke_status check_step(const char *step, yki_saved_state *state)
{
    char path[600];
    yki_hashes *hashes;
    YKI_TRY(yki_checkpoint_check(step));
    YKI_TRY(yki_checkpoint_state(step, state));
    YKI_TRY(yki_hashes_read(step, &hashes));
    snprintf(path, sizeof path, "%.500s/model.safetensors", step);
    yoke_status status = check_tensors(path, hashes);
    snprintf(path, sizeof path, "%.500s/optimizer.safetensors", step);
    if (status == YOKE_OK) status = check_tensors(path, hashes);
    yki_hashes_destroy(hashes);
    return status;
}

/* The last step told by record `after`; -1: none. */
static int last_told(const crash_log *log, int after)
{
    for (int i = after < crash_records(log) ? after : crash_records(log) - 1; i >= 0; i--)
        if (crash_record(log, i)->kind == RECORD_TOLD) return i;
    return -1;
}

/* What the step of that age holds when its save is told, which may be later than now; 0: it never is. */
static uint64_t told_hash(const look *l, int64_t age)
{
    for (int i = 0; i < crash_records(l->log); i++) {
        const record *r = crash_record(l->log, i);
        if (r->kind == RECORD_TOLD && r->end == age) return r->ino;
    }
    return 0;
}

/* That the newest complete step is whole, and as it is told to be. */
static yoke_status check_newest(const look *l, const char *step)
{
    yki_saved_state saved;
    YKI_TRY(check_step(step, &saved));
    uint64_t hash = told_hash(l, age_of(&saved));
    return hash == 0 || hash == digest(step) ? YOKE_OK : yki_fail(YOKE_INVALID, "its texts are others");
}

/* Whether DIR/best leads to a whole step. */
static bool names_a_step(const char *dir)
{
    char path[512];
    yki_saved_state state;
    snprintf(path, sizeof path, "%s/best", dir);
    return check_step(path, &state) == YOKE_OK;
}

/* What was told by record `told`, or what came after it, is there. Of an older step that is being removed any
 * file may be gone. */
static void look_into(look *l, const crash_state *state, int told)
{
    char dir[200], newest[512] = "", found[YKI_FOLDER_BYTES];
    yki_step_entry *steps = NULL;
    int count = 0, is_step;
    int64_t wanted = told >= 0 ? crash_record(l->log, told)->end : 0, best = 0;
    snprintf(dir, sizeof dir, "%s/%s", disk, l->s->dir);
    if (yki_path_is_folder(dir)) assert_int_equal(yki_steps_list(dir, &steps, &count), YOKE_OK);
    for (int i = 0; i < count; i++) {
        char step[512];
        yki_saved_state saved;
        snprintf(step, sizeof step, "%s/%s", dir, steps[i].name);
        if (yki_checkpoint_check(step) != YOKE_OK || yki_checkpoint_state(step, &saved) != YOKE_OK ||
            age_of(&saved) < best)
            continue;
        best = age_of(&saved);
        memcpy(newest, step, sizeof newest);
    }
    free(steps);
    if (told >= 0 && crash_record(l->log, told)->to[0] && !names_a_step(dir)) {
        crash_print(l->log, state);
        fail_msg("%s: best named a step that was told, and after the power is back it names none",
                 l->s->name);
    }
    if (best < wanted) {
        crash_print(l->log, state);
        fail_msg("%s: %s was told as saved, and after the power is back %s", l->s->name,
                 strrchr(crash_record(l->log, told)->path, '/') + 1, best ? "an older one is" : "no step is");
    }
    if (best > 0 &&
        (check_newest(l, newest) != YOKE_OK || yki_checkpoint_find(dir, found, &is_step, NULL) != YOKE_OK)) {
        crash_print(l->log, state);
        fail_msg("%s: %s is not whole: %s", l->s->name, newest, yoke_error_get()->message);
    }
}

static void make_state(const crash_log *log, const crash_state *state, const char *root)
{
    assert_int_equal(yki_disk_remove_folder(root), YOKE_OK);
    assert_int_equal(yki_disk_make_folders(root), YOKE_OK);
    crash_build(log, state, root);
}

/* One of few to go on from: each that is new has the same chance to be among them. */
static void keep(look *l, const crash_state *state, int told)
{
    uint64_t at = state->whole % (uint64_t)(++l->tries);
    if (l->tries <= GOES_ON) at = (uint64_t)l->tries - 1;
    if (at >= GOES_ON) return;
    unsigned effects = crash_effects(l->log);
    unsigned char *fates = malloc(effects + 1);
    assert_non_null(fates);
    memcpy(fates, state->fates, effects);
    free((void *)l->kept[at].fates);
    l->kept[at] = *state;
    l->kept[at].fates = fates;
    l->kept_told[at] = told;
}

static void look_once(void *context, const crash_state *state)
{
    look *l = context;
    int told = last_told(l->log, state->after);
    uint64_t key = state->shown + (uint64_t)(told + 2) * 0x9e3779b97f4a7c15u;
    size_t mask = sizeof l->seen / sizeof *l->seen - 1, at = key & mask;
    l->states++;
    while (l->seen[at] && l->seen[at] != key) at = (at + 1) & mask;
    if (l->seen[at]) return;
    l->seen[at] = key;
    assert_true(++l->looked < (int)mask);
    make_state(l->log, state, disk);
    look_into(l, state, told);
    keep(l, state, told);
}

/* Training goes on in a state, to the end that it has without the fault, and leaves nothing behind. */
static void goes_on(const look *l, int i)
{
    char dir[200], step[256];
    int count;
    yki_step_entry *steps;
    make_state(l->log, &l->kept[i], disk);
    snprintf(dir, sizeof dir, "%s/%s", disk, l->s->dir);
    run again = l->s->runs[l->run];
    char found[YKI_FOLDER_BYTES];
    int is_step;
    again.resumes = yki_path_is_folder(dir) && yki_checkpoint_find(dir, found, &is_step, NULL) == YOKE_OK;
    yki_saved_state saved = {.seed = (uint64_t)l->run + 1};
    if (again.resumes) assert_int_equal(yki_checkpoint_state(found, &saved), YOKE_OK);
    int64_t from = saved.step;
    int code = start(l->s, &again, (int)saved.seed - 1, 0);
    if (code != 0) {
        crash_print(l->log, &l->kept[i]);
        fail_msg("%s: training does not go on (%d)", l->s->name, code);
    }
    assert_int_equal(yki_steps_list(dir, &steps, &count), YOKE_OK);
    assert_true(count > 0 && steps[0].step >= l->s->last);
    for (int k = 0; k < count && from < l->s->last; k++)
        if (steps[k].name[0] == '.') fail_msg("%s: left %s", l->s->name, steps[k].name);
    free(steps);
    snprintf(step, sizeof step, "%s/step-%08d", dir, l->s->last);
    if (from < l->s->last) assert_int_equal(check_step(step, &saved), YOKE_OK);
    if (from < l->s->last && (int)saved.seed == l->run + 1 && hash_of(step, "hashes.json") != l->end) {
        crash_print(l->log, &l->kept[i]);
        fail_msg("%s: training that goes on ends otherwise", l->s->name);
    }
}

/* Runs the case with the run that is killed killed at its call `kill_at`; whether it was. */
static bool play(const scenario *s, int kill_at, look *total)
{
    static look l;
    memset(&l, 0, sizeof l);
    l.s = s;
    int from = 0;
    bool was_killed = true;
    unlink(logged);
    assert_int_equal(yki_disk_remove_folder(disk), YOKE_OK);
    assert_int_equal(yki_disk_make_folders(disk), YOKE_OK);
    for (int r = 0; r < MOST_RUNS && s->runs[r].overrides; r++) {
        int at = s->runs[r].killed ? kill_at : 0, code = start(s, &s->runs[r], r, at);
        l.run = r;
        if (s->runs[r].killed && code == 0) was_killed = false;
        if (code != 0 && !(at > 0 && code == 256 + SIGKILL))
            fail_msg("%s: run %d ended with %d", s->name, r, code);
        if (s->runs[r].killed) { /* what is new begins here */
            crash_log *so_far = crash_read(logged, disk);
            from = crash_records(so_far);
            crash_free(so_far);
        }
    }
    crash_log *log = crash_read(logged, disk);
    crash_state end = crash_end(log);
    l.log = log;
    /* The record is of all that was done: what it says is what is there. */
    char command[400], step[256];
    make_state(log, &end, in_folder("end"));
    snprintf(command, sizeof command, "diff -r %s %s", disk, in_folder("end"));
    assert_int_equal(system(command), 0);
    snprintf(step, sizeof step, "%s/%s/step-%08d", disk, s->dir, s->last);
    l.end = hash_of(step, "hashes.json");
    crash_each(log, from, kill_at ? samples / 4 : samples, 7, look_once, &l);
    int most = l.tries < GOES_ON ? l.tries : GOES_ON;
    for (int i = 0; i < most && i < (kill_at ? 1 : GOES_ON); i++) goes_on(&l, i), total->tries++;
    for (int i = 0; i < most; i++) free((void *)l.kept[i].fates);
    total->states += l.states;
    total->looked += l.looked;
    crash_free(log);
    return was_killed;
}

static void lose_power(const scenario *s, const char *job)
{
    static look total;
    total = (look){0};
    write_text(job_path, job);
    bool kills = false;
    int killed = 0;
    for (int r = 0; r < MOST_RUNS; r++) kills |= s->runs[r].killed;
    if (!kills)
        play(s, 0, &total);
    else
        while (play(s, ++killed, &total)) {}
    print_message("%s: %d states, %d that differ in what was told or is shown; %d went on", s->name,
                  total.states, total.looked, total.tries);
    print_message(kills ? "; killed at %d calls\n" : "\n", killed - 1);
}

#define TEST(function, steps, job, ...)                                                                      \
    static void function(void **state)                                                                       \
    {                                                                                                        \
        static const scenario s = {.name = #function, .dir = "a/b/ck", .last = steps, __VA_ARGS__};          \
        (void)state;                                                                                         \
        lose_power(&s, job);                                                                                 \
    }

TEST(one_rank, 6, text_job, .runs = {{"checkpoint.keep=1"}})
TEST(two_kept, 6, rows_job, .runs = {{"checkpoint.keep=2"}})
TEST(all_kept, 6, rows_job, .runs = {{""}})
TEST(the_best, 6, rows_job,
     .runs = {{"data.holdout=0.2;eval.every=1;checkpoint.best=true;checkpoint.keep=1"}})
TEST(no_states, 6, rows_job, .runs = {{"train.optimizer.name=sgd;checkpoint.keep=1"}})
TEST(four_ranks, 6, text_job, .runs = {{"layout.dp=2;layout.tp=2;layout.zero=1;checkpoint.keep=1"}})
TEST(beside_the_run, 6, rows_job,
     .runs = {{"layout.dp=2;layout.zero=1;checkpoint.async=true;checkpoint.keep=1"}})
TEST(the_same_numbers, 6, rows_job, .runs = {{"checkpoint.keep=2"}, {"checkpoint.keep=2"}})
TEST(without_exchange, 6, rows_job,
     .runs = {{"checkpoint.keep=1", .no_exchange = true}, {"checkpoint.keep=1", .no_exchange = true}})
/* Each process flushes what it wrote: they may be on different machines. */
static void two_processes(void **state)
{
    static const struct {
        const char *command, *module;
    } mpis[] = {{"mpirun.openmpi --oversubscribe -n 2", "openmpi"}, {"mpirun.mpich -n 2", "mpich"}};
    scenario s = {.name = "two_processes",
                  .dir = "ck",
                  .last = 6,
                  .runs = {{"layout.dp=2;layout.zero=1;checkpoint.keep=1"}}};
    (void)state;
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    setenv("YOKE_MPI_PATH", YKI_BUILD, 1);
    for (int i = 0; i < 2 && !s.launcher; i++) {
        char found[256], module[512];
        snprintf(found, sizeof found, "command -v mpirun.%s >/dev/null", mpis[i].module);
        snprintf(module, sizeof module, "%s/yoke-mpi-%s.so", YKI_BUILD, mpis[i].module);
        if (yki_path_exists(module) && system(found) == 0) s.launcher = mpis[i].command;
    }
    if (!s.launcher) skip();
    lose_power(&s, rows_job);
}

#define SHORT "train.steps=2;"
TEST(killed_at_first, 2, rows_job, .runs = {{SHORT, .killed = true}, {SHORT}})
TEST(killed_over_another, 2, rows_job,
     .runs = {{SHORT}, {SHORT, .killed = true}, {SHORT "checkpoint.keep=1"}})
TEST(killed_without_exchange, 2, rows_job,
     .runs = {{SHORT}, {SHORT, .killed = true, .no_exchange = true}, {SHORT, .no_exchange = true}})

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_rank),
        cmocka_unit_test(two_kept),
        cmocka_unit_test(all_kept),
        cmocka_unit_test(the_best),
        cmocka_unit_test(no_states),
        cmocka_unit_test(four_ranks),
        cmocka_unit_test(beside_the_run),
        cmocka_unit_test(the_same_numbers),
        cmocka_unit_test(without_exchange),
        cmocka_unit_test(killed_at_first),
        cmocka_unit_test(killed_over_another),
        cmocka_unit_test(killed_without_exchange),
        cmocka_unit_test(two_processes),
    };
    if (argc > 1 && strcmp(argv[1], "go") == 0) return go(argc, argv);
    if (argc > 1 && atoi(argv[1]) > 0) samples = atoi(argv[1]);
    if (make_folder(NULL) != 0 || readlink("/proc/self/exe", self, sizeof self - 1) < 0) return 1;
    snprintf(disk, sizeof disk, "%s/disk", folder);
    snprintf(logged, sizeof logged, "%s/log", folder);
    snprintf(job_path, sizeof job_path, "%s/job.yaml", folder);
    char text[40 * 32 + 1] = "";
    for (int i = 0; i < 40; i++) strcat(text, "a text of few words, read again ");
    write_text(in_folder("text.txt"), text);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_folder(NULL);
    return failed;
}
