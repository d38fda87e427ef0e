/* Token files: llm.c's (a header of 256 int32: magic, version, count; then uint16 or uint32 ids) and
 * nanoGPT's (bare ids); several are read as one. A bare file does not say how wide its ids are: `width` does,
 * or else the vocabulary, since ids of more than 65536 need uint32; and what is not of that width is refused
 * where it shows. Never read into memory as a whole, unless they are small. Every id is below the vocabulary:
 * files are checked when they are opened, as fast as they can be read, and each sample again. Format:
 * ecosystem of llm.c, dev/data/data_common.py; nanoGPT, data/openwebtext/prepare.py. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "data/data.h"
#include "data/files.h"

enum { HEADER_BYTES = 1024, PIECE = 1 << 14 /* ids */, NARROW_VOCAB = 65536, SEEN_ENOUGH = 4 /* ids */ };

static const struct {
    uint32_t magic, version;
    int id_bytes; /* 0: no file of tokens to train on */
    const char *name;
} kinds[] = {
    {20240520, 1, 2, "GPT-2 tokens"},
    {20240801, 7, 4, "Llama-3 tokens"},
    {20240522, 0, 0, "an evaluation set of multiple-choice questions"},
    {20240326, 0, 0, "a model checkpoint"},
    {20240327, 0, 0, "a debug state"},
    {20240527, 0, 0, "an optimizer state"},
};

/* One of the files. */
typedef struct shard {
    const yki_file *file;
    int64_t ids; /* where they begin */
    int64_t count;
    int id_bytes;
    bool bare;
} shard;

typedef struct tokens_data {
    yoke_data base;
    yki_files files;
    shard *shards;
    int64_t *starts; /* which of all ids shard i begins with; starts[count] is how many those are */
    int64_t sequence, vocab;
} tokens_data;

static inline uint32_t id_at(const shard *s, const unsigned char *ids, int64_t i)
{
    return s->id_bytes == 2 ? yki_le16(ids + 2 * i) : yki_le32(ids + 4 * i);
}

static yoke_status read_ids(const shard *s, int64_t first, int64_t count, unsigned char *to)
{
    return yki_file_read(s->file, s->ids + first * s->id_bytes, to, count * s->id_bytes);
}

static yoke_status bad_id(const shard *s, int64_t vocab, int64_t position, uint32_t id)
{
    char bare[160] = "";
    if (s->bare)
        snprintf(bare, sizeof bare,
                 " (a file without a header is read as %d bytes a token%s; data.token_bytes says another)",
                 s->id_bytes, s->id_bytes == 2 ? "" : " where the vocabulary is larger than 65536");
    return yki_file_fail(
        s->file, "token %lld (counted from 0) is %lu; the vocabulary of %lld has ids 0 to %lld%s",
        (long long)position, (unsigned long)id, (long long)vocab, (long long)vocab - 1, bare);
}

/* Ids [first, first + count) of all, each below the vocabulary. At most PIECE + 1. */
static yoke_status get_ids(const tokens_data *data, int64_t first, int64_t count, int32_t *to)
{
    unsigned char bytes[4 * (PIECE + 1)];
    for (int i = yki_files_find(data->starts, data->files.count, first); count > 0; i++) {
        const shard *s = &data->shards[i];
        int64_t at = first - data->starts[i], here = s->count - at < count ? s->count - at : count;
        YKI_TRY(read_ids(s, at, here, bytes));
        for (int64_t t = 0; t < here; t++) {
            uint32_t id = id_at(s, bytes, t);
            if ((int64_t)id >= data->vocab) return bad_id(s, data->vocab, at + t, id);
            to[t] = (int32_t)id;
        }
        to += here;
        first += here;
        count -= here;
    }
    return YOKE_OK;
}

/* In pieces, each with one id more than it has inputs: the last one's target. */
static yoke_status tokens_read(yoke_data *base, int64_t index, void *input, void *target)
{
    tokens_data *data = (tokens_data *)base;
    int32_t ids[PIECE + 1], *inputs = input, *next = target;
    for (int64_t done = 0; done < data->sequence; done += PIECE) {
        int64_t count = data->sequence - done < PIECE ? data->sequence - done : PIECE;
        YKI_TRY(get_ids(data, index * data->sequence + done, count + 1, ids));
        for (int64_t t = 0; t < count && input; t++) inputs[done + t] = ids[t];
        for (int64_t t = 0; t < count && target; t++) next[done + t] = ids[t + 1];
    }
    return YOKE_OK;
}

