/* Rows of JSON as samples: each row a sample, cut and padded, or packed one behind the other.
 *
 * All lines are read and all rows become tokens when the data are opened, one line at a time, so that
 * whatever is wrong with one is said before the first step, and no step waits for a tokenizer. Tokens are
 * kept as ids.h keeps them: what a row is counted by is the sign of its tokens, as jsonl_row.h has them. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/chat.h"
#include "data/data.h"
#include "data/files.h"
#include "data/ids.h"
#include "data/jsonl_row.h"
#include "data/lines.h"

typedef struct jsonl_data {
    yoke_data base;
    yki_ids ids;
    int64_t *starts; /* where row i's tokens begin, where rows are samples; starts[rows]: all of them */
    int64_t rows, room;
    int64_t sequence, counted;
    int32_t eos;
    int32_t most; /* the largest id, padding left out */
    int32_t *row; /* sequence + 1 tokens */
    bool packed;
} jsonl_data;

static int64_t tokens_of(const jsonl_data *data, int64_t index)
{
    return data->packed ? data->sequence + 1 : data->starts[index + 1] - data->starts[index];
}

static yoke_status jsonl_read(yoke_data *base, int64_t index, void *input, void *target)
{
    jsonl_data *data = (jsonl_data *)base;
    int64_t count = tokens_of(data, index), T = data->sequence;
    int64_t first = data->packed ? index * T : data->starts[index];
    int32_t *row = data->row, *ids = input, *next = target;
    YKI_TRY(yki_ids_get(&data->ids, first, count, row));
    for (int64_t t = 0; t < T && ids; t++) ids[t] = t >= count ? data->eos : row[t] < 0 ? ~row[t] : row[t];
    for (int64_t t = 0; t < T && next; t++)
        next[t] = t + 1 >= count || row[t + 1] < 0 ? YOKE_UNCOUNTED : row[t + 1];
    return YOKE_OK;
}

static int64_t jsonl_length(yoke_data *base, int64_t index)
{
    jsonl_data *data = (jsonl_data *)base;
    int64_t count = tokens_of(data, index);
    return count < data->sequence ? count : data->sequence;
}

static yoke_status jsonl_check(yoke_data *base, int64_t inputs, int64_t targets)
{
    jsonl_data *data = (jsonl_data *)base;
    int64_t limit = targets > 0 && targets < inputs ? targets : inputs;
    int32_t most = data->most > data->eos ? data->most : data->eos;
    return most < limit ? YOKE_OK
                        : yki_fail_at(YOKE_INVALID, base->input_file, 0, "",
                                      "becomes token %d%s, and the model knows 0 .. %lld", most,
                                      most == data->eos ? ", which ends a text" : "", (long long)limit - 1);
}

static void jsonl_release(yoke_data *base)
{
    jsonl_data *data = (jsonl_data *)base;
    yki_ids_release(&data->ids);
    free(data->starts);
    free(data->row);
    free((char *)base->input_file);
}

static const yki_data_ops jsonl_ops = {
    .read = jsonl_read, .check = jsonl_check, .release = jsonl_release, .length = jsonl_length};

/* ---- opening ---- */

typedef struct opening {
    jsonl_data *data;
    const yki_data_spec *spec;
    yki_rows rows;
    int64_t seen[YKI_ROW_KINDS]; /* rows of each kind */
    yki_row_kind first;
} opening;

/* Whether rows are packed, which the first one says where the key does not. */
static yoke_status choose(opening *o)
{
    const yki_rows *r = &o->rows;
    int64_t before = o->seen[YKI_ROW_TEXT] + o->seen[YKI_ROW_PAIR] + o->seen[YKI_ROW_MESSAGES];
    if (before == 0) {
        o->first = r->kind;
        o->data->packed = o->spec->pack < 0 ? r->kind == YKI_ROW_TEXT : o->spec->pack > 0;
    } else if (o->spec->pack < 0 && r->kind != o->first) {
        return yki_fail_at(
            YOKE_INVALID, r->path, r->line, "",
            "is a row of %s behind rows of %s: data.pack says whether such rows are packed one "
            "behind the other (true), or each is a sample (false)",
            yki_row_kinds[r->kind], yki_row_kinds[o->first]);
    }
    o->seen[r->kind]++;
    return YOKE_OK;
}

