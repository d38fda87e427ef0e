/* yoke schedule: draws which micro-batch is on which stage when, from a schedule's name, a file, or a job. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "page.h"
#include "text.h"
#include "yoke/train.h"

static struct {
    const char *schedule, *times, *svg, *out;
    int64_t stages, microbatches, chunks;
} given;

enum { STAGES_MAX = 4096, MICROBATCHES_MAX = 1 << 20, CHUNKS_MAX = 1024, ACTIONS_MAX = 1 << 26 };

static const option_group group_schedule = {
    "Schedule",
    (const option[]){
        OPTION("schedule", "NAME|FILE", OPTION_TEXT,
               "gpipe | 1f1b | interleaved | zb-h1 | zb-h2 | zb-v, or a schedule file (1f1b)",
               .target = &given.schedule),
        OPTION("stages", "N", OPTION_COUNT, "stages of the pipeline", .target = &given.stages, .least = 1,
               .most = STAGES_MAX),
        OPTION("microbatches", "N", OPTION_COUNT, "micro-batches that a batch is run in",
               .target = &given.microbatches, .least = 1, .most = MICROBATCHES_MAX),
        OPTION("chunks", "N", OPTION_COUNT, "parts of the model that each stage holds (1)",
               .target = &given.chunks, .least = 1, .most = CHUNKS_MAX),
        OPTION(
            "times", "F,B,W,C", OPTION_TEXT,
            "time of a stage's forward, input-gradient and weight-gradient pass, and of a transfer (1,1,1,0)",
            .target = &given.times),
        {0},
    },
};

static const option_group group_output = {
    "Output",
    (const option[]){
        OPTION("svg", "FILE", OPTION_TEXT,
               "draw it as a picture; -: to standard output, and no timeline there", .target = &given.svg),
        OPTION("out", "FILE", OPTION_TEXT, "write it as a schedule file, which --schedule reads",
               .target = &given.out),
        {0},
    },
};

static const char *const kind_names[] = {"F", "B", "W", "BW"};

static int read_times(cli *run, yoke_times *times)
{
    double values[4] = {1, 1, 1, 0};
    const char *text = given.times ? given.times : "1,1,1,0";
    int count = 0;
    bool wrong = false;
    while (!wrong && count < 4) {
        char *end = NULL;
        values[count++] = strtod(text, &end);
        wrong = end == text || !isfinite(values[count - 1]) || values[count - 1] < 0 || (*end && *end != ',');
        if (wrong || !*end) {
            text = end;
            break;
        }
        text = end + 1;
        wrong = count == 4;
    }
    if (wrong || count < 3)
        return cli_fail(run, 2, "--times",
                        "--times takes F,B,W,C, numbers of at least 0 as in 1,1,1,0.1, not '%s'",
                        given.times);
    *times = (yoke_times){values[0], values[1], values[2], values[3]};
    return -1;
}

static bool is_name(const char *schedule)
{
    const char *name;
    for (int i = 0; (name = yoke_schedule_name(i, NULL)); i++)
        if (strcmp(name, schedule) == 0) return true;
    return false;
}

/* What a schedule file's own lines say of its size, for flags that were not given. */
static void count_file(const char *path)
{
    int64_t stages = 0, microbatches = 1, chunks = 1;
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen(path, "r");
    if (!file) return; /* reading it says why */
    while (getline(&line, &capacity, file) >= 0) {
        bool actions = false;
        line[strcspn(line, "#")] = '\0';
        for (char *word = strtok(line, " \t\r\n"); word; word = strtok(NULL, " \t\r\n")) {
            char *end;
            long long microbatch = strtoll(word + strcspn(word, "0123456789"), &end, 10);
            long long chunk = *end == '.' ? strtoll(end + 1, NULL, 10) : 0;
            actions = true;
            if (microbatch >= microbatches && microbatch < MICROBATCHES_MAX) microbatches = microbatch + 1;
            if (chunk >= chunks && chunk < CHUNKS_MAX) chunks = chunk + 1;
        }
        stages += actions;
    }
    free(line);
    fclose(file);
    if (!given.stages) given.stages = stages > 0 && stages <= STAGES_MAX ? stages : 1;
    if (!given.microbatches) given.microbatches = microbatches;
    if (!given.chunks) given.chunks = chunks;
}

