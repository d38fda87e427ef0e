/* yoke data: a job's first rows as its model will see them, and what of them is counted. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "text.h"
#include "yoke/compare.h"

enum { SHOWN_IDS = 64, SHOWN_BYTES = 1500, FIRST_COLUMN = 11 };

static struct {
    int64_t rows, from;
} given = {.rows = 4};

static const option_group group_data = {
    "Data",
    (const option[]){
        OPTION("rows", "N", OPTION_COUNT, "show so many samples; default 4", .target = &given.rows),
        OPTION("from", "N", OPTION_COUNT, "the first one to show, counted from 0", .target = &given.from),
        {0},
    },
};

/* One sample. Numbers are f32 where they are no tokens. */
typedef struct row {
    const yoke_data_view *view;
    int64_t sample, length, ninputs, ntargets, counted;
    yoke_type input, target;
    int32_t *inputs, *targets; /* f32 where the types say so */
} row;

static int64_t elements(const yoke_row *r)
{
    int64_t count = 1;
    for (int i = 0; i < r->ndim; i++) count *= r->dims[i];
    return count;
}

/* Bytes as a text, in which a byte of zero is "\x00". NULL: memory. */
static char *without_zeros(const char *bytes, size_t count)
{
    char *text = malloc(4 * count + 1);
    size_t n = 0;
    for (size_t i = 0; text && i < count; i++)
        if (bytes[i])
            text[n++] = bytes[i];
        else
            n += (size_t)snprintf(text + n, 5, "\\x00");
    if (text) text[n] = '\0';
    return text;
}

/* The text of tokens behind `before` others; NULL: they have none. Freed by the caller. */
static char *text_of(const row *r, const int32_t *before, int64_t nbefore, const int32_t *ids, int64_t count)
{
    char *bytes = NULL, *text = NULL;
    size_t nbytes = 0;
    if (r->view->tokenizer) {
        yoke_status status =
            yoke_tokenizer_decode_after(r->view->tokenizer, before, nbefore, ids, count, &bytes, &nbytes);
        if (status != YOKE_OK) return NULL;
    } else if (r->view->bytes && (bytes = malloc((size_t)count + 1)) != NULL) {
        for (int64_t i = 0; i < count; i++) bytes[nbytes++] = (char)ids[i];
    }
    if (bytes) text = without_zeros(bytes, nbytes);
    free(bytes);
    return text;
}

/* The row's own tokens: its inputs without padding, and the last one's target. NULL: memory. */
static int32_t *tokens_of(const row *r, int64_t *count_out)
{
    int32_t *ids = malloc(sizeof *ids * ((size_t)r->length + 1));
    int64_t count = r->length;
    if (!ids) return NULL;
    memcpy(ids, r->inputs, sizeof *ids * (size_t)count);
    if (count == r->ninputs && r->ntargets == r->ninputs && r->targets[count - 1] >= 0)
        ids[count++] = r->targets[r->ninputs - 1];
    *count_out = count;
    return ids;
}

/* The next run of targets that are counted: *begin_out == ntargets: there is none. */
static int64_t next_run(const row *r, int64_t at, int64_t *begin_out)
{
    while (at < r->ntargets && r->targets[at] < 0) at++;
    *begin_out = at;
    while (at < r->ntargets && r->targets[at] >= 0) at++;
    return at;
}

static bool reads(const row *r)
{
    return r->view->tokens && (r->view->tokenizer || r->view->bytes);
}

/* ---- JSON ---- */

static void write_values(json *j, const char *key, yoke_type type, const int32_t *values, int64_t count)
{
    put_begin_array(j, key);
    for (int64_t i = 0; i < count; i++) {
        float number;
        memcpy(&number, &values[i], sizeof number);
        if (type == YOKE_F32)
            put_number(j, NULL, (double)number);
        else
            put_integer(j, NULL, values[i]);
    }
    put_end_array(j);
}

static void write_texts(json *j, const row *r)
{
    int64_t count = 0, begin = 0;
    int32_t *ids = tokens_of(r, &count);
    char *text = ids ? text_of(r, NULL, 0, ids, count) : NULL;
    put_string(j, "text", text);
    free(text);
    free(ids);
    if (r->ntargets != r->ninputs) return;
    put_begin_array(j, "counted_text");
    for (int64_t end = next_run(r, 0, &begin); begin < r->ntargets; end = next_run(r, end, &begin)) {
        text = text_of(r, r->inputs, begin + 1, r->targets + begin, end - begin);
        put_string(j, NULL, text);
        free(text);
    }
    put_end_array(j);
}

