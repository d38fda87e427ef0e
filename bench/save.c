/* Checkpoints beside one plain write and read of the same bytes, both sides in one run, alternating; medians,
 * of the clock and of the seconds that all threads computed.
 *
 *     bench_save [--layers 8] [--width 512] [--vocab 8192] [--rounds 3] [--folder /tmp]
 *     bench_save --async [--layers 12] [--width 768] [--vocab 50257] [--sequence 64] [--batch 4] [--dp 1]
 *                [--rounds 3] [--folder /tmp]
 *
 * The second: what a save costs 50 steps, GPT-2 124M by default; windows of 24 steps without a save, with one
 * between two steps, and with one beside them, in turns. The save is the 8th step's. What the steps after it
 * took until it had ended, and the one after that, over as many times the median of the window's other steps,
 * is its price: machines whose speed drifts from minute to minute drift less within a window. The window
 * without a save, of which the 9th to 12th step are taken, tells how much that misjudges.
 *
 * A save ends when all is on the disk, and so does the plain write, of 1 MiB at a time. A save leaves little
 * in the system's memory of files, so that a load reads the disk; the plain read finds its file in memory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/disk.h"
#include "run/rank.h"
#include "train/trainer.h"
#include "yoke/yoke.h"

enum { BLOCK = 1 << 20, MOST_ROUNDS = 100 };

static void check(bool done, const char *what)
{
    if (done) return;
    fprintf(stderr, "bench_save: %s\n", what);
    exit(1);
}

static yoke_gpt2_options shape = {
    .layers = 8, .heads = 8, .width = 512, .context = 64, .vocab = 8192, .sequence = 8};
static int64_t rounds = 3, batch = 4, replicas = 1;
static const char *folder = "/tmp";

enum { SAVE, WRITE, LOAD, READ, NSIDES };
static double clocks[NSIDES][MOST_ROUNDS], computing[NSIDES][MOST_ROUNDS];

static double computed(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double start, start_computed;

static void begin(void)
{
    start_computed = computed();
    start = yki_now_ns();
}

static void end(int side, int64_t i)
{
    clocks[side][i] = (yki_now_ns() - start) * 1e-9;
    computing[side][i] = computed() - start_computed;
}

/* As a save does, beside the file that is there, whose place it takes: memory of neither is warm. */
static void plain_write(const char *path, size_t bytes)
{
    static char block[BLOCK];
    char beside[1200];
    snprintf(beside, sizeof beside, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    check(fd >= 0, path);
    for (size_t at = 0; at < bytes; at += BLOCK) {
        memset(block, (int)(at / BLOCK), 64);
        check(pwrite(fd, block, BLOCK, (off_t)at) == BLOCK, "a plain write failed");
    }
    check(fsync(fd) == 0, "a plain flush failed");
    close(fd);
    check(rename(beside, path) == 0, "a plain rename failed");
}

static void plain_read(const char *path)
{
    static char block[BLOCK];
    int fd = open(path, O_RDONLY);
    check(fd >= 0, path);
    while (read(fd, block, BLOCK) > 0) continue;
    close(fd);
}

static int compare(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

static void measure(const char *text)
{
    yoke_model *model;
    yoke_data *data;
    yoke_trainer *trainer;
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    yoke_row row = {YOKE_I32, 1, {shape.sequence}};
    char dir[1024], path[1100];
    options.optimizer = YOKE_ADAMW;
    options.steps = 1;
    options.batch = 8;
    check(yoke_model_create(&model) == YOKE_OK, "no model");
    check(yoke_model_finish(model, yoke_gpt2(model, &shape), YOKE_CROSS_ENTROPY) == YOKE_OK, "no model");
    check(yoke_data_random(&data, 64, &row, shape.vocab, &row, shape.vocab, 1) == YOKE_OK, "no data");
    check(yoke_layout_parse(&layout, text) == YOKE_OK, text);
    layout.threads = 1;
    check(yoke_trainer_create(&trainer, model, data, &options, &layout) == YOKE_OK,
          yoke_error_get()->message);
    size_t bytes = 12 * (size_t)yoke_model_parameters(model);
    snprintf(dir, sizeof dir, "%s/bench-save-%ld", folder, (long)getpid());
    snprintf(path, sizeof path, "%s/plain", dir);
    check(yki_disk_make_folders(dir) == YOKE_OK, yoke_error_get()->message);
    for (int i = 0; i < rounds; i++) {
        begin();
        plain_write(path, bytes);
        end(WRITE, i);
        begin();
        check(yoke_trainer_save(trainer, dir, NULL) == YOKE_OK, yoke_error_get()->message);
        end(SAVE, i);
        begin();
        plain_read(path);
        end(READ, i);
        begin();
        check(yoke_trainer_resume(trainer, dir) == YOKE_OK, yoke_error_get()->message);
        end(LOAD, i);
    }
    double s[NSIDES], c[NSIDES];
    for (int i = 0; i < NSIDES; i++) {
        s[i] = (double)bytes * 1e-6 / median(clocks[i], (int)rounds);
        c[i] = 1e9 / (double)bytes * median(computing[i], (int)rounds);
    }
    printf(
        "%-12s %.0f MB; MB/s: save %.0f, write %.0f; load %.0f, read %.0f; computing s/GB: save %.2f, write "
        "%.2f; load %.2f, read %.2f\n",
        text[0] ? text : "one device", (double)bytes * 1e-6, s[SAVE], s[WRITE], s[LOAD], s[READ], c[SAVE],
        c[WRITE], c[LOAD], c[READ]);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
    yki_disk_remove_folder(dir);
}

enum { OVER = 50, WINDOW = 24, BEFORE = 8, TAKEN = 4 };
static const char *const ways[] = {"none", "between", "beside"};

static yoke_job *make_job(const char *dir)
{
    char path[1200], settings[2][1300];
    yoke_job *job;
    snprintf(path, sizeof path, "%s/job.yaml", dir);
    FILE *out = fopen(path, "w");
    check(out != NULL, path);
    fprintf(out,
            "model: {family: gpt2, layers: %lld, heads: %lld, width: %lld, context: %lld, vocab: %lld}\n"
            "data: {format: random, samples: 64}\n"
            "train: {steps: 1000000000, batch: %lld, sequence: %lld, optimizer: {name: adamw}}\n"
            "checkpoint: {keep: 1, async: true, every: %d}\n",
            (long long)shape.layers, (long long)shape.heads, (long long)shape.width, (long long)shape.context,
            (long long)shape.vocab, (long long)batch, (long long)shape.sequence, WINDOW);
    fclose(out);
    snprintf(settings[0], sizeof *settings, "checkpoint.dir=%s/ck", dir);
    snprintf(settings[1], sizeof *settings, "layout.dp=%lld", (long long)replicas);
    const char *const overrides[] = {settings[0], settings[1]};
    check(yoke_job_load(path, 2, overrides, &job) == YOKE_OK, yoke_error_get()->message);
    return job;
}

/* When each step of a window ended, and how many had when its save had. */
typedef struct window {
    double ended[WINDOW + 1];
    int steps, saved;
} window;

static void note_step(void *context, const yoke_step_report *report)
{
    window *w = context;
    (void)report;
    if (w->steps < WINDOW) w->ended[++w->steps] = yki_now_ns() * 1e-9;
}

static void note_event(void *context, const yoke_run_event *event)
{
    window *w = context;
    if (event->kind == YOKE_RUN_SAVED) w->saved = w->steps;
}

enum { STEP, ADDED, WAITED, NFIGURES };

/* Seconds of an undisturbed step, those that a save added to the steps, and those that they waited for it. */
static void run_window(yoke_trainer *trainer, yoke_job *job, int way, double figures[NFIGURES])
{
    window w = {.ended = {yki_now_ns() * 1e-9}, .saved = way > 0 ? WINDOW : BEFORE + TAKEN - 1};
    double rest[WINDOW], before = trainer->save_seconds;
    int nrest = 0, after = 0;
    job->checkpoint.every = way > 0 ? WINDOW : 0;
    job->checkpoint.async = way == 2;
    check(yoke_trainer_watch(trainer, &(yoke_watcher){&w, note_step, note_event}) == YOKE_OK,
          yoke_error_get()->message);
    check(yoke_trainer_run(trainer, WINDOW, NULL, NULL) == YOKE_OK, yoke_error_get()->message);
    yoke_trainer_unwatch(trainer, &w);
    figures[ADDED] = 0;
    for (int i = 0; i < WINDOW; i++) {
        double seconds = w.ended[i + 1] - w.ended[i];
        if (i < BEFORE || i > w.saved) {
            rest[nrest++] = seconds;
            continue;
        }
        figures[ADDED] += seconds;
        after++;
    }
    figures[STEP] = median(rest, nrest);
    figures[ADDED] -= after * figures[STEP];
    figures[WAITED] = trainer->save_seconds - before;
}

static void measure_async(void)
{
    static double all[3][NFIGURES][MOST_ROUNDS], percent[3][MOST_ROUNDS];
    char dir[1024];
    snprintf(dir, sizeof dir, "%s/bench-async-%ld", folder, (long)getpid());
    check(yki_disk_make_folders(dir) == YOKE_OK, yoke_error_get()->message);
    yoke_job *job = make_job(dir);
    yoke_trainer *trainer;
    yoke_run_report report;
    check(yoke_trainer_create_from_job(&trainer, job) == YOKE_OK, yoke_error_get()->message);
    /* saves come at multiples of WINDOW steps: a window begins BEFORE steps ahead of one */
    check(yoke_trainer_run(trainer, WINDOW - BEFORE, NULL, NULL) == YOKE_OK, yoke_error_get()->message);
    check(yoke_trainer_report(trainer, &report) == YOKE_OK, yoke_error_get()->message);
    printf("%lld parameters, dp %lld, a batch of %lld x %lld tokens; staging %.0f MB\n",
           (long long)yoke_model_parameters(trainer->model), (long long)replicas, (long long)batch,
           (long long)shape.sequence, (double)report.staging_bytes * 1e-6);
    for (int i = 0; i < rounds; i++) {
        printf("round %d:", i + 1);
        for (int way = 0; way < 3; way++) {
            double figures[NFIGURES];
            run_window(trainer, job, way, figures);
            for (int f = 0; f < NFIGURES; f++) all[way][f][i] = figures[f];
            percent[way][i] = 100 * figures[ADDED] / (OVER * figures[STEP]);
            printf(" %s %+.2f s, %+.2f %% of %d steps of %.0f ms%s", ways[way], figures[ADDED],
                   percent[way][i], OVER, 1000 * figures[STEP], way < 2 ? ";" : "\n");
        }
        fflush(stdout);
    }
    for (int way = 0; way < 3; way++)
        printf("%-8s %.0f ms a step; a save adds %+.2f s, %+.2f %% of %d steps; they wait %.2f s for it\n",
               ways[way], 1000 * median(all[way][STEP], (int)rounds), median(all[way][ADDED], (int)rounds),
               median(percent[way], (int)rounds), OVER, median(all[way][WAITED], (int)rounds));
    yoke_trainer_destroy(trainer);
    yoke_job_destroy(job);
    yki_disk_remove_folder(dir);
}

int main(int argc, char **argv)
{
    static const char *const layouts[] = {"", "dp=2,zero=1", "dp=2,zero=3", "tp=2", "pp=2"};
    struct {
        const char *name;
        int64_t *value;
    } numbers[] = {{"--layers", &shape.layers}, {"--width", &shape.width},
                   {"--vocab", &shape.vocab},   {"--sequence", &shape.sequence},
                   {"--batch", &batch},         {"--dp", &replicas},
                   {"--rounds", &rounds}};
    bool async = false;
    for (int i = 1; i < argc; i++) async |= !strcmp(argv[i], "--async");
    if (async)
        shape = (yoke_gpt2_options){
            .layers = 12, .heads = 12, .width = 768, .context = 1024, .vocab = 50257, .sequence = 64};
    for (int i = 1; i + 1 < argc; i++) {
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if (!strcmp(argv[i], numbers[k].name)) *numbers[k].value = atoll(argv[i + 1]);
        if (!strcmp(argv[i], "--folder")) folder = argv[i + 1];
    }
    if (rounds < 1 || rounds > MOST_ROUNDS) rounds = 3;
    if (async)
        measure_async();
    else
        for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) measure(layouts[i]);
    return 0;
}
