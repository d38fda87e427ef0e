/* A trainer's life: model, data, plan, run; and the loop of steps. */
#include "train/trainer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "comm/cluster.h"
#include "job/job.h"
#include "model/model.h"
#include "model/source.h"
#include "optim/optimizer.h"
#include "predict/fit.h"
#include "predict/predict.h"
#include "yoke/checkpoint.h"

/* Where nothing is trained, batches are of no matter. */
static yoke_status make_order(yoke_trainer *trainer, bool trains)
{
    const yoke_train_options *t = &trainer->options;
    YKI_TRY(yki_order_init(&trainer->order, yoke_data_samples(trainer->data), t->holdout, t->holdout_by,
                           t->batch, t->shuffle, t->drop_last && trains, t->seed));
    if (!trains) return YOKE_OK;
    trainer->steps = t->steps;
    if (t->steps == 0 && t->epochs > 0)
        trainer->steps = (int64_t)ceil(t->epochs * (double)yki_order_steps_per_epoch(&trainer->order));
    return YOKE_OK;
}

/* Data and plan; in a cluster all processes must have made the same ones. */
static yoke_status make_plan(yoke_trainer *trainer, const yoke_layout *layout,
                             const yki_trainer_options *options, int64_t *ragged)
{
    bool trains = options->purpose == YKI_PURPOSE_TRAIN;
    if (trainer->data) {
        YKI_TRY(yki_trainer_check_data(trainer, trainer->data));
        YKI_TRY(make_order(trainer, trains));
        YKI_TRY(yki_trainer_make_facts(trainer));
        yki_trainer_hear(trainer, trainer->data);
        if (trains && trainer->options.eval_every > 0 && trainer->order.held == 0)
            return yki_fail(YOKE_INVALID,
                            "data.holdout is %g: of %lld samples that is none, and eval.every has nothing to "
                            "evaluate on; a larger share is needed",
                            trainer->options.holdout, (long long)yoke_data_samples(trainer->data));
        int64_t rest = trains ? trainer->order.samples % trainer->options.batch : 0;
        *ragged = trainer->options.drop_last ? 0 : rest;
    }
    return yki_degrees_check(layout);
}

static uint64_t hash_plan(const yoke_trainer *trainer)
{
    char text[400];
    int n = trainer->plan->mesh.nranks;
    snprintf(text, sizeof text, "%d %lld %lld %lld %lld", n, (long long)trainer->steps,
             (long long)trainer->order.samples, (long long)yki_rank_states(trainer->plan, 0)->total_bytes,
             (long long)yki_rank_states(trainer->plan, n - 1)->total_bytes);
    return yki_hash_text(text, 0xcbf29ce484222325u);
}

/* Whether steps go on while saves are written, from a copy. */
static bool saves_beside(const yoke_job *job)
{
    return job && job->checkpoint.async && job->checkpoint.dir[0];
}

/* Everything behind model and data: plan, run, buffers, first weights. `status`: of what was made before. */
static yoke_status build(yoke_trainer *trainer, const yoke_layout *layout, const yki_trainer_options *options,
                         yoke_status status)
{
    bool trains = options->purpose == YKI_PURPOSE_TRAIN;
    yki_run_options ro = {.alone = trainer->alone, .timeout = trainer->options.timeout};
    bool one_part = options->ignore_devices || !trains;
    if (status == YOKE_OK) status = make_plan(trainer, layout, options, &ro.ragged);
    if (status == YOKE_OK)
        status = yki_layout_check_devices(layout, yki_plan_ranks(trainer->model, layout, one_part));
    YKI_TRY(yki_trainer_agree(trainer, status, "", 0));
    yki_plan_use use = {.purpose = options->purpose,
                        .one_part = options->ignore_devices,
                        .like = options->like,
                        .alone = trainer->alone,
                        .copies = saves_beside(trainer->job)};
    yki_plan_options po = yki_plan_options_of(trainer->model, &trainer->options, layout, &use);
    int64_t threads = po.threads;
    int64_t all = layout->device_kind == YOKE_CPU ? yki_machines_memory(trainer->alone) : 0;
    YKI_TRY(yki_trainer_even_out(trainer, &threads, &po.device_memory_bytes));
    YKI_TRY(yki_trainer_even_out(trainer, &threads, &all));
    po.all_memory_bytes = options->dry && layout->device_memory_bytes > 0 ? 0 : all;
    po.threads = (int)threads;
    po.ragged = ro.ragged;
    if (trainer->options.eval_every > 0 && trains) po.evaluated = yki_trainer_evaluated_samples(trainer);
    status = yki_plan_create(&po, &trainer->plan);
    if (status == YOKE_DOES_NOT_FIT) yki_suggest_fits(&po, trainer->job ? trainer->job->layout_named : 0);
    uint64_t hash = status == YOKE_OK ? hash_plan(trainer) : 0;
    YKI_TRY(yki_trainer_agree(trainer, status, "plan of the run (data, machine)", hash));
    if (trainer->data && trains) yki_trainer_look_at_data(trainer);
    if (options->dry) return YOKE_OK;
    YKI_TRY(yki_run_create(trainer->plan, &ro, &trainer->run));
    YKI_TRY(yki_trainer_buffers(trainer));
    trainer->devices = calloc((size_t)trainer->plan->mesh.nranks, sizeof *trainer->devices);
    trainer->tracked = calloc((size_t)trainer->model->ncounters + 1, sizeof *trainer->tracked);
    trainer->last_loss = trainer->standing.least_loss = trainer->standing.best_loss = NAN;
    trainer->flops = yki_predict_flops(trainer->plan);
    if (!trainer->devices || !trainer->tracked) return yki_fail_memory("a trainer");
    if (trains && trainer->data) yki_trainer_advise(trainer);
    return YOKE_OK;
}

