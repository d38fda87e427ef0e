/* Saving: weights, optimizer state and position by logical name, without a word of the layout but its text.
 * Here files are made, named and given their place; the tensors in them are written by the ranks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "checkpoint/hashes.h"
#include "comm/cluster.h"
#include "job/job.h"
#include "train/trainer.h"

const char *yki_trainer_suffix(const yoke_trainer *trainer, yki_tensor_kind kind, int parameter)
{
    int moment = (int)kind - YKI_TENSOR_MOMENT;
    if (kind == YKI_TENSOR_WEIGHT) return "";
    const yki_parameter *p = &trainer->model->parameters[parameter];
    yki_rule_of rule = yki_optimizer_rule_of(trainer->options.optimizer, p->matrix);
    if (p->buffer || p->frozen || moment >= yki_optimizer_moments(&trainer->options, rule)) return NULL;
    return yki_optimizers[trainer->options.optimizer].rules[rule].moments[moment];
}

/* The files of tensors, by kind. */
enum { NFILES = 2 };
static const char *file_name(const yoke_trainer *trainer, int file)
{
    return file > 0                      ? "optimizer.safetensors"
           : yki_trainer_adapts(trainer) ? YKI_ADAPTER_FILE
                                         : "model.safetensors";
}

enum { NKINDS = 1 + YKI_MAX_MOMENTS };

/* Of weights, and of each moment. */
static yki_tensor_kind kind_of(int k)
{
    return k == 0 ? YKI_TENSOR_WEIGHT : (yki_tensor_kind)(YKI_TENSOR_MOMENT + k - 1);
}

static int file_of(yki_tensor_kind kind)
{
    return kind == YKI_TENSOR_WEIGHT ? 0 : 1;
}

/* A save under way: headers and room for all tensors, before the first is written; and their hashes, as they
 * become known. */
struct yki_saving {
    yoke_trainer *trainer;
    yki_save save;
    yki_claim *claim; /* of the folder; the leader's */
    bool suspect;     /* the trainer was, when the save began */
    yki_saved_state state;
    int64_t *tracked;
    yki_safetensors_writer *writers[NFILES]; /* the leader's, as the next */
    yki_hashes *hashes;
    struct { /* what the leader tells the others */
        char names[NFILES][YKI_FOLDER_BYTES + 64], paths[NFILES][YKI_FOLDER_BYTES + 64];
        size_t bytes[NFILES];
    } told;
    size_t *places; /* of tensors */
    yki_stored_file files[NFILES];
    yki_stored_tensor *tensors;
    uint64_t *blocks; /* of all tensors */
    yki_stored stored;
};

static void print_name(const yoke_trainer *trainer, yki_tensor_kind kind, int parameter, char name[256])
{
    snprintf(name, 256, "%.200s%s", trainer->model->parameters[parameter].name,
             yki_trainer_suffix(trainer, kind, parameter));
}

yoke_status yki_saved_tensors(const yoke_trainer *trainer, yki_stored_tensor **tensors_out, int *count_out,
                              size_t *bytes_out)
{
    const yoke_model *model = trainer->model;
    yki_stored_tensor *tensors = malloc(sizeof *tensors * (size_t)(NKINDS * model->nparameters + 1));
    int count = 0;
    if (!tensors) return yki_fail_memory("a save");
    *bytes_out = 0;
    for (int k = 0; k < NKINDS; k++)
        for (int i = 0; i < model->nparameters; i++) {
            if (!yki_trainer_suffix(trainer, kind_of(k), i) || !yki_trainer_saves(trainer, i)) continue;
            size_t bytes = sizeof(float) * (size_t)yki_trainer_elems(trainer, i);
            tensors[count++] = (yki_stored_tensor){kind_of(k), i, file_of(kind_of(k)), 0, bytes, NULL};
            *bytes_out += bytes;
        }
    *tensors_out = tensors;
    *count_out = count;
    return YOKE_OK;
}

