/* Text as a tokenizer's tokens: encoded as a whole when it is opened, all files as one, so that a token never
 * ends where a sample or a file does, and kept as i32, four bytes a token. */
#include <stdlib.h>

#include "base/fail.h"
#include "data/data.h"
#include "data/files.h"

typedef struct tokenized_data {
    yoke_data base;
    int32_t *ids;
    int64_t count, sequence;
} tokenized_data;

static yoke_status tokenized_read(yoke_data *base, int64_t index, void *input, void *target)
{
    tokenized_data *data = (tokenized_data *)base;
    const int32_t *from = data->ids + index * data->sequence;
    int32_t *ids = input, *next = target;
    for (int64_t t = 0; t < data->sequence; t++) {
        if (input) ids[t] = from[t];
        if (target) next[t] = from[t + 1];
    }
    return YOKE_OK;
}

static void tokenized_release(yoke_data *base)
{
    free(((tokenized_data *)base)->ids);
}

static const yki_data_ops tokenized_ops = {.read = tokenized_read, .release = tokenized_release};

static yoke_status encode_files(tokenized_data *data, const yki_files *files, const yoke_tokenizer *tokenizer)
{
    unsigned char *bytes;
    YKI_TRY(yki_text_kind(&data->base, files));
    YKI_TRY(yki_files_load(files, &bytes));
    yoke_status status = yoke_tokenizer_encode(tokenizer, (const char *)bytes, (size_t)yki_files_bytes(files),
                                               &data->ids, &data->count);
    free(bytes);
    if (status != YOKE_OK || data->sequence < data->count) return status;
    return yki_file_fail(&files->items[0],
                         "has %lld tokens; one sample of %lld tokens needs one more than its length",
                         (long long)data->count, (long long)data->sequence);
}

yoke_status yki_data_from_tokenized(yoke_data **data_out, const yki_data_spec *spec)
{
    if (spec->sequence <= 0)
        return yki_fail(YOKE_INVALID, "a sample of text has %lld tokens; it needs at least 1",
                        (long long)spec->sequence);
    tokenized_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &tokenized_ops));
    data->sequence = spec->sequence;
    yki_files files = {0};
    yoke_status status = yki_files_open(&files, spec->npaths, spec->paths);
    if (status == YOKE_OK) status = encode_files(data, &files, spec->tokenizer);
    yki_files_release(&files);
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    yoke_row row = {.type = YOKE_I32, .ndim = 1, .dims = {data->sequence}};
    return yki_data_finish(&data->base, (data->count - 1) / data->sequence, &row, &row, data_out);
}

yoke_status yoke_data_from_tokenized(yoke_data **data_out, const char *path, int64_t sequence,
                                     const yoke_tokenizer *tokenizer)
{
    YKI_NEED(data_out, path, tokenizer);
    const yki_data_spec spec = {.npaths = 1, .paths = &path, .sequence = sequence, .tokenizer = tokenizer};
    return yki_data_from_tokenized(data_out, &spec);
}
