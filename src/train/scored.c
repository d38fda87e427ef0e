/* Whether weights are used as the run that saved them meant it: by its model, and scored on samples that it
 * held out. The step knows its model, its data, by their rows, and its share; a job, or its files, may have
 * changed since. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "train/trainer.h"

static const char *value_of(const yki_identity *identity, const char *key)
{
    const char *value = yki_identity_find(identity, key);
    return value ? value : "?";
}

static void say_other_data(yoke_trainer *trainer, const char *folder, const yki_identity *then)
{
    const yki_identity *now = &trainer->identity;
    yki_trainer_note(
        trainer,
        "these are other data than the run of %s was trained on (%s, %s samples then; %s, %s now): "
        "whether it has seen some of these samples cannot be told",
        folder, value_of(then, "data.files"), value_of(then, "data.samples"), value_of(now, "data.files"),
        value_of(now, "data.samples"));
}

/* Of the same data: a share that lies within the one held out then has no sample that was trained on. */
static void look_at_share(yoke_trainer *trainer, const char *folder, const yki_identity *then)
{
    const yki_identity *now = &trainer->identity;
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)trainer->options.seed);
    double before = strtod(value_of(then, "data.holdout"), NULL);
    bool other_seed = trainer->order.drawn && strcmp(value_of(then, "train.seed"), seed) != 0;
    const char *key = before < trainer->options.holdout                    ? "data.holdout"
                      : yki_identity_differs(then, now, "data.holdout_by") ? "data.holdout_by"
                                                                           : "train.seed";
    bool by_seed = strcmp(key, "train.seed") == 0; /* which is no fact of the data */
    if (by_seed && !other_seed) return;
    yki_trainer_note(
        trainer,
        "the run of %s held out other samples (%s %s then, %s now): some of those that are scored "
        "are among the samples that it trains on",
        folder, key, value_of(then, key), by_seed ? seed : value_of(now, key));
}

/* What the run that saved weights, a folder or its model.safetensors, was; *state_out without facts: no run
 * of yoke's saved them. */
static yoke_status read_state(const char *weights, yki_saved_state *state_out)
{
    char folder[YKI_FOLDER_BYTES + 64], path[YKI_FOLDER_BYTES + 128];
    yki_weights_folder(weights, folder);
    *state_out = (yki_saved_state){.step = 0};
    YKI_TRY(yki_path_join(path, sizeof path, folder, "state.json"));
    return yki_path_exists(path) ? yki_checkpoint_state(folder, state_out) : YOKE_OK;
}

yoke_status yki_trainer_look_at_model(yoke_trainer *trainer, const char *folder)
{
    yki_saved_state state;
    yki_identity now = {.nfacts = 0};
    YKI_TRY(read_state(folder, &state));
    YKI_TRY(yki_identity_add_model(trainer, &now));
    if (yki_identity_differs(&state.identity, &now, "model"))
        yki_trainer_note(
            trainer,
            "%s was saved from other layers than this job's (an activation, a stride, an eps): its "
            "weights fit them, and compute something else",
            folder);
    return YOKE_OK;
}

yoke_status yki_trainer_look_at_scored(yoke_trainer *trainer, const char *folder, bool *other_data_out)
{
    static const char *const rows[] = {"data.samples", "data.inputs", "data.targets", "train.sequence"};
    yki_saved_state state;
    *other_data_out = false;
    YKI_TRY(read_state(folder, &state));
    if (state.identity.nfacts == 0) return YOKE_OK;
    YKI_TRY(yki_trainer_identify_data(trainer));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        *other_data_out |= yki_identity_differs(&state.identity, &trainer->identity, rows[i]);
    if (*other_data_out)
        say_other_data(trainer, folder, &state.identity);
    else if (trainer->order.held > 0 && yki_identity_find(&state.identity, "data.holdout"))
        look_at_share(trainer, folder, &state.identity);
    return YOKE_OK;
}