/* All ids were found below the vocabulary that the files were opened with. */
static yoke_status tokens_check(yoke_data *base, int64_t inputs, int64_t targets)
{
    tokens_data *data = (tokens_data *)base;
    int64_t limit = targets > 0 && targets < inputs ? targets : inputs;
    return limit >= data->vocab ? YOKE_OK
                                : yki_file_fail(&data->files.items[0],
                                                "has a vocabulary of %lld, and the model knows 0 .. %lld",
                                                (long long)data->vocab, (long long)limit - 1);
}

static void tokens_release(yoke_data *base)
{
    tokens_data *data = (tokens_data *)base;
    yki_files_release(&data->files);
    free(data->shards);
    free(data->starts);
}

static const yki_data_ops tokens_ops = {
    .read = tokens_read, .check = tokens_check, .release = tokens_release};

/* A bare file of numbers twice as wide as it is read: their upper halves, every second number here, are 0,
 * and not all of the others are. */
static yoke_status too_narrow(const shard *s, bool lower, bool upper)
{
    if (!s->bare || upper || !lower || s->count % 2 != 0 || s->count < 2 * SEEN_ENOUGH) return YOKE_OK;
    bool wide = s->id_bytes == 2;
    return yki_file_fail(
        s->file, "is read as %d bytes a token, and every second number is 0: its tokens look like %s; %s",
        s->id_bytes, wide ? "uint32" : "int64",
        wide ? "data.token_bytes: 4 reads them so" : "save them as uint32: ids.astype('<u4').tofile(...)");
}

/* All ids: below the vocabulary, and of the width they are read with. */
static yoke_status check_ids(const shard *s, int64_t vocab)
{
    unsigned char bytes[4 * PIECE];
    bool lower = false, upper = false;
    int64_t bad = -1;
    uint32_t bad_is = 0;
    for (int64_t done = 0; done < s->count; done += PIECE) {
        int64_t count = s->count - done < PIECE ? s->count - done : PIECE;
        uint32_t most = 0;
        YKI_TRY(read_ids(s, done, count, bytes));
        for (int64_t i = 0; i + 1 < count; i += 2) { /* a piece begins at an even place */
            uint32_t first = id_at(s, bytes, i), second = id_at(s, bytes, i + 1);
            lower |= first != 0;
            upper |= second != 0;
            most = first > most ? first : most;
            most = second > most ? second : most;
        }
        uint32_t last = count > 0 ? id_at(s, bytes, count - 1) : 0;
        most = last > most ? last : most;
        for (int64_t i = 0; (int64_t)most >= vocab && bad < 0 && i < count; i++)
            if ((int64_t)(bad_is = id_at(s, bytes, i)) >= vocab) bad = done + i;
        if (bad >= 0 && upper) break;
    }
    YKI_TRY(too_narrow(s, lower, upper));
    return bad < 0 ? YOKE_OK : bad_id(s, vocab, bad, bad_is);
}

/* Sets ids, id_bytes and count of a file with the header of kinds[kind]. width: said beside it. */
static yoke_status read_header(shard *s, size_t kind, yoke_token_type width)
{
    const yki_file *file = s->file;
    if (kinds[kind].id_bytes == 0)
        return yki_file_fail(file, "is %s of llm.c (magic %lu), no file of tokens to train on",
                             kinds[kind].name, (unsigned long)kinds[kind].magic);
    if (file->size < HEADER_BYTES)
        return yki_file_fail(file, "is cut off: the header of llm.c has %d bytes, the file %lld",
                             HEADER_BYTES, (long long)file->size);
    uint32_t version = yki_le32(file->head + 4);
    if (version != kinds[kind].version)
        return yki_file_fail(file, "is of version %lu of llm.c's %s; version %lu is known",
                             (unsigned long)version, kinds[kind].name, (unsigned long)kinds[kind].version);
    uint32_t count = yki_le32(file->head + 8);
    if (count > INT32_MAX)
        return yki_file_fail(file, "has a header that counts %ld tokens", (long)(int32_t)count);
    int64_t expected = HEADER_BYTES + (int64_t)count * kinds[kind].id_bytes;
    if (file->size != expected)
        return yki_file_fail(
            file, "has %lld bytes; its header counts %lu tokens of %d bytes, which makes %lld: it is %s",
            (long long)file->size, (unsigned long)count, kinds[kind].id_bytes, (long long)expected,
            file->size < expected ? "cut off" : "too long");
    int said = width == YOKE_TOKENS_UINT16 ? 2 : width == YOKE_TOKENS_UINT32 ? 4 : kinds[kind].id_bytes;
    if (said != kinds[kind].id_bytes)
        return yki_file_fail(file,
                             "has a header by which its tokens have %d bytes, and data.token_bytes says %d: "
                             "that is for files without a header; leave it out",
                             kinds[kind].id_bytes, said);
    s->ids = HEADER_BYTES;
    s->id_bytes = kinds[kind].id_bytes;
    s->count = count;
    return YOKE_OK;
}

