/* Text as bytes: ids 0..255, whatever the encoding. The file stays mapped. */
#include "data/data.h"
#include "data/file.h"

typedef struct text_data {
    yoke_data base;
    yki_map map;
    int64_t sequence;
} text_data;

static yoke_status text_read(yoke_data *base, int64_t index, void *input, void *target)
{
    text_data *data = (text_data *)base;
    const unsigned char *from = data->map.bytes + index * data->sequence;
    int32_t *ids = input, *next = target;
    for (int64_t t = 0; t < data->sequence; t++) {
        ids[t] = from[t];
        next[t] = from[t + 1];
    }
    return YOKE_OK;
}

static void text_release(yoke_data *base)
{
    yki_map_release(&((text_data *)base)->map);
}

static const yki_data_ops text_ops = {.read = text_read, .release = text_release};

static yoke_status text_open(text_data *data, const char *path, int64_t sequence)
{
    if (sequence <= 0)
        return yki_fail(YOKE_INVALID, "a sample of text has %lld tokens; it needs at least 1",
                        (long long)sequence);
    YKI_TRY(yki_map_open(&data->map, path));
    if (sequence >= data->map.size)
        return yki_map_fail(&data->map,
                            "has %lld bytes; one sample of %lld tokens needs one more than its length",
                            (long long)data->map.size, (long long)sequence);
    data->sequence = sequence;
    return YOKE_OK;
}

yoke_status yoke_data_from_text(yoke_data **data_out, const char *path, int64_t sequence)
{
    text_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &text_ops));
    yoke_status status = text_open(data, path, sequence);
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    yoke_row row = {.type = YOKE_I32, .ndim = 1, .dims = {sequence}};
    return yki_data_finish(&data->base, (data->map.size - 1) / sequence, &row, &row, data_out);
}