static yoke_status add_start(jsonl_data *data)
{
    if (data->rows + 2 > data->room) {
        int64_t room = data->room + data->room / 2 + 1024;
        int64_t *starts = realloc(data->starts, sizeof *starts * (size_t)room);
        if (!starts) return yki_fail_memory("rows of data");
        data->starts = starts;
        data->room = room;
    }
    data->starts[data->rows++] = data->ids.count;
    return YOKE_OK;
}

/* The row as a sample: its first sequence + 1 tokens, unless nothing of those is counted. */
static yoke_status add_sample(opening *o)
{
    const yki_rows *r = &o->rows;
    jsonl_data *data = o->data;
    int64_t count = r->count <= data->sequence ? r->count : data->sequence + 1, counted = 0;
    for (int64_t i = 1; i < count; i++) counted += r->ids[i] >= 0;
    if (counted == 0 && !o->spec->skip_long)
        return yki_fail_at(
            YOKE_INVALID, r->path, r->line, "",
            "has %lld tokens, and nothing is counted of the first %lld, which a sample has room "
            "for (train.sequence %lld); data.skip_long: true leaves such rows out",
            (long long)r->count, (long long)count, (long long)data->sequence);
    if (counted == 0) {
        data->base.left_out++;
        return YOKE_OK;
    }
    YKI_TRY(add_start(data));
    data->counted += counted;
    data->base.padding += data->sequence - (count < data->sequence ? count : data->sequence);
    data->base.uncounted += data->sequence - counted;
    return yki_ids_add(&data->ids, r->ids, count);
}

static yoke_status add_row(opening *o)
{
    const yki_rows *r = &o->rows;
    jsonl_data *data = o->data;
    YKI_TRY(choose(o));
    for (int64_t i = 0; i < r->count; i++) {
        int32_t id = r->ids[i] < 0 ? ~r->ids[i] : r->ids[i];
        data->most = id > data->most ? id : data->most;
    }
    return data->packed ? yki_ids_add(&data->ids, r->ids, r->count) : add_sample(o);
}

static bool is_blank(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!memchr(" \t\r", text[i], 3)) return false;
    return true;
}

/* Blank lines are allowed at the end alone. */
static yoke_status add_file(opening *o, const yki_file *file)
{
    yki_lines lines = {.file = file};
    const char *text = NULL;
    size_t count = 0;
    int blank = 0;
    const char *other = yki_file_is(file, false);
    yoke_status status =
        other ? yki_file_fail(file, "has no rows of JSON: it looks like %s", other) : YOKE_OK;
    while (status == YOKE_OK && (status = yki_lines_next(&lines, &text, &count)) == YOKE_OK && text) {
        if (is_blank(text, count)) {
            blank = blank ? blank : lines.line;
            continue;
        }
        if (blank)
            status = yki_fail_at(YOKE_INVALID, file->path, blank, "", "is a line without a row");
        else
            status = yki_rows_read(&o->rows, file->path, lines.line, text, count);
        if (status == YOKE_OK) status = add_row(o);
    }
    yki_lines_release(&lines);
    return status;
}

/* Targets of packed rows that are not counted, which samples share out as they come. */
static yoke_status count_packed(jsonl_data *data, int64_t samples)
{
    int32_t *row = data->row;
    for (int64_t i = 0; i < samples; i++) {
        YKI_TRY(yki_ids_get(&data->ids, i * data->sequence + 1, data->sequence, row));
        for (int64_t t = 0; t < data->sequence; t++) data->counted += row[t] >= 0;
    }
    data->base.uncounted = samples * data->sequence - data->counted;
    return YOKE_OK;
}