/* width: of the ids of a bare file. */
static yoke_status find_layout(shard *s, yoke_token_type width, int64_t vocab)
{
    const yki_file *file = s->file;
    uint32_t magic = file->size >= 4 ? yki_le32(file->head) : 0;
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        if (kinds[kind].magic == magic) return read_header(s, kind, width);
    const char *other = yki_file_is(file, true);
    if (other) /* as numbers its bytes might well be ids of the vocabulary */
        return yki_file_fail(file, "has no tokens: it looks like %s", other);
    s->bare = true;
    s->id_bytes = width == YOKE_TOKENS_UINT16   ? 2
                  : width == YOKE_TOKENS_UINT32 ? 4
                  : vocab > NARROW_VOCAB        ? 4
                                                : 2;
    if (file->size % s->id_bytes != 0)
        return yki_file_fail_kind(file, "has %lld bytes and no header of llm.c: bare uint%d tokens make %s%s",
                                  (long long)file->size, 8 * s->id_bytes,
                                  s->id_bytes == 2 ? "an even number" : "a multiple of 4",
                                  width == YOKE_TOKENS_AUTO && s->id_bytes == 4
                                      ? " (a vocabulary above 65536 needs 4 bytes; data.token_bytes: 2 says "
                                        "that these are narrower)"
                                      : "");
    s->count = file->size / s->id_bytes;
    return YOKE_OK;
}

/* What the files hold, and where among all ids. */
static yoke_status open_shards(tokens_data *data, yoke_token_type width)
{
    int n = data->files.count;
    data->shards = calloc((size_t)n, sizeof *data->shards);
    data->starts = calloc((size_t)n + 1, sizeof *data->starts);
    if (!data->shards || !data->starts) return yki_fail_memory("a list of token files");
    for (int i = 0; i < n; i++) {
        data->shards[i].file = &data->files.items[i];
        YKI_TRY(find_layout(&data->shards[i], width, data->vocab));
        data->starts[i + 1] = data->starts[i] + data->shards[i].count;
    }
    return YOKE_OK;
}

static yoke_status tokens_open(tokens_data *data, const yki_data_spec *spec)
{
    data->sequence = spec->sequence;
    data->vocab = spec->vocab;
    if (data->sequence <= 0)
        return yki_fail(YOKE_INVALID, "a sample has %lld tokens; it needs at least 1",
                        (long long)data->sequence);
    if (data->vocab <= 0 || data->vocab > INT32_MAX)
        return yki_fail(YOKE_INVALID, "a vocabulary of %lld is not possible; 1 to %ld ids are",
                        (long long)data->vocab, (long)INT32_MAX);
    YKI_TRY(yki_files_open(&data->files, spec->npaths, spec->paths));
    data->base.input_file = data->base.target_file = data->files.items[0].path;
    data->base.list = &data->files;
    data->base.tokens = true;
    YKI_TRY(open_shards(data, spec->token_type));
    if (data->starts[data->files.count] <= data->sequence)
        return yki_file_fail_kind(&data->files.items[0],
                                  "has %lld tokens; one sample of %lld needs one more than its length",
                                  (long long)data->starts[data->files.count], (long long)data->sequence);
    YKI_TRY(yki_files_hold(&data->files));
    for (int i = 0; i < data->files.count; i++) YKI_TRY(check_ids(&data->shards[i], data->vocab));
    return YOKE_OK;
}

yoke_status yki_data_from_tokens(yoke_data **data_out, const yki_data_spec *spec)
{
    tokens_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &tokens_ops));
    yoke_status status = tokens_open(data, spec);
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    yoke_row row = {.type = YOKE_I32, .ndim = 1, .dims = {data->sequence}};
    return yki_data_finish(&data->base, (data->starts[data->files.count] - 1) / data->sequence, &row, &row,
                           data_out);
}

yoke_status yoke_data_from_tokens(yoke_data **data_out, const char *path, int64_t sequence, int64_t vocab)
{
    YKI_NEED(data_out, path);
    const yki_data_spec spec = {
        .npaths = 1, .paths = &path, .sequence = sequence, .vocab = vocab, .token_type = YOKE_TOKENS_AUTO};
    return yki_data_from_tokens(data_out, &spec);
}
