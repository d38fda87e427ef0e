/* Token files: llm.c's (a header of 256 int32: magic, version, count; then uint16 or uint32 ids) and
 * nanoGPT's (bare ids). A bare file does not say how wide its ids are: `width` does, or else the vocabulary,
 * since ids of more than 65536 need uint32; and what is not of that width is refused where it shows. Never
 * read into memory as a whole. Every id is below the vocabulary: the file is checked when it is opened, as
 * fast as it can be read, and each sample again. Format: ecosystem of llm.c, dev/data/data_common.py;
 * nanoGPT, data/openwebtext/prepare.py. */
#include <stdio.h>

#include "base/fail.h"
#include "data/data.h"
#include "data/file.h"

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

typedef struct tokens_data {
    yoke_data base;
    yki_file file;
    int64_t ids; /* where they begin */
    int64_t count, sequence, vocab;
    int id_bytes;
    bool bare;
} tokens_data;

static inline uint32_t id_at(const tokens_data *data, const unsigned char *ids, int64_t i)
{
    return data->id_bytes == 2 ? yki_le16(ids + 2 * i) : yki_le32(ids + 4 * i);
}

static yoke_status read_ids(const tokens_data *data, int64_t first, int64_t count, unsigned char *to)
{
    return yki_file_read(&data->file, data->ids + first * data->id_bytes, to, count * data->id_bytes);
}

static yoke_status bad_id(const tokens_data *data, int64_t position, uint32_t id)
{
    char bare[160] = "";
    if (data->bare)
        snprintf(bare, sizeof bare,
                 " (a file without a header is read as uint%d%s; data.token_type says another)",
                 8 * data->id_bytes, data->id_bytes == 2 ? "" : " where the vocabulary is larger than 65536");
    return yki_file_fail(
        &data->file, "token %lld (counted from 0) is %lu; the vocabulary of %lld has ids 0 to %lld%s",
        (long long)position, (unsigned long)id, (long long)data->vocab, (long long)data->vocab - 1, bare);
}

/* In pieces, each with one id more than it has inputs: the last one's target. */
static yoke_status tokens_read(yoke_data *base, int64_t index, void *input, void *target)
{
    tokens_data *data = (tokens_data *)base;
    unsigned char bytes[4 * (PIECE + 1)];
    int32_t *ids = input, *next = target;
    for (int64_t done = 0; done < data->sequence; done += PIECE) {
        int64_t count = data->sequence - done < PIECE ? data->sequence - done : PIECE;
        int64_t first = index * data->sequence + done;
        YKI_TRY(read_ids(data, first, count + 1, bytes));
        for (int64_t t = 0; t <= count; t++)
            if ((int64_t)id_at(data, bytes, t) >= data->vocab)
                return bad_id(data, first + t, id_at(data, bytes, t));
        for (int64_t t = 0; t < count && input; t++) ids[done + t] = (int32_t)id_at(data, bytes, t);
        for (int64_t t = 0; t < count && target; t++) next[done + t] = (int32_t)id_at(data, bytes, t + 1);
    }
    return YOKE_OK;
}

/* All ids were found below the vocabulary that the file was opened with. */
static yoke_status tokens_check(yoke_data *base, int64_t inputs, int64_t targets)
{
    tokens_data *data = (tokens_data *)base;
    int64_t limit = targets > 0 && targets < inputs ? targets : inputs;
    return limit >= data->vocab
               ? YOKE_OK
               : yki_file_fail(&data->file, "has a vocabulary of %lld, and the model knows 0 .. %lld",
                               (long long)data->vocab, (long long)limit - 1);
}

static void tokens_release(yoke_data *base)
{
    yki_file_release(&((tokens_data *)base)->file);
}

static const yki_data_ops tokens_ops = {
    .read = tokens_read, .check = tokens_check, .release = tokens_release};

/* A bare file of numbers twice as wide as it is read: their upper halves, every second number here, are 0,
 * and not all of the others are. */
static yoke_status too_narrow(const tokens_data *data, bool lower, bool upper)
{
    if (!data->bare || upper || !lower || data->count % 2 != 0 || data->count < 2 * SEEN_ENOUGH)
        return YOKE_OK;
    bool wide = data->id_bytes == 2;
    return yki_file_fail(&data->file,
                         "is read as uint%d, and every second number is 0: its tokens look like %s; %s",
                         8 * data->id_bytes, wide ? "uint32" : "int64",
                         wide ? "data.token_type: uint32 reads them so (uint16: as they are)"
                              : "save them as uint32: ids.astype('<u4').tofile(...)");
}

/* All ids: below the vocabulary, and of the width they are read with (unless that was `said`; ids of 64 bits
 * are none in any case). */
