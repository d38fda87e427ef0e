/* A fixed synthetic set, to measure with. Element e of sample i is a function of seed, i and e alone. */
#include "base/fail.h"
#include "base/rng.h"
#include "data/data.h"

typedef struct random_data {
    yoke_data base;
    uint64_t input_key, target_key;
    int64_t input_limit, target_limit;
} random_data;

static void fill(const yoke_row *row, int64_t elements, int64_t limit, uint64_t key, int64_t index, void *to)
{
    uint64_t first = (uint64_t)index * (uint64_t)elements;
    if (row->type == YOKE_F32) {
        float *floats = to;
        for (int64_t i = 0; i < elements; i++)
            floats[i] = 2.0f * yki_rng_uniformf(key, first + (uint64_t)i) - 1.0f;
    } else {
        int32_t *integers = to;
        for (int64_t i = 0; i < elements; i++)
            integers[i] = (int32_t)yki_rng_below(key, first + (uint64_t)i, (uint64_t)limit);
    }
}

static yoke_status random_read(yoke_data *base, int64_t index, void *input, void *target)
{
    random_data *data = (random_data *)base;
    if (input)
        fill(&base->native_input, base->input_elements, data->input_limit, data->input_key, index, input);
    if (target)
        fill(&base->native_target, base->target_elements, data->target_limit, data->target_key, index,
             target);
    return YOKE_OK;
}

static yoke_status random_check(yoke_data *base, int64_t inputs, int64_t targets)
{
    random_data *data = (random_data *)base;
    if ((inputs > 0 && data->input_limit > inputs) || (targets > 0 && data->target_limit > targets))
        return yki_fail(
            YOKE_INVALID,
            "random ids below %lld and classes below %lld are more than the model knows, %lld and %lld",
            (long long)data->input_limit, (long long)data->target_limit, (long long)inputs,
            (long long)targets);
    return YOKE_OK;
}

static const yki_data_ops random_ops = {.read = random_read, .check = random_check};

static yoke_status check_limit(const yoke_row *row, int64_t limit, const char *what)
{
    if (row->type == YOKE_I32 && (limit <= 0 || limit > INT32_MAX))
        return yki_fail(YOKE_INVALID, "random %s numbers below %lld are not possible; 1 to %ld is the range",
                        what, (long long)limit, (long)INT32_MAX);
    return YOKE_OK;
}

yoke_status yoke_data_random(yoke_data **data_out, int64_t samples, const yoke_row *input,
                             int64_t input_limit, const yoke_row *target, int64_t target_limit, uint64_t seed)
{
    YKI_NEED(data_out, input, target);
    YKI_TRY(check_limit(input, input_limit, "input"));
    YKI_TRY(check_limit(target, target_limit, "target"));
    random_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &random_ops));
    data->input_key = yki_rng_key(seed, "data.input", 0);
    data->target_key = yki_rng_key(seed, "data.target", 0);
    data->base.made_up = true;
    data->input_limit = input_limit;
    data->target_limit = target_limit;
    return yki_data_finish(&data->base, samples, input, target, data_out);
}