/* A schedule from a file, over parts dealt to the stages in turn. Returns -1 to go on, or the exit code. */
static int read_file(cli *run, const char *path, yoke_schedule **schedule_out)
{
    count_file(path);
    int stages = (int)given.stages, nparts = stages * (int)given.chunks;
    int *map = malloc(sizeof *map * 2 * (size_t)nparts);
    if (!map) return cli_fail(run, 1, "", "out of memory");
    for (int c = 0; c < nparts; c++) {
        map[c] = c % stages;
        map[nparts + c] = c / stages;
    }
    yoke_parts parts = {stages, nparts, map, map + nparts};
    yoke_status status = yoke_schedule_read(schedule_out, path, &parts, (int)given.microbatches);
    free(map);
    return status == YOKE_OK ? -1 : cli_fail_library(run);
}

static int make(cli *run, yoke_schedule **schedule_out)
{
    const char *name = given.schedule ? given.schedule : "1f1b";
    bool file = !is_name(name) && (strpbrk(name, "/.") || access(name, F_OK) == 0);
    if (!file && (!given.stages || !given.microbatches))
        return cli_fail(run, 2, given.stages ? "--microbatches" : "--stages",
                        "without a JOB, the schedule needs --stages N and --microbatches N");
    if (!file && given.stages * given.microbatches * (given.chunks ? given.chunks : 1) > ACTIONS_MAX)
        return cli_fail(run, 2, "--microbatches",
                        "--stages times --microbatches times --chunks is at most %d", ACTIONS_MAX);
    if (file) {
        int code = read_file(run, name, schedule_out);
        if (code >= 0) return code;
    } else if (yoke_schedule_create(schedule_out, name, (int)given.stages, (int)given.microbatches,
                                    given.chunks ? (int)given.chunks : 1) != YOKE_OK)
        return cli_fail_library(run);
    return yoke_schedule_check(*schedule_out) == YOKE_OK ? -1 : cli_fail_library(run);
}

/* With a job the flags are its layout's. */
static int override_layout(cli *run)
{
    const struct {
        const char *flag, *key;
        int64_t value;
    } counts[] = {{"--stages", "layout.pp", given.stages},
                  {"--microbatches", "layout.microbatches", given.microbatches},
                  {"--chunks", "layout.chunks", given.chunks}};
    bool kept = true;
    char value[32], typed[300];
    for (int i = 0; i < 3; i++)
        if (counts[i].value) {
            snprintf(value, sizeof value, "%lld", (long long)counts[i].value);
            snprintf(typed, sizeof typed, "%s %s", counts[i].flag, value);
            kept = kept && arguments_override(&run->arguments, counts[i].key, value, typed);
        }
    if (given.schedule) {
        snprintf(typed, sizeof typed, "--schedule %.250s", given.schedule);
        kept = kept && arguments_override(&run->arguments, "layout.schedule", given.schedule, typed);
    }
    return kept ? -1 : cli_fail(run, 1, "", "out of memory");
}

static bool is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

/* Standard output takes one thing. */
static int check_outputs(cli *run)
{
    bool taken = run->json_file == STDOUT_FILENO, out = is_stdout(given.out), svg = is_stdout(given.svg);
    if (out + svg + taken < 2) return -1;
    return cli_fail(run, 2, out ? "--out" : "--svg",
                    "standard output takes one of --out -, --svg - and --json -");
}

static int write_file(cli *run, const char *path, const char *text)
{
    if (is_stdout(path)) {
        fputs(text, run->out);
        return 0;
    }
    FILE *file = fopen(path, "w");
    if (!file)
        return cli_fail(run, errno == ENOSPC ? 1 : 2, path, "cannot write %s: %s", path, strerror(errno));
    bool failed = fputs(text, file) < 0;
    if ((fclose(file) != 0) | failed)
        return cli_fail(run, 1, path, "cannot write %s: %s", path, strerror(errno));
    return 0;
}

static void write_timeline(json *j, const yoke_schedule *schedule, const yoke_timeline *timeline)
{
    put_integer(j, "stages", yoke_schedule_stages(schedule));
    put_integer(j, "microbatches", yoke_schedule_microbatches(schedule));
    put_number(j, "makespan", timeline->makespan);
    put_number(j, "bubble_rate", timeline->bubble_rate);
    put_number(j, "idle_share", timeline->idle_share);
    put_begin_array(j, "actions");
    for (int i = 0; i < timeline->nevents; i++) {
        const yoke_event *e = &timeline->events[i];
        put_begin_object(j, NULL);
        put_integer(j, "stage", e->stage);
        put_string(j, "kind", kind_names[e->action.kind]);
        put_integer(j, "microbatch", e->action.microbatch);
        put_integer(j, "chunk", e->action.chunk);
        put_number(j, "start", e->start);
        put_number(j, "end", e->end);
        put_end_object(j);
    }
    put_end_array(j);
}