static yoke_status check_ids(const tokens_data *data, bool said)
{
    unsigned char bytes[4 * PIECE];
    bool lower = false, upper = false;
    int64_t bad = -1;
    uint32_t bad_is = 0;
    for (int64_t done = 0; done < data->count; done += PIECE) {
        int64_t count = data->count - done < PIECE ? data->count - done : PIECE;
        uint32_t most = 0;
        YKI_TRY(read_ids(data, done, count, bytes));
        for (int64_t i = 0; i + 1 < count; i += 2) { /* a piece begins at an even place */
            uint32_t first = id_at(data, bytes, i), second = id_at(data, bytes, i + 1);
            lower |= first != 0;
            upper |= second != 0;
            most = first > most ? first : most;
            most = second > most ? second : most;
        }
        uint32_t last = id_at(data, bytes, count - 1);
        most = last > most ? last : most;
        for (int64_t i = 0; (int64_t)most >= data->vocab && bad < 0 && i < count; i++)
            if ((int64_t)(bad_is = id_at(data, bytes, i)) >= data->vocab) bad = done + i;
        if (bad >= 0 && upper) break;
    }
    if (!said || data->id_bytes == 4) YKI_TRY(too_narrow(data, lower, upper));
    return bad < 0 ? YOKE_OK : bad_id(data, bad, bad_is);
}

/* Sets ids, id_bytes and count of a file with the header of kinds[kind]. width: said beside it. */
static yoke_status read_header(tokens_data *data, size_t kind, yoke_token_type width)
{
    const yki_file *file = &data->file;
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
                             "has a header by which its ids are uint%d, and data.token_type says uint%d: "
                             "that is for files without a header; leave it out",
                             8 * kinds[kind].id_bytes, 8 * said);
    data->ids = HEADER_BYTES;
    data->id_bytes = kinds[kind].id_bytes;
    data->count = count;
    return YOKE_OK;
}

/* width: of the ids of a bare file. */
static yoke_status find_layout(tokens_data *data, yoke_token_type width)
{
    const yki_file *file = &data->file;
    uint32_t magic = file->size >= 4 ? yki_le32(file->head) : 0;
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        if (kinds[kind].magic == magic) return read_header(data, kind, width);
    const char *other = yki_file_is(file, true);
    if (other) /* as numbers its bytes might well be ids of the vocabulary */
        return yki_file_fail(file, "has no tokens: it looks like %s", other);
    data->bare = true;
    data->id_bytes = width == YOKE_TOKENS_UINT16   ? 2
                     : width == YOKE_TOKENS_UINT32 ? 4
                     : data->vocab > NARROW_VOCAB  ? 4
                                                   : 2;
    if (file->size % data->id_bytes != 0)
        return yki_file_fail_kind(file, "has %lld bytes and no header of llm.c: bare uint%d tokens make %s%s",
                                  (long long)file->size, 8 * data->id_bytes,
                                  data->id_bytes == 2 ? "an even number" : "a multiple of 4",
                                  width == YOKE_TOKENS_AUTO && data->id_bytes == 4
                                      ? " (a vocabulary above 65536 needs uint32; data.token_type: uint16 "
                                        "says that these are narrower)"
                                      : "");
    data->count = file->size / data->id_bytes;
    return YOKE_OK;
}

static yoke_status tokens_open(tokens_data *data, const char *path, int64_t sequence, int64_t vocab,
                               yoke_token_type width)
{
    if (sequence <= 0)
        return yki_fail(YOKE_INVALID, "a sample has %lld tokens; it needs at least 1", (long long)sequence);
    if (vocab <= 0 || vocab > INT32_MAX)
        return yki_fail(YOKE_INVALID, "a vocabulary of %lld is not possible; 1 to %ld ids are",
                        (long long)vocab, (long)INT32_MAX);
    data->sequence = sequence;
    data->vocab = vocab;
    YKI_TRY(yki_file_open(&data->file, path));
    data->base.input_file = data->base.target_file = data->file.path;
    data->base.files[0] = &data->file;
    data->base.tokens = true;
    YKI_TRY(find_layout(data, width));
    if (data->count <= sequence)
        return yki_file_fail_kind(&data->file,
                                  "has %lld tokens; one sample of %lld needs one more than its length",
                                  (long long)data->count, (long long)sequence);
    YKI_TRY(yki_file_hold(&data->file));
    return check_ids(data, width != YOKE_TOKENS_AUTO);
}

yoke_status yki_data_from_tokens(yoke_data **data_out, const char *path, int64_t sequence, int64_t vocab,
                                 yoke_token_type width)
{
    tokens_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &tokens_ops));
    yoke_status status = tokens_open(data, path, sequence, vocab, width);
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    yoke_row row = {.type = YOKE_I32, .ndim = 1, .dims = {sequence}};
    return yki_data_finish(&data->base, (data->count - 1) / sequence, &row, &row, data_out);
}

yoke_status yoke_data_from_tokens(yoke_data **data_out, const char *path, int64_t sequence, int64_t vocab)
{
    YKI_NEED(data_out, path);
    return yki_data_from_tokens(data_out, path, sequence, vocab, YOKE_TOKENS_AUTO);
}