/* What is there now that all rows are read. */
static yoke_status conclude(opening *o, const char *path, int64_t *samples_out)
{
    jsonl_data *data = o->data;
    yoke_data *base = &data->base;
    int64_t rows = o->seen[YKI_ROW_TEXT] + o->seen[YKI_ROW_PAIR] + o->seen[YKI_ROW_MESSAGES];
    if (rows == 0) return yki_fail_at(YOKE_INVALID, path, 0, "", "has no rows");
    *samples_out = data->packed ? (data->ids.count - 1) / data->sequence : data->rows;
    if (data->packed && *samples_out == 0)
        return yki_fail_at(YOKE_INVALID, path, 0, "",
                           "has %lld tokens; one sample of %lld tokens needs one more than its length "
                           "(data.pack: false makes each row a sample)",
                           (long long)data->ids.count, (long long)data->sequence);
    if (data->packed)
        YKI_TRY(count_packed(data, *samples_out));
    else if (data->rows > 0)
        data->starts[data->rows] = data->ids.count;
    if (data->counted == 0)
        return yki_fail_at(
            YOKE_INVALID, path, 0, "",
            "has no target that is counted in any of its %lld rows, %lld of which are left out: "
            "nothing can be learnt",
            (long long)rows, (long long)base->left_out);
    if (base->left_out > 0)
        YKI_TRY(
            yki_data_note(base,
                          "%lld of %lld rows are left out: cut after %lld tokens, nothing of them would be "
                          "learnt (data.skip_long)",
                          (long long)base->left_out, (long long)rows, (long long)data->sequence + 1));
    const char *end = o->seen[YKI_ROW_MESSAGES] ? yki_chat_end(o->spec->chat) : NULL;
    if (end && yoke_tokenizer_added(o->spec->tokenizer, end) < 0)
        YKI_TRY(yki_data_note(
            base, "the tokenizer has no token %s: the template's words are spelled in several", end));
    return YOKE_OK;
}

static yoke_status open_rows(jsonl_data *data, const yki_data_spec *spec, const yki_files *files,
                             int64_t *samples_out)
{
    opening o = {.data = data, .spec = spec};
    data->row = malloc(sizeof *data->row * ((size_t)data->sequence + 1));
    data->base.input_file = data->base.target_file = strdup(files->items[0].path);
    if (!data->row || !data->base.input_file) return yki_fail_memory("a row of data");
    yoke_status status = yki_rows_begin(&o.rows, spec->tokenizer, spec->eos, spec->chat);
    for (int i = 0; status == YOKE_OK && i < files->count; i++) status = add_file(&o, &files->items[i]);
    if (status == YOKE_OK) status = conclude(&o, data->base.input_file, samples_out);
    yki_rows_release(&o.rows);
    return status;
}

yoke_status yki_data_from_jsonl(yoke_data **data_out, const yki_data_spec *spec)
{
    static const yki_chat no_chat;
    yki_data_spec s = *spec;
    jsonl_data *data;
    yki_files files = {0};
    int64_t samples = 0;
    if (!s.chat) s.chat = &no_chat;
    if (s.sequence <= 0 || s.sequence > INT32_MAX)
        return yki_fail(YOKE_INVALID, "a sample has %lld tokens; it needs at least 1", (long long)s.sequence);
    if (!s.tokenizer)
        return yki_fail_at(
            YOKE_INVALID, "", 0, "data.tokenizer",
            "is missing: rows of jsonl become tokens by a tokenizer.json, and none lies beside "
            "the model");
    YKI_TRY(yki_data_create(&data, sizeof *data, &jsonl_ops));
    data->sequence = s.sequence;
    data->eos = s.eos < 0 ? 0 : s.eos; /* messages alone need none; what pads them is not counted */
    data->base.tokens = true;
    yoke_status status = yki_files_open(&files, s.npaths, s.paths);
    if (status == YOKE_OK) status = open_rows(data, &s, &files, &samples);
    yki_files_release(&files);
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    yoke_row row = {.type = YOKE_I32, .ndim = 1, .dims = {s.sequence}};
    return yki_data_finish(&data->base, samples, &row, &row, data_out);
}

yoke_status yoke_data_from_jsonl(yoke_data **data_out, const yoke_jsonl *rows)
{
    YKI_NEED(data_out, rows);
    YKI_NEED(rows->paths, rows->tokenizer);
    yki_chat chat = {.kind = rows->chat};
    const char *bos = rows->bos ? rows->bos : "";
    if (strlen(bos) >= sizeof chat.bos)
        return yki_fail(YOKE_INVALID, "a bos of %zu bytes is too long; %zu fit", strlen(bos),
                        sizeof chat.bos - 1);
    memcpy(chat.bos, bos, strlen(bos) + 1);
    for (int i = 0; i < rows->npaths; i++)
        if (!rows->paths[i]) return yki_fail(YOKE_INVALID, "yoke_data_from_jsonl: paths[%d] is NULL", i);
    const yki_data_spec spec = {.npaths = rows->npaths,
                                .paths = rows->paths,
                                .sequence = rows->sequence,
                                .tokenizer = rows->tokenizer,
                                .eos = rows->eos,
                                .chat = &chat,
                                .pack = rows->pack,
                                .skip_long = rows->skip_long};
    return yki_data_from_jsonl(data_out, &spec);
}