static yoke_status finish_create(yoke_trainer *trainer, yoke_status status, yoke_trainer **trainer_out)
{
    if (status != YOKE_OK) {
        yoke_trainer_destroy(trainer);
        return status;
    }
    *trainer_out = trainer;
    return YOKE_OK;
}

/* Options that say what the model says too. */
static yoke_status check_against_model(const yoke_model *model, const yoke_train_options *options)
{
    bool matrices = !yki_optimizers[options->optimizer].has_matrices;
    for (int i = 0; i < model->nparameters; i++)
        matrices = matrices || (model->parameters[i].matrix && !model->parameters[i].frozen);
    if (!matrices)
        return yki_fail(YOKE_INVALID,
                        "%s updates the matrices of linear layers but for the last one, which makes the "
                        "output, and this model has none: choose another optimizer, like adamw",
                        yki_optimizer_names[options->optimizer]);
    int64_t length = model->is_sequence ? model->values[model->input].dims[0] : 0;
    if (options->loss == YOKE_MSE && model->loss != YOKE_MSE)
        return yki_fail(YOKE_INVALID,
                        "the options' loss is mse, and the model was finished with cross_entropy");
    if (options->sequence > 0 && options->sequence != length)
        return yki_fail(YOKE_INVALID,
                        length
                            ? "the options' sequence is %lld tokens, and the model's samples are %lld"
                            : "the options' sequence is %lld tokens, and the model's samples are no tokens",
                        (long long)options->sequence, (long long)length);
    return YOKE_OK;
}

yoke_status yoke_trainer_create(yoke_trainer **trainer_out, const yoke_model *model, yoke_data *data,
                                const yoke_train_options *options, const yoke_layout *layout)
{
    YKI_NEED(trainer_out, model, options, layout);
    YKI_TRY(yoke_model_status(model));
    if (!model->finished)
        return yki_fail(YOKE_INVALID, "the model is not finished; call yoke_model_finish first");
    if (!data) return yki_fail(YOKE_INVALID, "a trainer needs data; NULL is given");
    YKI_TRY(yki_options_check(options));
    YKI_TRY(check_against_model(model, options));
    yoke_trainer *trainer = calloc(1, sizeof *trainer);
    if (!trainer) return yki_fail_memory("a trainer");
    trainer->model = model;
    trainer->data = data;
    trainer->options = *options;
    yki_optimizer_settle(&trainer->options);
    yki_trainer_options none = {0};
    yoke_status status = build(trainer, layout, &none, YOKE_OK);
    if (status == YOKE_OK) status = yki_trainer_identify(trainer, "");
    if (status == YOKE_OK) status = yki_run_init_weights(trainer->run, options->seed, false);
    return finish_create(trainer, status, trainer_out);
}

/* What the source of a job's model leaves out, or is taken for. */
static yoke_status say_source(yoke_trainer *trainer, const yki_trainer_options *options,
                              const yki_source *source)
{
    bool trains = options->purpose == YKI_PURPOSE_TRAIN && !options->no_data && !options->dry;
    int64_t tokens = source->job.train.sequence;
    if (source->passed_over[0]) yki_trainer_note(trainer, "model.from: %s", source->passed_over);
    if (trains && source->from[0] && source->folder[0]) YKI_TRY(yki_weights_say(trainer, source->folder));
    if (trains) YKI_TRY(yki_beside_keep(trainer, options->weights, source->folder));
    if (source->natural && !options->no_data)
        yki_trainer_note(trainer,
                         "train.sequence is not given: a sample has %lld tokens, the context of model.from%s",
                         (long long)tokens, tokens < source->job.model.context ? " as far as 1024" : "");
    return YOKE_OK;
}

