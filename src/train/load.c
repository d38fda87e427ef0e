/* Loading: tensors of a file or folder by name, checked against the model before the
 * first is taken; then every rank reads what it holds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/text.h"
#include "checkpoint/hashes.h"
#include "job/job.h"
#include "model/source.h"
#include "train/trainer.h"

/* The tensor of a parameter; Hugging Face saves some models with a leading "transformer.". */
const yki_safetensor *yki_tensor_find(const yki_safetensors *file, const char *name, const char *suffix)
{
    char full[300];
    snprintf(full, sizeof full, "%.200s%s", name, suffix);
    const yki_safetensor *tensor = yki_safetensors_find(file, full);
    if (tensor) return tensor;
    snprintf(full, sizeof full, "transformer.%.200s%s", name, suffix);
    return yki_safetensors_find(file, full);
}

/* A tensor whose name ends in the parameter's, with something before it that the model has not. */
static const char *find_prefixed(const yki_safetensors *file, const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < yki_safetensors_count(file); i++) {
        const char *other = yki_safetensors_get(file, i)->name;
        size_t all = strlen(other);
        if (all > length && other[all - length - 1] == '.' && strcmp(other + all - length, name) == 0)
            return other;
    }
    return NULL;
}

static yoke_status fail_missing(const yki_safetensors *file, const char *path, const char *name,
                                const char *suffix)
{
    char full[300], quoted[YKI_QUOTE_BYTES];
    snprintf(full, sizeof full, "%.200s%s", name, suffix);
    const char *near = find_prefixed(file, full);
    if (!near)
        return yki_fail_at(YOKE_INVALID, path, 0, "", "has no tensor '%s', which the model needs", full);
    return yki_fail_at(
        YOKE_INVALID, path, 0, "",
        "has no tensor '%s', which the model needs, but %s: take '%.*s' away from its tensors' names", full,
        yki_quote(quoted, near), (int)(strlen(near) - strlen(full)), near);
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* What files carry beside weights: constants that the model makes itself. */
static bool is_constant(const yoke_trainer *trainer, const char *name)
{
    if (ends_with(name, "num_batches_tracked") || ends_with(name, "position_ids")) return true;
    const char *const *ends = yki_families[trainer->spec.family].constants;
    for (int i = 0; trainer->job && ends[i]; i++)
        if (ends_with(name, ends[i])) return true;
    return false;
}

/* Whether it is the head that a model with tied weights shares with its embedding, written a second time. */
static bool is_tied_copy(const yki_safetensors *file, const yki_safetensor *tensor)
{
    static const char *const tables[] = {"wte.weight", "transformer.wte.weight", "model.embed_tokens.weight"};
    if (strcmp(tensor->name, "lm_head.weight") != 0) return false;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const yki_safetensor *table = yki_safetensors_find(file, tables[i]);
        if (table && strcmp(table->dtype, tensor->dtype) == 0 && table->bytes == tensor->bytes &&
            memcmp(table->data, tensor->data, table->bytes) == 0)
            return true;
    }
    return false;
}

static const char *bare(const char *name)
{
    return strncmp(name, "transformer.", 12) == 0 ? name + 12 : name;
}

/* Whether the model has a parameter of that name, as files may have it. */
static bool is_parameter(const yoke_model *model, const char *name)
{
    return yki_graph_find(model, name) >= 0 || yki_graph_find(model, bare(name)) >= 0;
}

/* That every tensor of a file of weights has a place in the model: what is left over would be left out
 * without a word, and the file's model is another one. */