/* What counts micro-batches: an integer each, beside the weights. */
static yoke_status write_counters(const yki_saving *s, bool declares)
{
    const yoke_model *model = s->trainer->model;
    int file = file_of(YKI_TENSOR_WEIGHT);
    for (int i = 0; i < model->ncounters; i++) {
        const char *name = model->counters[i].name;
        const int64_t *value = &s->tracked[i];
        uint64_t hash = yki_hash(value, sizeof *value);
        if (declares) {
            YKI_TRY(yki_safetensors_declare(s->writers[file], name, "I64", 0, NULL));
            continue;
        }
        YKI_TRY(yki_safetensors_write(s->writers[file], name, 0, value, sizeof *value));
        YKI_TRY(yki_hashes_add(s->hashes, file_name(s->trainer, file), name, sizeof *value, &hash));
    }
    return YOKE_OK;
}

static yoke_status make_files(yki_saving *s)
{
    const yoke_model *model = s->trainer->model;
    char name[256];
    YKI_TRY(yki_hashes_create(&s->hashes));
    for (int f = 0; f < NFILES; f++) {
        YKI_TRY(yki_path_join(s->told.names[f], sizeof s->told.names[f], s->save.temporary,
                              file_name(s->trainer, f)));
        YKI_TRY(yki_safetensors_writer_create(s->told.names[f], &s->writers[f]));
    }
    for (int t = 0; t < s->stored.ntensors; t++) {
        const yki_stored_tensor *tensor = &s->tensors[t];
        const yki_parameter *p = &model->parameters[tensor->parameter];
        print_name(s->trainer, tensor->kind, tensor->parameter, name);
        YKI_TRY(yki_safetensors_declare(s->writers[tensor->file], name, "F32", p->ndim, p->dims));
    }
    YKI_TRY(write_counters(s, true));
    for (int f = 0; f < NFILES; f++) {
        YKI_TRY(yki_safetensors_begin(s->writers[f]));
        snprintf(s->told.paths[f], sizeof s->told.paths[f], "%s",
                 yki_safetensors_unfinished(s->writers[f], &s->told.bytes[f]));
    }
    for (int t = 0; t < s->stored.ntensors; t++) {
        print_name(s->trainer, s->tensors[t].kind, s->tensors[t].parameter, name);
        YKI_TRY(yki_safetensors_hand_out(s->writers[s->tensors[t].file], name, &s->places[t]));
    }
    return write_counters(s, false);
}

yoke_status yki_saving_make(yki_saving *s, const char *dir)
{
    if (!yki_trainer_leads(s->trainer)) return YOKE_OK;
    YKI_TRY(yki_claim_check(s->claim));
    YKI_TRY(yki_save_begin(dir, s->state.step, &s->save));
    s->save.claim = s->claim;
    return make_files(s);
}

yoke_status yki_saving_share_files(yki_saving *s)
{
    YKI_TRY(yki_trainer_share(s->trainer, &s->told, sizeof s->told));
    YKI_TRY(yki_trainer_share(s->trainer, s->places, sizeof *s->places * (size_t)s->stored.ntensors));
    for (int f = 0; f < NFILES; f++)
        s->files[f] = (yki_stored_file){s->told.paths[f], s->told.names[f], s->told.bytes[f]};
    for (int t = 0; t < s->stored.ntensors; t++) s->tensors[t].place = s->places[t];
    return YOKE_OK;
}

static yoke_status add_hashes(const yki_saving *s)
{
    char name[256];
    for (int t = 0; t < s->stored.ntensors; t++) {
        const yki_stored_tensor *tensor = &s->tensors[t];
        print_name(s->trainer, tensor->kind, tensor->parameter, name);
        YKI_TRY(yki_hashes_add(s->hashes, file_name(s->trainer, tensor->file), name, tensor->bytes,
                               tensor->hashes));
    }
    return yki_hashes_save(s->hashes, s->save.temporary);
}

static yoke_status write_adapter(const yki_saving *s)
{
    const yoke_trainer *trainer = s->trainer;
    char *text =
        yki_adapter_print(&trainer->spec.adapter, trainer->spec.family == YOKE_FAMILY_GPT2, trainer->from);
    if (!text) return yki_fail_memory("a save");
    yoke_status status = yki_save_text(&s->save, YKI_ADAPTER_CONFIG, text);
    free(text);
    return status;
}