/* The job's model, with what config.json says where there is one. */
static yoke_status model_of_job(yoke_trainer *trainer, const yki_trainer_options *options)
{
    yki_source source;
    yoke_status status =
        yki_source_read(options->job, options->weights, options->no_data, options->sequence, &source);
    trainer->tokenizer = source.tokenizer;
    trainer->eos = source.eos;
    trainer->chat = source.chat;
    YKI_TRY(status);
    memcpy(trainer->from, source.from, sizeof trainer->from);
    memcpy(trainer->adapter, source.adapter, sizeof trainer->adapter);
    YKI_TRY(say_source(trainer, options, &source));
    trainer->spec = source.job.model;
    trainer->options = source.job.train;
    if (options->steps > 0) {
        trainer->options.steps = options->steps;
        trainer->options.epochs = 0;
        trainer->options.eval_every = 0; /* all of them are timed */
    }
    if (options->batch > 0) trainer->options.batch = options->batch;
    YKI_TRY(yki_model_from_job(&source.job, &trainer->own_model));
    trainer->model = trainer->own_model;
    return options->purpose == YKI_PURPOSE_GENERATE
               ? yki_graph_recall(trainer->own_model, options->slots, options->room)
               : YOKE_OK;
}

/* The step that the run is to go on from, whose folder then takes the place of model.from. */
static yoke_status read_start(yoke_trainer *trainer, yki_trainer_options *options,
                              char folder[YKI_FOLDER_BYTES])
{
    const yoke_start *start = options->start;
    yki_saved_state state;
    char passed_over[256];
    int64_t step;
    if (!start) return YOKE_OK;
    uint64_t way = (start->resume ? 1u : 0u) | (start->or_anew ? 2u : 0u) | (start->overwrite ? 4u : 0u) |
                   (start->take_over ? 8u : 0u);
    YKI_TRY(yki_trainer_agree(trainer, YOKE_OK, "way to begin (--resume, --overwrite, --take-over)", way));
    trainer->overwrite = start->overwrite;
    trainer->take_over = start->take_over;
    if (start->changed && strlen(start->changed) >= sizeof trainer->changed)
        return yki_fail(YOKE_INVALID, "a list of what has changed has at most %zu bytes",
                        sizeof trainer->changed - 1);
    snprintf(trainer->changed, sizeof trainer->changed, "%s", start->changed ? start->changed : "");
    if (start->run) memcpy(trainer->identity.run, start->run, sizeof trainer->identity.run);
    if (!start->resume) return YOKE_OK;
    if (strlen(start->resume) >= sizeof trainer->start)
        return yki_fail_at(YOKE_INVALID, start->resume, 0, "", "the path is too long");
    if (start->or_anew) { /* the leader knows */
        yoke_status status = yoke_checkpoint_newest(start->resume, NULL, folder, &step);
        YKI_TRY(yki_trainer_share(trainer, folder, YKI_FOLDER_BYTES));
        if (status != YOKE_OK || !folder[0]) return status;
    }
    YKI_TRY(yki_step_find(start->resume, folder, passed_over, &state));
    snprintf(trainer->start, sizeof trainer->start, "%s", start->resume);
    yki_trainer_follow(trainer, &state);
    options->weights = folder;
    return YOKE_OK;
}

/* Weights of a model with adapters: the base's, and adapters' unless a resume brings them. */
static yoke_status load_adapted(yoke_trainer *trainer, const yki_trainer_options *options, bool resumes)
{
    bool apart = !options->weights || yki_is_adapter(options->weights);
    const char *base = apart ? trainer->from : options->weights;
    YKI_TRY(yki_trainer_load_weights(trainer, base));
    yki_identity_add(&trainer->identity, "model.base", "%016llx", (unsigned long long)trainer->base_hash);
    if (resumes) return YOKE_OK;
    yoke_status status =
        trainer->adapter[0] ? yki_base_check(trainer->adapter, base, trainer->base_hash) : YOKE_OK;
    YKI_TRY(yki_trainer_agree(trainer, status, "", 0));
    return trainer->adapter[0] ? yki_trainer_load_adapter(trainer, trainer->adapter)
                               : yki_run_init_weights(trainer->run, trainer->options.seed, true);
}