static yoke_status check_leftovers(const yoke_trainer *trainer, const yki_safetensors *file, const char *path)
{
    const char *first = NULL;
    char quoted[YKI_QUOTE_BYTES];
    int more = -1;
    for (int i = 0; i < yki_safetensors_count(file); i++) {
        const yki_safetensor *tensor = yki_safetensors_get(file, i);
        const char *short_name = bare(tensor->name);
        if (short_name != tensor->name && yki_graph_find(trainer->model, short_name) >= 0 &&
            yki_safetensors_find(file, short_name))
            return yki_fail_at(YOKE_INVALID, path, 0, "",
                               "has two tensors for one place in the model, '%.100s' and '%.100s'",
                               short_name, tensor->name);
        if (is_parameter(trainer->model, tensor->name) || is_constant(trainer, tensor->name) ||
            is_tied_copy(file, tensor))
            continue;
        if (!first) first = tensor->name;
        more++;
    }
    if (!first) return YOKE_OK;
    yki_quote(quoted, first);
    if (strcmp(first, "lm_head.weight") == 0 && more == 0)
        return yki_fail_at(
            YOKE_INVALID, path, 0, "",
            "has a tensor %s with other values than the embedding, and the model's head and embedding "
            "are one tensor: it is a model whose weights are not tied",
            quoted);
    return yki_fail_at(
        YOKE_INVALID, path, 0, "",
        "has tensor %s, for which the model has no place%s: it is of another model (more layers, "
        "biases, another head), or of another one's state",
        quoted, more > 0 ? " (nor for others)" : "");
}

yoke_status yki_tensor_check_shape(const yki_safetensor *tensor, const yki_parameter *p, const char *path,
                                   const char *suffix)
{
    bool same = tensor->ndim == p->ndim;
    for (int i = 0; same && i < p->ndim; i++) same = tensor->dims[i] == p->dims[i];
    if (same) return YOKE_OK;
    char has[128] = "", wants[128] = "";
    for (int i = 0, n = 0; i < tensor->ndim && n < 100; i++)
        n += snprintf(has + n, sizeof has - (size_t)n, "%s%lld", i ? ", " : "", (long long)tensor->dims[i]);
    for (int i = 0, n = 0; i < p->ndim && n < 100; i++)
        n += snprintf(wants + n, sizeof wants - (size_t)n, "%s%lld", i ? ", " : "", (long long)p->dims[i]);
    return yki_fail_at(YOKE_INVALID, path, 0, "", "tensor '%s%s' has shape [%s], and the model's has [%s]",
                       p->name, suffix, has, wants);
}

/* What a load takes, and from where. */
typedef struct load {
    yki_safetensors *files[2]; /* of weights, and moments */
    int nfiles;
    yki_taken_tensor *tensors;
    int ntensors;
    yki_hashes *hashes; /* NULL: the folder has none */
    uint64_t *blocks;   /* of all tensors */
} load;

static void release(load *l)
{
    for (int i = 0; i < l->nfiles; i++) yki_safetensors_close(l->files[i]);
    free(l->tensors);
    free(l->blocks);
    yki_hashes_destroy(l->hashes);
}

/* What was saved of all tensors, where the folder says it. */
static yoke_status find_hashes(load *l)
{
    int64_t count = 0;
    if (!l->hashes) return YOKE_OK;
    for (int t = 0; t < l->ntensors; t++) count += yki_hash_blocks(l->tensors[t].tensor->bytes);
    uint64_t *at = l->blocks = malloc(sizeof *at * (size_t)(count + 1));
    if (!at) return yki_fail_memory("hashes");
    for (int t = 0; t < l->ntensors; t++) {
        YKI_TRY(yki_hashes_find(l->hashes, l->tensors[t].tensor, at));
        l->tensors[t].hashes = at;
        at += yki_hash_blocks(l->tensors[t].tensor->bytes);
    }
    return YOKE_OK;
}

/* Adds the tensors of `nkinds` kinds in a file, of every parameter, or of those that are a base's or
 * adapters': all must be there, in shape and of numbers. */
