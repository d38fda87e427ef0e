/* Samples in the caller's memory, borrowed. Their values are the caller's business. */
#include <string.h>

#include "base/fail.h"
#include "data/data.h"

typedef struct memory_data {
    yoke_data base;
    const unsigned char *inputs, *targets;
} memory_data;

static yoke_status memory_read(yoke_data *base, int64_t index, void *input, void *target)
{
    memory_data *data = (memory_data *)base;
    size_t input_bytes = 4 * (size_t)base->input_elements, target_bytes = 4 * (size_t)base->target_elements;
    if (input) memcpy(input, data->inputs + (size_t)index * input_bytes, input_bytes);
    if (target) memcpy(target, data->targets + (size_t)index * target_bytes, target_bytes);
    return YOKE_OK;
}

static const yki_data_ops memory_ops = {.read = memory_read};

static yoke_status check_array(int64_t samples, const yoke_row *row, const void *values, const char *what)
{
    int64_t elements, bytes;
    YKI_TRY(yki_row_check(row, what, &elements));
    if (!values) return yki_fail(YOKE_INVALID, "the array of %ss is NULL", what);
    if (__builtin_mul_overflow(elements * 4, samples, &bytes) || (uint64_t)bytes > (uint64_t)(SIZE_MAX / 2))
        return yki_fail(YOKE_INVALID, "%lld samples of that %s are larger than memory can be",
                        (long long)samples, what);
    return YOKE_OK;
}

yoke_status yoke_data_from_memory(yoke_data **data_out, int64_t samples, const yoke_row *input,
                                  const void *inputs, const yoke_row *target, const void *targets)
{
    YKI_NEED(data_out, input, inputs, target, targets);
    YKI_TRY(check_array(samples, input, inputs, "input"));
    YKI_TRY(check_array(samples, target, targets, "target"));
    memory_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &memory_ops));
    data->inputs = inputs;
    data->targets = targets;
    return yki_data_finish(&data->base, samples, input, target, data_out);
}
