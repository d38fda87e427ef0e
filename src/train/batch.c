/* Samples: the dataset that fits a job's model, and the step's batch in host memory. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/tokenizer/tokenizer.h"
#include "job/key.h"
#include "train/trainer.h"

static yoke_row row_of(const yki_value *value)
{
    yoke_row row = {.type = value->role == YKI_ROLE_INDEX ? YOKE_I32 : YOKE_F32, .ndim = value->ndim};
    memcpy(row.dims, value->dims, sizeof row.dims);
    return row;
}

/* The model must know every token that text can become, as input and as class. */
static yoke_status check_vocab(const yoke_job *job, const yoke_tokenizer *tokenizer, int64_t inputs,
                               int64_t classes)
{
    bool text = job->data.format == YOKE_DATA_TEXT;
    int64_t tokens = tokenizer ? yoke_tokenizer_size(tokenizer) : text ? 256 : 0;
    int64_t knows = tokenizer && classes < inputs ? classes : inputs;
    const char *key = job->model.family == YOKE_FAMILY_LAYERS ? "model.layers" : "model.vocab";
    if (knows >= tokens) return YOKE_OK;
    if (!tokenizer)
        return yki_fail_at(YOKE_INVALID, job->path, 0, key,
                           "is %lld, but bytes of text are 256 different tokens; set it to 256",
                           (long long)knows);
    return yki_fail_at(YOKE_INVALID, job->path, 0, key,
                       "the model knows %lld tokens, and %s has %lld; it needs at least as many",
                       (long long)knows, tokenizer->path, (long long)tokens);
}

static yoke_status open_data(const yoke_job *job, const yoke_model *model, yki_language language,
                             int64_t sequence, const yki_facts *facts, bool no_targets, yoke_data **data_out)
{
    const yoke_data_spec *d = &job->data;
    const yki_value *input = &model->values[model->input], *target = &model->values[model->target];
    const yki_value *output = &model->values[model->output];
    int64_t limit = yki_model_tokens(model);
    yki_data_spec source = {.format = yki_selector_names(YKI_BY_FORMAT)[d->format],
                            .npaths = d->paths.count,
                            .paths = (const char *const *)d->paths.list,
                            .inputs = d->inputs,
                            .targets = d->targets,
                            .ncolumns = d->ntarget_columns,
                            .columns = (const char *const *)d->target_columns,
                            .sequence = sequence > 0 ? sequence : input->dims[0],
                            .vocab = limit,
                            .token_type = d->token_type,
                            .facts = facts,
                            .no_targets = no_targets,
                            .tokenizer = language.tokenizer,
                            .eos = language.eos,
                            .chat = language.chat,
                            .pack = d->pack,
                            .skip_long = d->skip_long,
                            .samples = d->samples,
                            .input = row_of(input),
                            .target = row_of(target),
                            .input_limit = limit,
                            .target_limit = output->dims[output->ndim - 1],
                            .seed = job->train.seed};
    YKI_TRY(check_vocab(job, language.tokenizer, limit, source.target_limit));
    YKI_TRY(yki_data_open(data_out, &source));
    yoke_status status = yki_model_view(model, *data_out);
    if (status != YOKE_OK) {
        yoke_data_destroy(*data_out);
        *data_out = NULL;
    }
    return status;
}

yoke_status yki_data_from_job(const yoke_job *job, const yoke_model *model, yki_language language,
                              int64_t sequence, const yki_facts *facts, yoke_data **data_out)
{
    return open_data(job, model, language, sequence, facts, false, data_out);
}

yoke_status yki_data_open_inputs(const yoke_job *job, const yoke_model *model, yki_language language,
                                 int64_t sequence, const yki_facts *facts, yoke_data **data_out)
{
    return open_data(job, model, language, sequence, facts, true, data_out);
}

