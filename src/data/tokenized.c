/* Text as a tokenizer's tokens, made when it is opened: all files as one, so that a token never ends where a
 * sample or a file does; kept as ids.h keeps them.
 *
 * Long text is encoded in windows, so that it may be larger than memory. A window ends where a line or a word
 * begins, a good way before the last byte that was looked at, and only where that place is proved: the text
 * from there on, encoded by itself, must give the same tokens as it gave behind what stands before it. So
 * both are in step there, and stay so. Where no place is such, the window grows. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/data.h"
#include "data/files.h"
#include "data/ids.h"
#include "data/tokenizer/tokenizer.h"

enum { WINDOW = 32 << 20, MOST_AHEAD = 1 << 16 /* bytes behind a window's end */, PLACES = 8 };

typedef struct tokenized_data {
    yoke_data base;
    yki_ids ids;
    int64_t sequence;
    int32_t *row; /* sequence + 1 tokens */
} tokenized_data;

static yoke_status tokenized_read(yoke_data *base, int64_t index, void *input, void *target)
{
    tokenized_data *data = (tokenized_data *)base;
    size_t bytes = sizeof *data->row * (size_t)data->sequence;
    YKI_TRY(yki_ids_get(&data->ids, index * data->sequence, data->sequence + 1, data->row));
    if (input) memcpy(input, data->row, bytes);
    if (target) memcpy(target, data->row + 1, bytes);
    return YOKE_OK;
}

static void tokenized_release(yoke_data *base)
{
    tokenized_data *data = (tokenized_data *)base;
    yki_ids_release(&data->ids);
    free(data->row);
}

static const yki_data_ops tokenized_ops = {.read = tokenized_read, .release = tokenized_release};

/* ---- windows ---- */

typedef struct window {
    yki_encoder *encoder;
    char *bytes;
    int64_t begin, count, room; /* of the bytes of all files */
    int32_t *ids;               /* what they became */
    int64_t nids, ids_room;
} window;

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The last places before `end` where a line begins, or, where there are none, a word; the last one first. */
static int find_places(const window *w, int64_t end, int64_t places[PLACES])
{
    int count = 0;
    for (int words = 0; words < 2 && count == 0; words++)
        for (int64_t at = end; at > 1 && at < w->count && count < PLACES; at--) {
            bool line = w->bytes[at - 1] == '\n' && !is_space(w->bytes[at]);
            bool word = w->bytes[at] == ' ' && !is_space(w->bytes[at - 1]);
            if (words ? word : line) places[count++] = at;
        }
    return count;
}

static yoke_status encode(window *w)
{
    const int32_t *ids;
    yki_encoder_go_on(w->encoder, w->begin > 0);
    YKI_TRY(yki_encoder_encode(w->encoder, w->bytes, (size_t)w->count, NULL, 0, NULL, &ids, &w->nids));
    if (w->ids_room < w->nids) {
        free(w->ids);
        w->ids = malloc(sizeof *w->ids * (size_t)w->nids);
        w->ids_room = w->ids ? w->nids : 0;
        if (!w->ids) return yki_fail_memory("a text's tokens");
    }
    if (w->nids > 0) memcpy(w->ids, ids, sizeof *ids * (size_t)w->nids);
    return YOKE_OK;
}

/* Whether the text from `place` on by itself has the tokens that all of it ends with; *tokens_out: how many
 * are before those. An unknown token says nothing of where it begins. */
static yoke_status is_in_step(window *w, const yoke_tokenizer *tokenizer, int64_t place, bool *is_out,
                              int64_t *tokens_out)
{
    const int32_t *ids;
    int64_t count;
    yki_encoder_go_on(w->encoder, true);
    YKI_TRY(yki_encoder_encode(w->encoder, w->bytes + place, (size_t)(w->count - place), NULL, 0, NULL, &ids,
                               &count));
    *tokens_out = w->nids - count;
    *is_out = count > 0 && count < w->nids && ids[0] != tokenizer->unknown &&
              memcmp(ids, w->ids + *tokens_out, sizeof *ids * (size_t)count) == 0;
    return YOKE_OK;
}