static yoke_status add(yoke_trainer *trainer, const char *path, bool base, yki_tensor_kind first, int nkinds,
                       load *l)
{
    const yoke_model *model = trainer->model;
    size_t room = (size_t)(l->ntensors + nkinds * model->nparameters);
    yki_taken_tensor *grown = realloc(l->tensors, sizeof *grown * (room + 1));
    if (!grown) return yki_fail_memory("weights");
    l->tensors = grown;
    yki_safetensors *file;
    YKI_TRY(yki_safetensors_open(path, &file));
    l->files[l->nfiles++] = file;
    for (int k = 0; k < nkinds; k++)
        for (int i = 0; i < model->nparameters; i++) {
            const yki_parameter *p = &model->parameters[i];
            const char *suffix = yki_trainer_suffix(trainer, (yki_tensor_kind)(first + k), i);
            if (!suffix || (yki_trainer_adapts(trainer) && base == p->of_adapter)) continue;
            const yki_safetensor *tensor = yki_tensor_find(file, p->name, suffix);
            if (!tensor) return fail_missing(file, path, p->name, suffix);
            YKI_TRY(yki_tensor_check_shape(tensor, p, path, suffix));
            YKI_TRY(yki_safetensors_read_f32(file, tensor, 0, 0, NULL));
            l->tensors[l->ntensors++] =
                (yki_taken_tensor){(yki_tensor_kind)(first + k), i, file, tensor, NULL};
        }
    if (first == YKI_TENSOR_WEIGHT) return check_leftovers(trainer, file, path);
    return YOKE_OK;
}

static yoke_status check_counters(const yoke_trainer *trainer, const load *l)
{
    for (int i = 0; i < trainer->model->ncounters && l->hashes; i++) {
        uint64_t saved;
        const yki_safetensor *tensor = yki_tensor_find(l->files[0], trainer->model->counters[i].name, "");
        if (!tensor || yki_hash_blocks(tensor->bytes) != 1) continue;
        YKI_TRY(yki_hashes_find(l->hashes, tensor, &saved));
        YKI_TRY(yki_hash_check(tensor, 0, saved));
    }
    return YOKE_OK;
}

/* Counts of micro-batches, of any integer or floating type; a file without them starts from 0. */
static void take_counters(yoke_trainer *trainer, const yki_safetensors *file)
{
    for (int i = 0; i < trainer->model->ncounters; i++) {
        const yki_safetensor *tensor = yki_tensor_find(file, trainer->model->counters[i].name, "");
        float value = 0;
        trainer->tracked[i] = 0;
        if (!tensor || tensor->elems != 1) continue;
        if (tensor->dtype[0] == 'I' || tensor->dtype[0] == 'U')
            memcpy(&trainer->tracked[i], tensor->data, (size_t)yki_safetensors_bits(tensor->dtype) / 8);
        else if (yki_safetensors_read_f32(file, tensor, 0, 1, &value) == YOKE_OK)
            trainer->tracked[i] = (int64_t)value;
    }
}

uint64_t yki_hash_tensor(const yki_safetensor *tensor, uint64_t hash)
{
    enum { PIECE = 4096, PIECES = 16 };
    size_t pieces = tensor->bytes / PIECE;
    size_t stride = pieces > PIECES ? pieces / PIECES * PIECE : PIECE;
    hash = yki_hash_text(tensor->name, hash + 1);
    hash = yki_hash_text(tensor->dtype, hash);
    for (int i = 0; i < tensor->ndim; i++) hash = (hash ^ (uint64_t)tensor->dims[i]) * 0x100000001b3u;
    for (size_t at = 0; at < tensor->bytes; at += stride) {
        size_t left = tensor->bytes - at;
        hash =
            (hash ^ yki_hash((const char *)tensor->data + at, left < PIECE ? left : PIECE)) * 0x100000001b3u;
    }
    return hash;
}

/* Of what is taken, for a comparison of processes. */
static uint64_t hash_taken(const load *l)
{
    uint64_t hash = 0;
    for (int t = 0; t < l->ntensors; t++) hash = yki_hash_tensor(l->tensors[t].tensor, hash);
    return hash;
}