yoke_status yki_trainer_buffers(yoke_trainer *trainer)
{
    const yoke_model *model = trainer->model;
    int64_t batch = trainer->plan->options.batch;
    trainer->input_bytes = 4 * (size_t)yki_value_elems(&model->values[model->input]);
    trainer->target_bytes =
        model->target < 0 ? 0 : 4 * (size_t)yki_value_elems(&model->values[model->target]);
    trainer->indices = malloc(sizeof(int64_t) * (size_t)batch);
    trainer->inputs = calloc((size_t)batch, trainer->input_bytes);
    trainer->targets = calloc((size_t)batch, trainer->target_bytes + 1);
    bool scaled = trainer->facts.scale != YOKE_SCALE_NONE;
    trainer->real = scaled ? malloc(trainer->input_bytes / sizeof(float) * sizeof *trainer->real) : NULL;
    trainer->classes = yki_model_classes(model);
    if (!trainer->indices || !trainer->inputs || !trainer->targets || (scaled && !trainer->real))
        return yki_fail_memory("a batch");
    return YOKE_OK;
}

static yoke_status check_ids(const char *what, const void *row, size_t bytes, int64_t limit, int64_t index,
                             int32_t mark)
{
    const int32_t *ids = row;
    for (size_t i = 0; i < bytes / 4; i++)
        if ((ids[i] < 0 && ids[i] != mark) || ids[i] >= limit)
            return yki_fail(YOKE_INVALID, "sample %lld has %s %d, and the model knows 0 .. %lld",
                            (long long)index, what, ids[i], (long long)limit - 1);
    return YOKE_OK;
}

yoke_status yki_trainer_check_inputs(const yoke_trainer *trainer, const void *inputs, int64_t first,
                                     int64_t count)
{
    const yoke_model *model = trainer->model;
    if (model->values[model->input].role != YKI_ROLE_INDEX) return YOKE_OK;
    int64_t limit = yki_model_tokens(model);
    for (int64_t i = 0; i < count; i++)
        YKI_TRY(check_ids("token", (const char *)inputs + (size_t)i * trainer->input_bytes,
                          trainer->input_bytes, limit, first + i, 0));
    return YOKE_OK;
}

/* A sample as the model takes it; target NULL: its inputs alone. */
static yoke_status get_scaled(yoke_trainer *trainer, yoke_data *data, int64_t index, float *input,
                              void *target)
{
    int64_t elements = (int64_t)(trainer->input_bytes / sizeof *input);
    if (trainer->facts.scale == YOKE_SCALE_NONE)
        return target ? yoke_data_get(data, index, input, target) : yki_data_get_inputs(data, index, input);
    YKI_TRY(yki_data_get_real(data, index, input, target, trainer->real));
    return yki_facts_apply(&trainer->facts, index, trainer->real, input, elements);
}

yoke_status yki_trainer_fetch(yoke_trainer *trainer, yoke_data *data, const int64_t *indices, int64_t count)
{
    const yoke_model *model = trainer->model;
    bool tokens = model->values[model->input].role == YKI_ROLE_INDEX;
    YKI_TRY(yki_data_look(data));
    int64_t limit = tokens ? yki_model_tokens(model) : 0;
    for (int64_t i = 0; i < count; i++) {
        char *input = trainer->inputs + (size_t)i * trainer->input_bytes;
        char *target = trainer->targets + (size_t)i * trainer->target_bytes;
        YKI_TRY(get_scaled(trainer, data, indices[i], (float *)(void *)input, target));
        if (tokens) YKI_TRY(check_ids("token", input, trainer->input_bytes, limit, indices[i], 0));
        if (trainer->classes > 0)
            YKI_TRY(check_ids("class", target, trainer->target_bytes, trainer->classes, indices[i],
                              YOKE_UNCOUNTED));
    }
    return YOKE_OK;
}

yoke_status yki_trainer_fetch_inputs(yoke_trainer *trainer, yoke_data *data, int64_t first, int64_t count)
{
    YKI_TRY(yki_data_look(data));
    for (int64_t i = 0; i < count; i++) {
        char *input = trainer->inputs + (size_t)i * trainer->input_bytes;
        YKI_TRY(get_scaled(trainer, data, first + i, (float *)(void *)input, NULL));
    }
    return yki_trainer_check_inputs(trainer, trainer->inputs, first, count);
}