static void write_row(json *j, const row *r)
{
    put_begin_object(j, NULL);
    put_integer(j, "sample", r->sample);
    put_integer(j, "length", r->length);
    put_integer(j, "counted", r->counted);
    write_values(j, "inputs", r->input, r->inputs, r->ninputs);
    write_values(j, "targets", r->target, r->targets, r->ntargets);
    if (reads(r)) write_texts(j, r);
    put_end_object(j);
}

/* ---- text ---- */

/* Text in quotes on a line of its own that begins with `name`, cut where it is long. */
static void print_line(const cli *run, const char *name, const char *text)
{
    char line[2 * SHOWN_BYTES + 1];
    size_t length = strlen(text), shown = length < SHOWN_BYTES ? length : SHOWN_BYTES, n = 0;
    while (shown < length && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80) shown--;
    for (size_t i = 0; i < shown; i++) {
        const char *short_name = text[i] == '\n' ? "\\n" : text[i] == '\t' ? "\\t" : NULL;
        n += (size_t)snprintf(line + n, sizeof line - n, short_name ? "%s" : "%.1s",
                              short_name ? short_name : text + i);
    }
    line[n] = '\0';
    char *plain = text_escaped(line, false);
    fprintf(run->out, "  %-*s\"%s\"", FIRST_COLUMN - 2, name, plain ? plain : "?");
    if (shown < length) fprintf(run->out, " ... (%zu bytes more)", length - shown);
    fputc('\n', run->out);
    free(plain);
}

/* Tokens, those that are counted in brackets; or numbers. */
static void print_values(const cli *run, const row *r)
{
    char text[32 * SHOWN_IDS + 64];
    size_t n = 0;
    bool open = false, pairs = r->view->tokens && r->ntargets == r->ninputs, some = r->counted < r->ntargets;
    int64_t count = r->length < SHOWN_IDS ? r->length : SHOWN_IDS;
    for (int64_t t = 0; t < count + (pairs && count == r->length && count == r->ninputs); t++) {
        bool counted = pairs && t > 0 && r->targets[t - 1] >= 0;
        int32_t id = t < r->ninputs ? r->inputs[t] : r->targets[t - 1];
        float number;
        memcpy(&number, &id, sizeof number);
        if (t == r->ninputs && !counted) break;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s", some && open && !counted ? "]" : "",
                              t ? " " : "", some && counted && !open ? "[" : "");
        open = counted;
        n += r->input == YOKE_F32 ? (size_t)snprintf(text + n, sizeof text - n, "%.6g", (double)number)
                                  : (size_t)snprintf(text + n, sizeof text - n, "%d", id);
    }
    n += (size_t)snprintf(text + n, sizeof text - n, "%s", some && open ? "]" : "");
    if (count < r->length)
        snprintf(text + n, sizeof text - n, " ... (%lld more)", (long long)(r->length - count));
    fprintf(run->out, "  %-*s", FIRST_COLUMN - 2, r->view->tokens ? "tokens" : "inputs");
    text_wrap(run->out, text, FIRST_COLUMN, run->width);
}

static void print_targets(const cli *run, const row *r)
{
    int64_t count = r->ntargets < 8 ? r->ntargets : 8;
    fprintf(run->out, "  %-*s", FIRST_COLUMN - 2, "targets");
    for (int64_t i = 0; i < count; i++) {
        float number;
        memcpy(&number, &r->targets[i], sizeof number);
        if (r->target == YOKE_F32)
            fprintf(run->out, i ? " %.6g" : "%.6g", (double)number);
        else
            fprintf(run->out, i ? " %d" : "%d", r->targets[i]);
    }
    fprintf(run->out, count < r->ntargets ? " ...\n" : "\n");
}

static void print_texts(const cli *run, const row *r)
{
    int64_t count = 0, begin = 0;
    int32_t *ids = tokens_of(r, &count);
    char *text = ids ? text_of(r, NULL, 0, ids, count) : NULL;
    if (text) print_line(run, "text", text);
    free(text);
    free(ids);
    if (r->counted == r->ntargets) return; /* all of it */
    for (int64_t end = next_run(r, 0, &begin); begin < r->ntargets; end = next_run(r, end, &begin)) {
        text = text_of(r, r->inputs, begin + 1, r->targets + begin, end - begin);
        if (text) print_line(run, "counted", text);
        free(text);
    }
}

static void print_row(const cli *run, const row *r)
{
    if (r->view->tokens && r->ntargets == r->ninputs)
        fprintf(run->out, "\nsample %lld: %lld tokens, %lld padding, %lld of %lld targets counted\n",
                (long long)r->sample, (long long)r->length, (long long)(r->ninputs - r->length),
                (long long)r->counted, (long long)r->ntargets);
    else
        fprintf(run->out, "\nsample %lld\n", (long long)r->sample);
    print_values(run, r);
    if (!r->view->tokens || r->ntargets != r->ninputs) print_targets(run, r);
    if (reads(r) && r->ntargets == r->ninputs) print_texts(run, r);
}