/* All of it, if adding it went well, in all processes; releases it. */
static yoke_status take(yoke_trainer *trainer, load *l, yoke_status status, const char *path)
{
    char what[300];
    const char *slash = strrchr(path, '/');
    if (status == YOKE_OK) status = find_hashes(l);
    if (status == YOKE_OK) status = check_counters(trainer, l);
    snprintf(what, sizeof what, "content of the weights %.200s", slash ? slash + 1 : path);
    status = yki_trainer_agree(trainer, status, what,
                               status == YOKE_OK && !yki_trainer_alone(trainer) ? hash_taken(l) : 0);
    if (status == YOKE_OK) status = yki_run_take(trainer->run, l->tensors, l->ntensors);
    if (status == YOKE_OK) take_counters(trainer, l->files[0]);
    release(l);
    return status;
}

yoke_status yki_trainer_load_weights(yoke_trainer *trainer, const char *path)
{
    load l = {.nfiles = 0};
    yoke_status status = yki_path_is_folder(path) ? yki_hashes_read(path, &l.hashes) : YOKE_OK;
    if (status == YOKE_OK) status = add(trainer, path, true, YKI_TENSOR_WEIGHT, 1, &l);
    if (status == YOKE_OK && yki_trainer_adapts(trainer)) trainer->base_hash = hash_taken(&l);
    return take(trainer, &l, status, path);
}

/* Weights as a step's folder, or one of adapters, has them. */
static yoke_status add_weights(yoke_trainer *trainer, const char *folder, load *l)
{
    char path[YKI_FOLDER_BYTES + 64];
    if (!yki_trainer_adapts(trainer)) return add(trainer, folder, true, YKI_TENSOR_WEIGHT, 1, l);
    YKI_TRY(yki_adapter_file(folder, path));
    return add(trainer, path, false, YKI_TENSOR_WEIGHT, 1, l);
}

yoke_status yki_trainer_load_adapter(yoke_trainer *trainer, const char *folder)
{
    load l = {.nfiles = 0};
    yoke_status status = yki_hashes_read(folder, &l.hashes);
    if (status == YOKE_OK) status = add_weights(trainer, folder, &l);
    return take(trainer, &l, status, folder);
}

/* Weights and optimizer state of a step's folder: both are checked before the first tensor is taken, so that
 * a refusal leaves the trainer as it was. */
static yoke_status load_step(yoke_trainer *trainer, const char *folder, bool hashed, bool has_moments)
{
    char path[1300];
    load l = {.nfiles = 0};
    yoke_status status = hashed ? yki_hashes_read(folder, &l.hashes) : YOKE_OK;
    snprintf(path, sizeof path, "%s/optimizer.safetensors", folder);
    if (status == YOKE_OK) status = add_weights(trainer, folder, &l);
    if (status == YOKE_OK && has_moments)
        status = add(trainer, path, false, YKI_TENSOR_MOMENT, YKI_MAX_MOMENTS, &l);
    return take(trainer, &l, status, folder);
}

/* Whether this run's optimizer has a state and the saved one's is of the same kind. */
static bool takes_moments(const yoke_trainer *trainer, const yki_saved_state *state)
{
    const char *then = yki_identity_find(&state->identity, "moments"),
               *now = yki_identity_find(&trainer->identity, "moments");
    return now && strcmp(now, "none") != 0 &&
           !yki_identity_differs(&state->identity, &trainer->identity, "train.freeze") &&
           (!then || strcmp(then, now) == 0);
}

static void say_resumed(yoke_trainer *trainer, const char *folder, const char *passed_over,
                        const yki_saved_state *state, const yki_text *changed)
{
    yki_fail(YOKE_OK, "resumed from %s%s%s%s%s", folder, passed_over[0] ? " (" : "", passed_over,
             passed_over[0] ? ")" : "",
             state->hashed ? "" : "; it has no hashes, so its tensors were not checked against any");
    yki_trainer_notice(trainer);
    if (!changed->data) return;
    yki_fail(YOKE_OK, "the run goes on with other settings than it had: %s", changed->data);
    yki_trainer_notice(trainer);
}