static yoke_status read_window(window *w, const yki_files *files, int64_t count)
{
    int64_t left = yki_files_bytes(files) - w->begin;
    w->count = left < count ? left : count;
    if (w->room < w->count) {
        free(w->bytes);
        w->bytes = malloc((size_t)w->count);
        w->room = w->bytes ? w->count : 0;
        if (!w->bytes) return yki_fail_memory("a text");
    }
    return yki_files_read(files, w->begin, w->bytes, w->count);
}

/* The next window's tokens, and where the one after it begins. */
static yoke_status add_window(tokenized_data *data, window *w, const yki_files *files,
                              const yki_data_spec *spec)
{
    int64_t places[PLACES];
    for (int64_t size = spec->window > 0 ? spec->window : WINDOW;; size *= 2) {
        YKI_TRY(read_window(w, files, size));
        YKI_TRY(encode(w));
        bool is = w->begin + w->count == yki_files_bytes(files); /* the last one ends with the text */
        int64_t ahead = w->count / 4 < MOST_AHEAD ? w->count / 4 : MOST_AHEAD, end = w->count;
        int64_t tokens = w->nids;
        int count = is ? 0 : find_places(w, w->count - ahead, places);
        for (int i = 0; i < count && !is; i++) {
            end = places[i];
            YKI_TRY(is_in_step(w, spec->tokenizer, end, &is, &tokens));
        }
        if (!is) continue;
        w->begin += end;
        return yki_ids_add(&data->ids, w->ids, tokens);
    }
}

static yoke_status encode_files(tokenized_data *data, const yki_files *files, const yki_data_spec *spec)
{
    window w = {.encoder = NULL};
    YKI_TRY(yki_text_kind(&data->base, files));
    yoke_status status = yki_encoder_create(spec->tokenizer, &w.encoder);
    while (status == YOKE_OK && w.begin < yki_files_bytes(files)) status = add_window(data, &w, files, spec);
    yki_encoder_destroy(w.encoder);
    free(w.bytes);
    free(w.ids);
    if (status != YOKE_OK || data->sequence < data->ids.count) return status;
    return yki_file_fail(&files->items[0],
                         "has %lld tokens; one sample of %lld tokens needs one more than its length",
                         (long long)data->ids.count, (long long)data->sequence);
}

yoke_status yki_data_from_tokenized(yoke_data **data_out, const yki_data_spec *spec)
{
    if (spec->sequence <= 0 || spec->sequence > INT32_MAX)
        return yki_fail(YOKE_INVALID, "a sample of text has %lld tokens; it needs at least 1",
                        (long long)spec->sequence);
    tokenized_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &tokenized_ops));
    data->sequence = spec->sequence;
    yki_files files = {0};
    yoke_status status = yki_files_open(&files, spec->npaths, spec->paths);
    if (status == YOKE_OK) status = encode_files(data, &files, spec);
    yki_files_release(&files);
    data->row = malloc(sizeof *data->row * ((size_t)data->sequence + 1));
    if (status == YOKE_OK && !data->row) status = yki_fail_memory("a sample of text");
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    yoke_row row = {.type = YOKE_I32, .ndim = 1, .dims = {data->sequence}};
    return yki_data_finish(&data->base, (data->ids.count - 1) / data->sequence, &row, &row, data_out);
}

yoke_status yoke_data_from_tokenized(yoke_data **data_out, const char *path, int64_t sequence,
                                     const yoke_tokenizer *tokenizer)
{
    YKI_NEED(data_out, path, tokenizer);
    const yki_data_spec spec = {.npaths = 1, .paths = &path, .sequence = sequence, .tokenizer = tokenizer};
    return yki_data_from_tokenized(data_out, &spec);
}