static int show(cli *run, const yoke_schedule *schedule, const yoke_timeline *timeline)
{
    char *drawing = yoke_timeline_draw(schedule, timeline, run->columns, run->out_colour);
    char *text = given.out ? yoke_schedule_print(schedule) : NULL;
    char *svg = given.svg ? yoke_timeline_svg(schedule, timeline) : NULL;
    int code = 0;
    if (!drawing || (given.out && !text) || (given.svg && !svg))
        code = cli_fail(run, 1, "", "out of memory while drawing");
    if (code == 0 && text) code = write_file(run, given.out, text);
    if (code == 0 && svg) code = write_file(run, given.svg, svg);
    if (code == 0) {
        if (run->json) write_timeline(run->json, schedule, timeline);
        if (!is_stdout(given.out) && !is_stdout(given.svg)) fputs(drawing, run->out);
    }
    free(drawing);
    free(text);
    free(svg);
    return code;
}

static int simulate(cli *run, const yoke_schedule *schedule, yoke_times times)
{
    const yoke_parts *parts = yoke_schedule_parts(schedule);
    double chunks = (double)parts->nparts / parts->nstages;
    yoke_timeline timeline = {0};
    times.forward /= chunks;
    times.input_gradient /= chunks;
    times.weight_gradient /= chunks;
    if (yoke_schedule_simulate(schedule, &times, 1, &timeline) != YOKE_OK) return cli_fail_library(run);
    int code = show(run, schedule, &timeline);
    yoke_timeline_release(&timeline);
    return code;
}

/* The schedule that a job would run. */
static int run_job(cli *run, const yoke_times *times)
{
    yoke_schedule *schedule = NULL;
    int code = override_layout(run);
    yoke_job *job = code < 0 ? cli_load_job(run, &code) : NULL;
    if (!job) return code;
    page_put_job(run, job);
    if (yoke_job_schedule(job, &schedule) != YOKE_OK)
        code = cli_fail_library(run);
    else
        code = simulate(run, schedule, *times);
    yoke_schedule_destroy(schedule);
    yoke_job_destroy(job);
    return code;
}

static int command_run(cli *run)
{
    yoke_times times;
    yoke_schedule *schedule = NULL;
    int code = read_times(run, &times);
    if (code < 0) code = check_outputs(run);
    if (code >= 0) return code;
    if (run->arguments.npositional > 0) return run_job(run, &times);
    code = make(run, &schedule);
    if (code < 0) code = simulate(run, schedule, times);
    yoke_schedule_destroy(schedule);
    return code;
}

const command command_schedule = {
    .name = "schedule",
    .summary = "draw which micro-batch is on which stage when",
    .usage = "[JOB] [options]",
    .operand = "JOB",
    .least = 0,
    .most = 1,
    .about = "Draws a pipeline schedule as a timeline, with its bubble: of a schedule by name, of a schedule "
             "file, or of a "
             "job's layout. A schedule file has a line per stage of actions in order, e.g. `F0 F1 BW0 BW1`, "
             "a chunk after "
             "a dot (`F0.1`). Times are per stage, divided by its chunks; what cannot run is refused by "
             "stage and action.",
    .groups = (const option_group *const[]){&group_schedule, &group_output, &options_page, &options_job,
                                            &options_general, NULL},
    .examples =
        "yoke schedule --schedule 1f1b --stages 4 --microbatches 8\n"
        "yoke schedule --schedule zb-h1 --stages 4 --microbatches 8 --times 1,1,1,0.1 --svg zb.svg\n"
        "yoke schedule --schedule interleaved --stages 4 --microbatches 8 --chunks 2 --html page.html\n"
        "yoke schedule --schedule gpipe --stages 2 --microbatches 4 --out mine.txt\n"
        "yoke schedule gpt.yaml --schedule mine.txt --stages 2 --microbatches 4",
    .codes = "0   drawn\n"
             "1   the system refused: disk full\n"
             "2   bad usage, or a schedule that cannot run",
    .run = command_run,
};