/* That a step of another model has the tensors of this one: else nothing lets the run go on from it. */
static yoke_status check_fits(yoke_trainer *trainer, const yki_saved_state *state, const char *folder)
{
    load l = {.nfiles = 0};
    if (!yki_identity_differs(&state->identity, &trainer->identity, "model")) return YOKE_OK;
    yoke_status status = add_weights(trainer, folder, &l);
    release(&l);
    if (status != YOKE_INVALID) return status;
    yoke_error error = *yoke_error_get();
    return yki_fail(YOKE_INVALID,
                    "%s was saved in a run with another model than this job's, whose weights do not fit: %s",
                    folder, error.message);
}

yoke_status yoke_trainer_resume(yoke_trainer *trainer, const char *dir)
{
    YKI_NEED(trainer, dir);
    char folder[YKI_FOLDER_BYTES] = "", passed_over[256] = "";
    yki_saved_state state = {.step = 0};
    yki_text changed = {0};
    const yoke_data *before = trainer->data;
    yoke_status status = yki_step_find(dir, folder, passed_over, &state);
    if (status == YOKE_OK && yki_is_adapter(folder) != yki_trainer_adapts(trainer))
        status =
            yki_fail(YOKE_INVALID,
                     yki_is_adapter(folder)
                         ? "%s holds adapters, and this run trains a whole model (model.adapter is missing)"
                         : "%s holds a whole model, and this run trains adapters: model.from starts from it",
                     folder);
    if (status == YOKE_OK) status = yki_trainer_resume_facts(trainer, folder);
    if (status == YOKE_OK && trainer->data != before) status = yki_trainer_identify_data(trainer);
    if (status == YOKE_OK) status = check_fits(trainer, &state, folder);
    if (status == YOKE_OK)
        status = yki_identity_compare(&state, &trainer->identity, folder, trainer->changed, &changed);
    uint64_t hash = yki_hash_text(folder, (uint64_t)state.step);
    status = yki_trainer_agree(trainer, status, "newest step in the checkpoint", hash);
    if (status == YOKE_OK) status = load_step(trainer, folder, state.hashed, takes_moments(trainer, &state));
    if (status == YOKE_OK) {
        yki_trainer_follow(trainer, &state);
        trainer->first_step = trainer->next_step = state.step;
        trainer->last_loss = state.last_loss;
        trainer->nevaluations = 0;
        trainer->evaluation_seconds = 0;
        trainer->stopped_early = trainer->suspect = false;
        trainer->skipped = trainer->skipped_before = state.skipped;
        trainer->skipped_in_a_row = state.skipped_in_a_row;
        trainer->standing =
            (yki_standing){.least_loss = state.least_step > 0 ? state.least_loss : (double)NAN,
                           .best_loss = state.best_step > 0 ? state.best_loss : (double)NAN,
                           .least_step = state.least_step,
                           .best_step = state.best_step,
                           .no_better = state.no_better};
        snprintf(trainer->saved, sizeof trainer->saved, "%s", folder);
        trainer->saved_step = state.step;
        yki_trainer_event(trainer, YOKE_RUN_RESUMED, folder);
        say_resumed(trainer, folder, passed_over, &state, &changed);
    }
    yki_text_release(&changed);
    return status;
}

yoke_status yoke_trainer_start(yoke_trainer *trainer)
{
    YKI_NEED(trainer);
    return trainer->start[0] ? yoke_trainer_resume(trainer, trainer->start) : YOKE_OK;
}

yoke_status yki_weights_say(yoke_trainer *trainer, const char *folder)
{
    double dropout = 0;
    if (yki_folder_has(folder, "pytorch_model.bin") && yki_path_is_folder(trainer->from))
        yki_trainer_note(trainer, "%s: its pytorch_model.bin, beside model.safetensors, is not read", folder);
    if (trainer->job->model.family != YOKE_FAMILY_LAYERS) YKI_TRY(yki_config_dropout(folder, &dropout));
    if (dropout > 0 && trainer->job->model.dropout == 0)
        yki_trainer_note(
            trainer,
            "%s: its config.json has a dropout of %g, which is for the job to say: model.dropout is 0 here",
            folder, dropout);
    return YOKE_OK;
}
