/* Samples and targets from two .npy files. What a file's elements become is decided by its type and shape
 * alone: inputs [n, T] of integers are token ids (i32), bytes (u1) of pictures, [n, h, w] or more, f32 in
 * 0..1 as IDX images are, all other inputs f32; targets of integers are classes or token ids (i32), all
 * others f32. b1 is a feature among the inputs and a class among the targets. Where the model wants f32 after
 * all, yki_data_view makes i32 so.
 *
 * All values are checked (finite; ids not negative and within 32 bits) when the file is opened, as fast as it
 * can be read, and again when a sample is read. */
#include "base/fail.h"
#include "data/data.h"
#include "data/npy_file.h"

typedef struct npy_data {
    yoke_data base;
    yki_npy inputs, targets;
    bool integer_inputs, integer_targets;
    bool pixels;               /* inputs are bytes of pictures */
    yki_range tokens, classes; /* of integers */
} npy_data;

static yki_npy_as inputs_as(const npy_data *data)
{
    return data->integer_inputs ? YKI_NPY_INTEGER : YKI_NPY_FLOAT;
}

static yki_npy_as targets_as(const npy_data *data)
{
    return data->integer_targets ? YKI_NPY_CLASS : YKI_NPY_FLOAT;
}

static yoke_status npy_read(yoke_data *base, int64_t index, void *input, void *target)
{
    npy_data *data = (npy_data *)base;
    if (input) YKI_TRY(yki_npy_read(&data->inputs, index, inputs_as(data), input));
    float *pixels = data->pixels ? input : NULL;
    for (int64_t i = 0; pixels && i < base->input_elements; i++) pixels[i] /= 255.0f;
    return target ? yki_npy_read(&data->targets, index, targets_as(data), target) : YOKE_OK;
}

static yoke_status npy_read_real(yoke_data *base, int64_t index, double *input)
{
    return yki_npy_read(&((npy_data *)base)->inputs, index, YKI_NPY_REAL, input);
}

static yoke_status npy_check(yoke_data *base, int64_t inputs, int64_t targets)
{
    npy_data *data = (npy_data *)base;
    int64_t at, value;
    if (inputs > 0 && data->integer_inputs && data->tokens.most >= inputs) {
        YKI_TRY(yki_npy_find(&data->inputs, YKI_NPY_INTEGER, inputs, &at, &value));
        return yki_fail_token(base->input_file, at / data->inputs.row_elements, value, inputs);
    }
    if (targets > 0 && data->integer_targets && data->classes.most >= targets) {
        YKI_TRY(yki_npy_find(&data->targets, YKI_NPY_CLASS, targets, &at, &value));
        return yki_fail_class(base->target_file, at / data->targets.row_elements, value, targets,
                              data->classes.least, data->classes.most);
    }
    return YOKE_OK;
}

static void npy_release(yoke_data *base)
{
    npy_data *data = (npy_data *)base;
    yki_npy_release(&data->inputs);
    yki_npy_release(&data->targets);
}

static const yki_data_ops npy_ops = {
    .read = npy_read, .read_real = npy_read_real, .check = npy_check, .release = npy_release};

static yoke_status open_targets(npy_data *data, const char *inputs, const char *targets)
{
    YKI_TRY(yki_npy_open(&data->targets, targets));
    data->base.target_file = data->targets.file.path;
    data->base.files[1] = &data->targets.file;
    YKI_TRY(yki_file_hold(&data->targets.file));
    if (data->inputs.dims[0] != data->targets.dims[0])
        return yki_fail(YOKE_INVALID, "%s has %lld samples but %s has %lld targets", inputs,
                        (long long)data->inputs.dims[0], targets, (long long)data->targets.dims[0]);
    data->integer_targets = data->targets.type->integer;
    return YOKE_OK;
}

/* targets: NULL: inputs alone. */
static yoke_status npy_open(npy_data *data, const char *inputs, const char *targets)
{
    YKI_TRY(yki_npy_open(&data->inputs, inputs));
    data->base.input_file = data->inputs.file.path;
    data->base.files[0] = &data->inputs.file;
    if (targets) YKI_TRY(open_targets(data, inputs, targets));
    YKI_TRY(yki_file_hold(&data->inputs.file));
    bool byte = data->inputs.type->bytes == 1, bits = byte && data->inputs.type->name[0] == 'b';
    data->integer_inputs = data->inputs.type->integer && !bits && data->inputs.ndim == 2;
    data->pixels = byte && data->inputs.type->name[0] == 'u' && data->inputs.ndim > 2;
    data->base.real =
        data->inputs.type->bytes > 4 || (data->inputs.type->bytes == 4 && data->inputs.type->integer);
    YKI_TRY(yki_npy_scan(&data->inputs, data->pixels ? YKI_NPY_INTEGER : inputs_as(data), &data->tokens));
    if (data->pixels && data->tokens.most <= 1)
        YKI_TRY(yki_data_note(
            &data->base,
            "%s: bytes are pictures, divided by 255, and none is above 1 here; planes of 0 and 1 are "
            "saved as bool or float32",
            inputs));
    if (byte && data->integer_inputs) data->base.byte_most = (int)data->tokens.most;
    if (targets) YKI_TRY(yki_npy_scan(&data->targets, targets_as(data), &data->classes));
    data->base.uncounted = data->classes.uncounted;
    if (data->base.uncounted > 0 && data->classes.most < 0)
        return yki_file_fail(&data->targets.file, "has -100 in all places: no target is counted, and nothing "
                                                  "can be learnt");
    return YOKE_OK;
}

static yoke_row row_of(const yki_npy *npy, bool integer)
{
    yoke_row row = {.type = integer ? YOKE_I32 : YOKE_F32, .ndim = npy->ndim - 1};
    for (int dim = 1; dim < npy->ndim; dim++) row.dims[dim - 1] = npy->dims[dim];
    return row;
}

yoke_status yki_data_from_npy(yoke_data **data_out, const char *inputs, const char *targets)
{
    npy_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &npy_ops));
    yoke_status status = npy_open(data, inputs, targets);
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    yoke_row input = row_of(&data->inputs, data->integer_inputs), target = {.type = YOKE_I32};
    if (targets) target = row_of(&data->targets, data->integer_targets);
    data->base.no_targets = !targets;
    return yki_data_finish(&data->base, data->inputs.dims[0], &input, &target, data_out);
}

yoke_status yoke_data_from_npy(yoke_data **data_out, const char *inputs, const char *targets)
{
    YKI_NEED(data_out, inputs, targets);
    return yki_data_from_npy(data_out, inputs, targets ? targets : "");
}