/* ---- the whole ---- */

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static void print_head(const cli *run, const yoke_data_view *view, int64_t inputs, int64_t targets)
{
    char a[32], b[32];
    fprintf(run->out, "samples    %s", text_thousands(a, view->samples));
    if (view->held_out) fprintf(run->out, ", %s of them held out", text_thousands(b, view->held_out));
    if (view->left_out) fprintf(run->out, "; %s rows left out", text_thousands(b, view->left_out));
    if (view->tokens)
        fprintf(run->out, "\ninputs     %s tokens, %.1f %% of them padding", text_thousands(a, inputs),
                100 * share(view->padding, inputs));
    fprintf(run->out, "\ncounted    %s of %s targets (%.1f %%)\n", text_thousands(a, view->counted),
            text_thousands(b, targets), 100 * share(view->counted, targets));
}

static yoke_status show_rows(cli *run, row *r)
{
    int64_t end = given.from < r->view->samples - given.rows ? given.from + given.rows : r->view->samples;
    if (run->json) put_begin_array(run->json, "rows");
    for (r->sample = given.from; r->sample < end; r->sample++) {
        yoke_status status = yoke_data_get(r->view->data, r->sample, r->inputs, r->targets);
        if (status != YOKE_OK) return status;
        r->length = yoke_data_length(r->view->data, r->sample);
        r->counted = r->target == YOKE_F32 ? r->ntargets : 0;
        for (int64_t i = 0; i < r->ntargets && r->target == YOKE_I32; i++) r->counted += r->targets[i] >= 0;
        if (run->json) write_row(run->json, r);
        print_row(run, r);
    }
    if (run->json) put_end_array(run->json);
    return YOKE_OK;
}

static void on_notice(void *context, const yoke_error *notice)
{
    char text[YOKE_SENTENCE_BYTES];
    cli_notice(context, "%s", yoke_error_print(notice, text, sizeof text));
}

static yoke_status show(cli *run, const yoke_data_view *view)
{
    yoke_row input, target;
    yoke_data_rows(view->data, &input, &target);
    row r = {.view = view,
             .ninputs = elements(&input),
             .ntargets = elements(&target),
             .input = input.type,
             .target = target.type};
    if (run->json) {
        put_integer(run->json, "samples", view->samples);
        put_integer(run->json, "held_out", view->held_out);
        put_integer(run->json, "left_out", view->left_out);
        put_integer(run->json, "inputs", view->samples * r.ninputs);
        put_integer(run->json, "targets", view->samples * r.ntargets);
        put_integer(run->json, "counted", view->counted);
        put_number(run->json, "padding", share(view->padding, view->samples * r.ninputs));
    }
    print_head(run, view, view->samples * r.ninputs, view->samples * r.ntargets);
    r.inputs = malloc(sizeof *r.inputs * (size_t)r.ninputs);
    r.targets = malloc(sizeof *r.targets * (size_t)r.ntargets);
    yoke_status status = r.inputs && r.targets ? show_rows(run, &r) : YOKE_SYSTEM;
    free(r.inputs);
    free(r.targets);
    return status;
}

static int command_run(cli *run)
{
    int code = 0;
    yoke_data_view view = {0};
    yoke_job *job = cli_load_job(run, &code);
    if (!job) return code;
    yoke_status status = yoke_data_view_open(job, on_notice, run, &view);
    if (status == YOKE_OK && given.from >= view.samples)
        code = cli_fail(run, 2, "", "--from %lld: there are samples 0 to %lld", (long long)given.from,
                        (long long)view.samples - 1);
    else if (status == YOKE_OK)
        status = show(run, &view);
    if (status != YOKE_OK) code = cli_fail_library(run);
    yoke_data_view_release(&view);
    yoke_job_destroy(job);
    return code;
}

const command command_data = {
    .name = "data",
    .summary = "a job's rows as its model will see them",
    .usage = "JOB [options]",
    .operand = "JOB",
    .least = 1,
    .most = 1,
    .about = "Opens a job's data as a run does, refuses what a run would, and shows the first samples: "
             "tokens, those "
             "that are counted as targets in brackets, their text, lengths and padding. No weights are read.",
    .groups = (const option_group *const[]){&group_data, &options_job, &options_general, NULL},
    .examples = "yoke data chat.yaml\nyoke data chat.yaml --rows 1 --set data.chat=llama3",
    .codes = "0   done\n1   the system refused\n2   bad usage, job or data",
    .processes = FIRST_PROCESS,
    .run = command_run,
};
