/* Facts of the data in a trainer: those that came with its weights, or those that its data give. */
#include <stdio.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "train/trainer.h"

/* A folder without a config.json holds weights alone, of which nothing is known. */
static bool has_config(const char *folder)
{
    char path[1300];
    snprintf(path, sizeof path, "%.1200s/config.json", folder);
    return yki_path_exists(path);
}

static bool is_empty(const yki_facts *facts)
{
    return !facts->columns.count && !facts->targets.count && !facts->classes.count && facts->ndim == 0 &&
           facts->scale == YOKE_SCALE_NONE;
}

void yki_weights_folder(const char *weights, char folder[YKI_FOLDER_BYTES + 64])
{
    const char *slash = strrchr(weights, '/'), *name = slash ? slash + 1 : weights;
    bool own = strcmp(name, "model.safetensors") == 0 && !yki_path_is_folder(weights);
    size_t length = !own ? strlen(weights) : slash ? (size_t)(slash - weights) : 0;
    snprintf(folder, YKI_FOLDER_BYTES + 64, "%.*s", (int)length, weights);
    if (own && !slash) snprintf(folder, YKI_FOLDER_BYTES + 64, ".");
}

yoke_status yki_trainer_read_facts(yoke_trainer *trainer, const char *weights)
{
    char folder[YKI_FOLDER_BYTES + 64], state[1300];
    yki_weights_folder(weights, folder);
    if (!folder[0] || !has_config(folder)) return YOKE_OK;
    YKI_TRY(yki_config_facts(folder, &trainer->facts));
    snprintf(state, sizeof state, "%.1200s/state.json", folder);
    trainer->has_facts = yki_path_exists(state) || !is_empty(&trainer->facts);
    return YOKE_OK;
}

static yoke_row input_of(const yoke_trainer *trainer)
{
    const yki_value *value = &trainer->model->values[trainer->model->input];
    yoke_row row = {.type = value->role == YKI_ROLE_INDEX ? YOKE_I32 : YOKE_F32, .ndim = value->ndim};
    memcpy(row.dims, value->dims, sizeof row.dims);
    return row;
}

static yoke_status check_scale(yoke_scale trained, yoke_scale wanted, const char *whose)
{
    if (trained == wanted) return YOKE_OK;
    return yki_fail_at(
        YOKE_INVALID, "", 0, "data.scale",
        "is %s, and %s was trained with %s: its weights expect inputs scaled as they were then",
        yki_scale_name(wanted), whose, yki_scale_name(trained));
}

yoke_status yki_trainer_make_facts(yoke_trainer *trainer)
{
    if (!trainer->has_facts)
        return yki_facts_make(&trainer->facts, trainer->data, trainer->options.scale, &trainer->order);
    YKI_TRY(check_scale(trainer->facts.scale, trainer->options.scale, "the model"));
    yoke_row input = input_of(trainer);
    YKI_TRY(yki_facts_check(&trainer->facts, &input, "the model's folder"));
    YKI_TRY(yki_facts_check_data(&trainer->facts, trainer->data));
    if (trainer->facts.columns.count) return YOKE_OK;
    /* saved before names were kept: they are those of the data */
    YKI_TRY(yki_names_copy(&trainer->facts.columns, &trainer->data->columns));
    YKI_TRY(yki_names_copy(&trainer->facts.targets, &trainer->data->targets));
    return yki_names_copy(&trainer->facts.classes, &trainer->data->classes);
}

yoke_status yki_trainer_open_inputs(yoke_trainer *trainer, const char *file, yoke_data **data_out)
{
    yoke_job job = *trainer->job; /* shallow: only names change */
    yoke_row input = input_of(trainer);
    yoke_data *data;
    char *paths[] = {(char *)file};
    if (file) job.data.paths = (yoke_texts){.list = paths, .count = 1};
    if (file) snprintf(job.data.inputs, sizeof job.data.inputs, "%s", file);
    YKI_TRY(yki_data_open_inputs(&job, trainer->model, yki_trainer_language(trainer),
                                 trainer->options.sequence, trainer->has_facts ? &trainer->facts : NULL,
                                 &data));
    yoke_status status = yki_data_view(data, &input, NULL);
    if (status == YOKE_OK && trainer->has_facts) status = yki_facts_check_data(&trainer->facts, data);
    if (status != YOKE_OK) {
        yoke_data_destroy(data);
        return status;
    }
    yki_trainer_hear(trainer, data);
    *data_out = data;
    return YOKE_OK;
}

/* The data read by other facts. */
static yoke_status reopen(const yoke_trainer *trainer, const yki_facts *facts, yoke_data **data_out)
{
    yoke_data *data;
    YKI_TRY(yki_data_from_job(trainer->job, trainer->model, yki_trainer_language(trainer),
                              trainer->options.sequence, facts, &data));
    if (data->samples != trainer->data->samples) {
        yoke_data_destroy(data);
        return yki_fail(YOKE_INVALID, "the data changed while they were opened");
    }
    *data_out = data;
    return YOKE_OK;
}

yoke_status yki_trainer_resume_facts(yoke_trainer *trainer, const char *folder)
{
    yki_facts saved = {.scale = YOKE_SCALE_NONE};
    yoke_row input = input_of(trainer);
    yoke_data *data = NULL;
    YKI_TRY(yki_config_facts(folder, &saved));
    yoke_status status = check_scale(saved.scale, trainer->facts.scale, folder);
    if (status == YOKE_OK) status = yki_facts_check(&saved, &input, folder);
    if (status == YOKE_OK) status = yki_facts_check_data(&saved, trainer->data);
    bool named = saved.columns.count > 0, /* else it was saved before names were kept, or data have none */
        same = !named || (yki_names_same(&saved.columns, &trainer->facts.columns) &&
                          yki_names_same(&saved.classes, &trainer->facts.classes));
    if (status == YOKE_OK && !same && trainer->own_data) status = reopen(trainer, &saved, &data);
    if (status == YOKE_OK && !same && !trainer->own_data)
        status = yki_fail(YOKE_INVALID,
                          "the data's columns or classes are not those of %s, or not in their order", folder);
    if (status == YOKE_OK && data) {
        yoke_data_destroy(trainer->own_data);
        trainer->data = trainer->own_data = data;
    }
    if (status == YOKE_OK && (named || saved.ndim || saved.scale != YOKE_SCALE_NONE)) {
        yki_facts before = trainer->facts;
        trainer->facts = saved;
        saved = before;
    }
    yki_facts_release(&saved);
    return status;
}
