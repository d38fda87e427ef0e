/* Text as bytes: ids 0..255, whatever the encoding, read as samples need them. */
#include "base/fail.h"
#include "data/data.h"
#include "data/file.h"

enum { PIECE = 1 << 14 };

typedef struct text_data {
    yoke_data base;
    yki_file file;
    int64_t sequence;
} text_data;

yoke_status yki_text_kind(yoke_data *data, const yki_file *file)
{
    const char *kind = yki_file_is_no_text(file);
    data->tokens = true;
    return kind ? yki_data_note(data, "%s looks like %s: it is read as plain text, every byte of it",
                                file->path, kind)
                : YOKE_OK;
}

/* In pieces, each with one byte more than it has inputs: the last one's target. */
static yoke_status text_read(yoke_data *base, int64_t index, void *input, void *target)
{
    text_data *data = (text_data *)base;
    unsigned char bytes[PIECE + 1];
    int32_t *ids = input, *next = target;
    for (int64_t done = 0; done < data->sequence; done += PIECE) {
        int64_t count = data->sequence - done < PIECE ? data->sequence - done : PIECE;
        YKI_TRY(yki_file_read(&data->file, index * data->sequence + done, bytes, count + 1));
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
    unsigned char bytes[PIECE];
    for (int64_t done = 0; limit < 256 && done < data->file.size; done += PIECE) {
        int64_t count = data->file.size - done < PIECE ? data->file.size - done : PIECE;
        YKI_TRY(yki_file_read(&data->file, done, bytes, count));
        for (int64_t i = 0; i < count; i++)
            if (bytes[i] >= limit)
                return yki_file_fail(&data->file, "byte %lld is %d, and the model knows 0 .. %lld",
                                     (long long)(done + i), bytes[i], (long long)limit - 1);
    }
    return YOKE_OK;
}

static void text_release(yoke_data *base)
{
    yki_file_release(&((text_data *)base)->file);
}

static const yki_data_ops text_ops = {.read = text_read, .check = text_check, .release = text_release};

static yoke_status text_open(text_data *data, const char *path, int64_t sequence)
{
    if (sequence <= 0)
        return yki_fail(YOKE_INVALID, "a sample of text has %lld tokens; it needs at least 1",
                        (long long)sequence);
    YKI_TRY(yki_file_open(&data->file, path));
    if (sequence >= data->file.size)
        return yki_file_fail(&data->file,
                             "has %lld bytes; one sample of %lld tokens needs one more than its length",
                             (long long)data->file.size, (long long)sequence);
    data->sequence = sequence;
    data->base.input_file = data->base.target_file = data->file.path;
    data->base.files[0] = &data->file;
    YKI_TRY(yki_file_hold(&data->file));
    return yki_text_kind(&data->base, &data->file);
}

yoke_status yoke_data_from_text(yoke_data **data_out, const char *path, int64_t sequence)
{
    YKI_NEED(data_out, path);
    text_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &text_ops));
    yoke_status status = text_open(data, path, sequence);
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    yoke_row row = {.type = YOKE_I32, .ndim = 1, .dims = {sequence}};
    return yki_data_finish(&data->base, (data->file.size - 1) / sequence, &row, &row, data_out);
}