static yoke_status build_from_job(yoke_trainer *trainer, const yki_trainer_options *wanted)
{
    const yoke_job *job = wanted->job;
    yki_trainer_options options = *wanted;
    char folder[YKI_FOLDER_BYTES] = "", run[YKI_RUN_BYTES];
    yoke_status status = read_start(trainer, &options, folder);
    if (status == YOKE_OK) status = model_of_job(trainer, &options);
    if (status == YOKE_OK)
        status = yki_trainer_read_facts(trainer, options.weights ? options.weights : trainer->from);
    if (status == YOKE_OK && !options.no_data) {
        status =
            yki_data_from_job(job, trainer->model, yki_trainer_language(trainer), trainer->options.sequence,
                              trainer->has_facts ? &trainer->facts : NULL, &trainer->own_data);
        trainer->data = trainer->own_data;
    }
    YKI_TRY(build(trainer, options.layout ? options.layout : &job->layout, &options, status));
    if (options.dry) return YOKE_OK;
    memcpy(run, trainer->identity.run, sizeof run);
    if (options.purpose == YKI_PURPOSE_TRAIN) YKI_TRY(yki_trainer_identify(trainer, run));
    const char *weights = options.weights ? options.weights : trainer->from;
    if (yki_trainer_adapts(trainer)) return load_adapted(trainer, &options, folder[0]);
    if (folder[0]) return YOKE_OK; /* yoke_trainer_resume brings the weights */
    if (trainer->spec.family == YOKE_FAMILY_LAYERS && weights[0])
        YKI_TRY(yki_trainer_look_at_model(trainer, weights));
    return weights[0] ? yki_trainer_load_weights(trainer, weights)
                      : yki_run_init_weights(trainer->run, job->train.seed, false);
}

yoke_status yki_trainer_create(yoke_trainer **trainer_out, const yki_trainer_options *options)
{
    yoke_trainer *trainer = calloc(1, sizeof *trainer);
    if (!trainer) return yki_fail_memory("a trainer");
    trainer->job = options->job;
    trainer->alone = options->alone;
    return finish_create(trainer, build_from_job(trainer, options), trainer_out);
}

yki_trainer_options yki_inference_options(const yoke_job *job, const char *weights, yoke_layout *one)
{
    *one = (yoke_layout)YOKE_LAYOUT_DEFAULT;
    one->threads = job->layout.threads;
    return (yki_trainer_options){
        .job = job, .layout = one, .ignore_devices = true, .purpose = YKI_PURPOSE_EVAL, .weights = weights};
}

yoke_status yoke_trainer_create_from_job(yoke_trainer **trainer_out, const yoke_job *job)
{
    YKI_NEED(trainer_out, job);
    yki_trainer_options options = {.job = job};
    return yki_trainer_create(trainer_out, &options);
}

void yoke_trainer_destroy(yoke_trainer *trainer)
{
    YKI_KEEP_RECORD;
    if (!trainer) return;
    yki_background_destroy(trainer->background);
    yki_claim_release(&trainer->claim);
    yki_run_destroy(trainer->run);
    yki_plan_destroy(trainer->plan);
    yoke_data_destroy(trainer->own_data);
    yoke_model_destroy(trainer->own_model);
    yoke_tokenizer_destroy(trainer->tokenizer);
    free(trainer->losses);
    free(trainer->step_seconds);
    free(trainer->indices);
    free(trainer->inputs);
    free(trainer->targets);
    free(trainer->real);
    free(trainer->devices);
    free(trainer->tracked);
    free(trainer->ran);
    yki_facts_release(&trainer->facts);
    yki_names_release(&trainer->notes);
    free(trainer->evaluations);
    yki_beside_release(trainer);
    free(trainer);
}

void yoke_trainer_on_notice(yoke_trainer *trainer, yoke_notice notice, void *context)
{
    if (!trainer) return;
    trainer->notice = notice;
    trainer->notice_context = context;
    for (int i = 0; notice && i < trainer->notes.count; i++) {
        yki_fail(YOKE_OK, "%s", trainer->notes.names[i]);
        yki_trainer_notice(trainer);
    }
    if (notice) yki_names_release(&trainer->notes);
}

void yki_trainer_notice(const yoke_trainer *trainer)
{
    yoke_error record = *yoke_error_get();
    if (trainer->notice) trainer->notice(trainer->notice_context, &record);
}

void yki_trainer_hear(yoke_trainer *trainer, yoke_data *data)
{
    for (int i = 0; i < data->notes.count; i++) yki_trainer_note(trainer, "%s", data->notes.names[i]);
    yki_names_release(&data->notes);
}

void yki_trainer_note(yoke_trainer *trainer, const char *format, ...)
{
    char text[sizeof((yoke_error *)0)->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    yoke_error before = *yoke_error_get();
    if (trainer->notice) {
        yki_fail(YOKE_OK, "%s", text);
        yki_trainer_notice(trainer);
    } else {
        yki_names_add(&trainer->notes, text, (int)strlen(text)); /* without memory nobody hears of it */
    }
    yki_error_set(&before);
}
