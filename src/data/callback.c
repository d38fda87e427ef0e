/* Samples from the caller's function. */
#include "base/fail.h"
#include "data/data.h"

typedef struct callback_data {
    yoke_data base;
    yoke_data_read read;
    void *context;
} callback_data;

static yoke_status callback_read(yoke_data *base, int64_t index, void *input, void *target)
{
    callback_data *data = (callback_data *)base;
    if (!input || !target)
        return yki_fail(YOKE_INVALID,
                        "the caller's function writes inputs and targets: room for both is needed");
    yoke_status status = data->read(data->context, index, input, target);
    if (status == YOKE_OK) return YOKE_OK;
    /* The caller has no way to write the record, and what is in it may be of any earlier failure. */
    return yki_fail(status, "the caller's function failed to read sample %lld: %s", (long long)index,
                    yoke_status_name(status));
}

/* What the function will write is seen when it is asked. */
static yoke_status callback_check(yoke_data *base, int64_t inputs, int64_t targets)
{
    (void)base, (void)inputs, (void)targets;
    return YOKE_OK;
}

static const yki_data_ops callback_ops = {.read = callback_read, .check = callback_check};

bool yki_data_is_called(const yoke_data *data)
{
    return data->ops == &callback_ops;
}

yoke_status yoke_data_from_callback(yoke_data **data_out, int64_t samples, const yoke_row *input,
                                    const yoke_row *target, yoke_data_read read, void *context)
{
    YKI_NEED(data_out, input, target);
    if (!read) return yki_fail(YOKE_INVALID, "yoke_data_from_callback: read is NULL");
    callback_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &callback_ops));
    data->read = read;
    data->context = context;
    return yki_data_finish(&data->base, samples, input, target, data_out);
}