static yoke_status write_texts(const yki_saving *s)
{
    const yoke_trainer *trainer = s->trainer;
    char *job = trainer->job ? yoke_job_print(trainer->job) : NULL;
    char *config = yki_config_print(&trainer->spec, job, &trainer->facts, yki_beside_config(trainer));
    yoke_status status = (trainer->job && !job) || !config ? yki_fail_memory("a save") : YOKE_OK;
    if (status == YOKE_OK) status = yki_save_text(&s->save, "config.json", config);
    if (status == YOKE_OK && job) status = yki_save_text(&s->save, "job.yaml", job);
    free(job);
    free(config);
    if (status == YOKE_OK && yki_trainer_adapts(trainer)) status = write_adapter(s);
    if (status == YOKE_OK) status = yki_beside_save(trainer, &s->save);
    return status == YOKE_OK ? yki_save_state(&s->save, &s->state) : status;
}

yoke_status yki_saving_finish(yki_saving *s, bool finite)
{
    if (!yki_trainer_leads(s->trainer)) return YOKE_OK;
    if (!finite && s->suspect)
        return yki_fail(YOKE_NON_FINITE, "the weights after step %lld are not finite either, and not saved",
                        (long long)s->state.step - 1);
    for (int f = 0; f < NFILES; f++) {
        yki_safetensors_writer *writer = s->writers[f];
        s->writers[f] = NULL;
        YKI_TRY(yki_safetensors_finish(writer));
    }
    YKI_TRY(add_hashes(s));
    s->state.hashed = true;
    s->state.not_finite = !finite;
    YKI_TRY(write_texts(s));
    const yoke_job *job = s->trainer->job;
    s->save.best = job && job->checkpoint.best && s->state.best_step == s->state.step;
    return yki_save_commit(&s->save, job ? job->checkpoint.keep : 0);
}

yoke_status yki_saving_share_folder(yki_saving *s)
{
    return yki_trainer_share(s->trainer, s->save.final, sizeof s->save.final);
}

void yki_saving_destroy(yki_saving *s)
{
    if (!s) return;
    for (int f = 0; f < NFILES; f++) yki_safetensors_abandon(s->writers[f]);
    yki_save_abandon(&s->save);
    yki_hashes_destroy(s->hashes);
    free(s->tracked);
    free(s->places);
    free(s->tensors);
    free(s->blocks);
    free(s);
}

const yki_stored *yki_saving_stored(const yki_saving *s)
{
    return &s->stored;
}

uint64_t *yki_saving_blocks(const yki_saving *s)
{
    return s->blocks;
}

const char *yki_saving_folder(const yki_saving *s)
{
    return s->save.final;
}

/* The trainer as it stands between two steps. */
static yoke_status note_state(yki_saving *s)
{
    const yoke_trainer *trainer = s->trainer;
    size_t counters = sizeof(int64_t) * ((size_t)trainer->model->ncounters + 1);
    yki_saved_state *state = &s->state;
    *state = (yki_saved_state){.step = trainer->next_step,
                               .seed = trainer->options.seed,
                               .batch = trainer->options.batch,
                               .last_loss = trainer->last_loss,
                               .identity = trainer->identity};
    const yki_standing *standing = &trainer->standing;
    s->suspect = trainer->suspect;
    state->skipped = trainer->skipped;
    state->skipped_in_a_row = trainer->skipped_in_a_row;
    state->least_step = standing->least_step;
    state->best_step = standing->best_step;
    state->no_better = standing->no_better;
    if (standing->least_step > 0) state->least_loss = standing->least_loss;
    if (standing->best_step > 0) state->best_loss = standing->best_loss;
    YKI_TRY(yki_layout_text(&trainer->plan->options.layout, state->layout, sizeof state->layout));
    snprintf(state->optimizer, sizeof state->optimizer, "%s",
             yki_optimizer_names[trainer->options.optimizer]);
    snprintf(state->precision, sizeof state->precision, "%s",
             trainer->options.precision == YOKE_PRECISION_BF16 ? "bf16" : "f32");
    if (!(s->tracked = malloc(counters))) return yki_fail_memory("a save");
    memcpy(s->tracked, trainer->tracked, counters);
    return YOKE_OK;
}

