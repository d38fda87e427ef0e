/* Text as bytes: ids 0..255, whatever the encoding, read as samples need them; of several files as one. */
#include "base/fail.h"
#include "data/data.h"
#include "data/files.h"

enum { PIECE = 1 << 14 };

typedef struct text_data {
    yoke_data base;
    yki_files files;
    int64_t sequence;
} text_data;

yoke_status yki_text_kind(yoke_data *data, const yki_files *files)
{
    data->tokens = true;
    for (int i = 0; i < files->count; i++) {
        const char *kind = yki_file_is_no_text(&files->items[i]);
        if (kind)
            YKI_TRY(yki_data_note(data, "%s looks like %s: it is read as plain text, every byte of it",
                                  files->items[i].path, kind));
    }
    return YOKE_OK;
}

/* In pieces, each with one byte more than it has inputs: the last one's target. */
static yoke_status text_read(yoke_data *base, int64_t index, void *input, void *target)
{
    text_data *data = (text_data *)base;
    unsigned char bytes[PIECE + 1];
    int32_t *ids = input, *next = target;
    for (int64_t done = 0; done < data->sequence; done += PIECE) {
        int64_t count = data->sequence - done < PIECE ? data->sequence - done : PIECE;
        YKI_TRY(yki_files_read(&data->files, index * data->sequence + done, bytes, count + 1));
        for (int64_t t = 0; t < count && input; t++) ids[done + t] = bytes[t];
        for (int64_t t = 0; t < count && target; t++) next[done + t] = bytes[t + 1];
    }
    return YOKE_OK;
}

/* Bytes are below 256: only a smaller model makes looking at them necessary. */
static yoke_status text_check(yoke_data *base, int64_t inputs, int64_t targets)
{
    text_data *data = (text_data *)base;
    int64_t limit = targets > 0 && targets < inputs ? targets : inputs;
    int64_t size = yki_files_bytes(&data->files);
    unsigned char bytes[PIECE];
    for (int64_t done = 0; limit < 256 && done < size; done += PIECE) {
        int64_t count = size - done < PIECE ? size - done : PIECE;
        YKI_TRY(yki_files_read(&data->files, done, bytes, count));
        for (int64_t i = 0; i < count; i++) {
            if (bytes[i] < limit) continue;
            int f = yki_files_find(data->files.starts, data->files.count, done + i);
            return yki_file_fail(&data->files.items[f], "byte %lld is %d, and the model knows 0 .. %lld",
                                 (long long)(done + i - data->files.starts[f]), bytes[i],
                                 (long long)limit - 1);
        }
    }
    return YOKE_OK;
}

static void text_release(yoke_data *base)
{
    yki_files_release(&((text_data *)base)->files);
}

static const yki_data_ops text_ops = {.read = text_read, .check = text_check, .release = text_release};

static yoke_status text_open(text_data *data, const yki_data_spec *spec)
{
    data->sequence = spec->sequence;
    if (data->sequence <= 0)
        return yki_fail(YOKE_INVALID, "a sample of text has %lld tokens; it needs at least 1",
                        (long long)data->sequence);
    YKI_TRY(yki_files_open(&data->files, spec->npaths, spec->paths));
    if (data->sequence >= yki_files_bytes(&data->files))
        return yki_file_fail(&data->files.items[0],
                             "has %lld bytes; one sample of %lld tokens needs one more than its length",
                             (long long)yki_files_bytes(&data->files), (long long)data->sequence);
    data->base.input_file = data->base.target_file = data->files.items[0].path;
    data->base.list = &data->files;
    YKI_TRY(yki_files_hold(&data->files));
    return yki_text_kind(&data->base, &data->files);
}

yoke_status yki_data_from_text(yoke_data **data_out, const yki_data_spec *spec)
{
    text_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &text_ops));
    yoke_status status = text_open(data, spec);
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    yoke_row row = {.type = YOKE_I32, .ndim = 1, .dims = {data->sequence}};
    return yki_data_finish(&data->base, (yki_files_bytes(&data->files) - 1) / data->sequence, &row, &row,
                           data_out);
}

yoke_status yoke_data_from_text(yoke_data **data_out, const char *path, int64_t sequence)
{
    YKI_NEED(data_out, path);
    const yki_data_spec spec = {.npaths = 1, .paths = &path, .sequence = sequence};
    return yki_data_from_text(data_out, &spec);
}
