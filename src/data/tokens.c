/* Token files: llm.c's (a header of 256 int32: magic, version, count; then uint16 or uint32 ids) and
 * nanoGPT's (bare uint16). Mapped, never read into memory as a whole. Every id that leaves this file is below
 * the vocabulary: files under 64 MiB are scanned when they are opened, so that a bad one stops the run before
 * step 1; of larger ones each sample is checked when it is read. Format: ecosystem of llm.c,
 * dev/data/data_common.py; nanoGPT, data/openwebtext/prepare.py. */
#include "data/data.h"
#include "data/file.h"

enum { HEADER_BYTES = 1024, SCAN_BELOW_BYTES = 64 << 20, NANOGPT_ID_BYTES = 2 };

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
    yki_map map;
    const unsigned char *ids;
    int64_t count, sequence, vocab;
    int id_bytes;
    bool checked;
} tokens_data;

static inline uint32_t id_at(const tokens_data *data, int64_t position)
{
    return data->id_bytes == 2 ? yki_le16(data->ids + 2 * position) : yki_le32(data->ids + 4 * position);
}

static yoke_status check_ids(const tokens_data *data, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        uint32_t id = id_at(data, i);
        if ((int64_t)id >= data->vocab)
            return yki_map_fail(
                &data->map, "token %lld (counted from 0) is %lu; the vocabulary of %lld has ids 0 to %lld%s",
                (long long)i, (unsigned long)id, (long long)data->vocab, (long long)data->vocab - 1,
                data->ids == data->map.bytes ? " (a file without a header is read as uint16)" : "");
    }
    return YOKE_OK;
}

static yoke_status tokens_read(yoke_data *base, int64_t index, void *input, void *target)
{
    tokens_data *data = (tokens_data *)base;
    int64_t begin = index * data->sequence;
    if (!data->checked) YKI_TRY(check_ids(data, begin, begin + data->sequence + 1));
    int32_t *ids = input, *next = target;
    for (int64_t t = 0; t < data->sequence; t++) {
        ids[t] = (int32_t)id_at(data, begin + t);
        next[t] = (int32_t)id_at(data, begin + t + 1);
    }
    return YOKE_OK;
}

static void tokens_release(yoke_data *base)
{
    yki_map_release(&((tokens_data *)base)->map);
}

static const yki_data_ops tokens_ops = {.read = tokens_read, .release = tokens_release};

/* Sets ids, id_bytes and count of a file with the header of kinds[kind]. */
static yoke_status read_header(tokens_data *data, size_t kind)
{
    const yki_map *map = &data->map;
    if (kinds[kind].id_bytes == 0)
        return yki_map_fail(map, "is %s of llm.c (magic %lu), no file of tokens to train on",
                            kinds[kind].name, (unsigned long)kinds[kind].magic);
    if (map->size < HEADER_BYTES)
        return yki_map_fail(map, "is cut off: the header of llm.c has %d bytes, the file %lld", HEADER_BYTES,
                            (long long)map->size);
    uint32_t version = yki_le32(map->bytes + 4);
    if (version != kinds[kind].version)
        return yki_map_fail(map, "is of version %lu of llm.c's %s; version %lu is known",
                            (unsigned long)version, kinds[kind].name, (unsigned long)kinds[kind].version);
    uint32_t count = yki_le32(map->bytes + 8);
    if (count > INT32_MAX)
        return yki_map_fail(map, "has a header that counts %ld tokens", (long)(int32_t)count);
    int64_t expected = HEADER_BYTES + (int64_t)count * kinds[kind].id_bytes;
    if (map->size != expected)
        return yki_map_fail(
            map, "has %lld bytes; its header counts %lu tokens of %d bytes, which makes %lld: it is %s",
            (long long)map->size, (unsigned long)count, kinds[kind].id_bytes, (long long)expected,
            map->size < expected ? "cut off" : "too long");
    data->ids = map->bytes + HEADER_BYTES;
    data->id_bytes = kinds[kind].id_bytes;
    data->count = count;
    return YOKE_OK;
}

static yoke_status find_layout(tokens_data *data)
{
    const yki_map *map = &data->map;
    uint32_t magic = map->size >= 4 ? yki_le32(map->bytes) : 0;
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        if (kinds[kind].magic == magic) return read_header(data, kind);
    const char *other = yki_map_kind(map, true);
    if (other) /* as numbers its bytes might well be ids of the vocabulary */
        return yki_map_fail(map, "has no tokens: it looks like %s", other);
    if (map->size % NANOGPT_ID_BYTES != 0)
        return yki_map_fail_kind(
            map, "has %lld bytes and no header of llm.c: bare uint16 tokens make an even number",
            (long long)map->size);
    data->ids = map->bytes;
    data->id_bytes = NANOGPT_ID_BYTES;
    data->count = map->size / NANOGPT_ID_BYTES;
    return YOKE_OK;
}

static yoke_status tokens_open(tokens_data *data, const char *path, int64_t sequence, int64_t vocab)
{
    if (sequence <= 0)
        return yki_fail(YOKE_INVALID, "a sample has %lld tokens; it needs at least 1", (long long)sequence);
    if (vocab <= 0 || vocab > INT32_MAX)
        return yki_fail(YOKE_INVALID, "a vocabulary of %lld is not possible; 1 to %ld ids are",
                        (long long)vocab, (long)INT32_MAX);
    data->sequence = sequence;
    data->vocab = vocab;
    YKI_TRY(yki_map_open(&data->map, path));
    YKI_TRY(find_layout(data));
    if (data->count <= sequence)
        return yki_map_fail_kind(&data->map,
                                 "has %lld tokens; one sample of %lld needs one more than its length",
                                 (long long)data->count, (long long)sequence);
    data->checked = data->map.size < SCAN_BELOW_BYTES || (data->id_bytes == 2 && vocab > UINT16_MAX);
    if (data->checked) YKI_TRY(check_ids(data, 0, data->count));
    return YOKE_OK;
}

yoke_status yoke_data_from_tokens(yoke_data **data_out, const char *path, int64_t sequence, int64_t vocab)
{
    tokens_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &tokens_ops));
    yoke_status status = tokens_open(data, path, sequence, vocab);
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    yoke_row row = {.type = YOKE_I32, .ndim = 1, .dims = {sequence}};
    return yki_data_finish(&data->base, (data->count - 1) / sequence, &row, &row, data_out);
}