/* Tensors, and room for their places and their blocks' hashes. */
static yoke_status list_tensors(yki_saving *s)
{
    size_t bytes;
    int count;
    YKI_TRY(yki_saved_tensors(s->trainer, &s->tensors, &count, &bytes));
    s->stored = (yki_stored){s->files, s->tensors, NFILES, count};
    s->places = calloc((size_t)count + 1, sizeof *s->places);
    s->blocks = calloc((size_t)yki_stored_blocks(&s->stored) + 1, sizeof *s->blocks);
    if (!s->places || !s->blocks) return yki_fail_memory("a save");
    uint64_t *at = s->blocks;
    for (int t = 0; t < count; t++) {
        s->tensors[t].hashes = at;
        at += yki_hash_blocks(s->tensors[t].bytes);
    }
    return YOKE_OK;
}

yoke_status yki_saving_create(yoke_trainer *trainer, yki_claim *claim, yki_saving **saving_out)
{
    yki_saving *s = calloc(1, sizeof *s);
    yoke_status status = s ? YOKE_OK : yki_fail_memory("a save");
    if (s) {
        s->trainer = trainer;
        s->claim = claim;
        s->save.lock = -1;
        status = note_state(s);
    }
    if (status == YOKE_OK) status = list_tensors(s);
    status = yki_trainer_agree(trainer, status, "", 0);
    if (status == YOKE_OK)
        *saving_out = s;
    else
        yki_saving_destroy(s);
    return status;
}

static yoke_status save_now(yki_saving *s, const char *dir)
{
    bool finite;
    YKI_TRY(yki_trainer_agree(s->trainer, yki_saving_make(s, dir), "", 0));
    YKI_TRY(yki_saving_share_files(s));
    YKI_TRY(yki_run_store(s->trainer->run, &s->stored, &finite));
    YKI_TRY(yki_trainer_agree(s->trainer, yki_saving_finish(s, finite), "", 0));
    return yki_saving_share_folder(s);
}

static yoke_status save_into(yoke_trainer *trainer, const char *dir, yki_claim *claim, char *folder)
{
    yki_saving *s;
    YKI_TRY(yki_saving_create(trainer, claim, &s));
    yoke_status status = save_now(s, dir);
    if (status == YOKE_OK && folder) snprintf(folder, YOKE_PATH_BYTES, "%s", s->save.final);
    if (status == YOKE_OK) yki_trainer_saved(trainer, trainer->next_step, s->save.final);
    yki_saving_destroy(s);
    return status;
}

void yki_trainer_saved(yoke_trainer *trainer, int64_t step, const char *folder)
{
    snprintf(trainer->saved, sizeof trainer->saved, "%s", folder);
    trainer->saved_step = step;
    yki_trainer_event_at(trainer, YOKE_RUN_SAVED, step, trainer->saved);
}

const char *yoke_trainer_saved(const yoke_trainer *trainer, int64_t *step_out)
{
    if (step_out) *step_out = -1;
    if (!trainer) return NULL;
    if (step_out) *step_out = trainer->saved[0] ? trainer->saved_step : -1;
    return trainer->saved;
}

yoke_status yoke_trainer_save(yoke_trainer *trainer, const char *dir, char folder[YOKE_PATH_BYTES])
{
    YKI_NEED(trainer, dir);
    if (trainer->apart.status != YOKE_OK) { /* the others would be waited for */
        yki_error_set(&trainer->apart);
        return trainer->apart.status;
    }
    YKI_TRY(yki_saves_look(trainer, true));
    if (strcmp(dir, trainer->claim.dir) == 0) return save_into(trainer, dir, &trainer->claim, folder);
    yki_claim claim; /* for this save */
    YKI_TRY(yki_trainer_claim(trainer, dir, &claim));
    yoke_status status = save_into(trainer, dir, &claim, folder);
    yki_claim_release(&claim);
    return status;
}
