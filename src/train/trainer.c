/* A trainer's life: model, data, plan, run; and the loop of steps. */
#include "train/trainer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "comm/cluster.h"
#include "job/job.h"
#include "model/model.h"
#include "optim/optimizer.h"
#include "predict/fit.h"
#include "predict/predict.h"
#include "yoke/checkpoint.h"

static int cores(void)
{
    return yki_backend_get("cpu")->count();
}

static yki_plan_options plan_options(const yoke_trainer *trainer, const yoke_layout *layout,
                                     const yki_trainer_options *options)
{
    const yoke_train_options *t = &trainer->options;
    int nranks = yki_mesh_of(layout).nranks;
    for (int i = 0; i < trainer->model->nlayers && !options->ignore_devices && !options->inference; i++)
        if (trainer->model->layers[i].device >= nranks)
            nranks = (trainer->model->layers[i].device + 1) * layout->dp;
    int place, here = trainer->alone ? nranks : nranks / yki_cluster_size(); /* that share what there is */
    int neighbours = trainer->alone ? 1 : yki_cluster_neighbours(&place);
    here = here < 1 ? 1 : here;
    int64_t threads = cores() / (yki_cluster_bound() ? here : here * neighbours);
    const yki_backend_ops *backend = yki_backend_get("cpu");
    int64_t memory =
        backend->memory_bytes(0) -
        (options->inference ? 0 : yki_staging_expected(trainer, layout, here * neighbours, nranks));
    return (yki_plan_options){.model = trainer->model,
                              .layout = *layout,
                              .precision = t->precision,
                              .optimizer = t->optimizer,
                              .moments = options->inference ? 0 : yki_optimizer_moments(t),
                              .decay_matrices = t->decay_matrices,
                              .seed = t->seed,
                              .batch = t->batch,
                              .inference = options->inference,
                              .no_loss = options->no_loss,
                              .one_part = options->ignore_devices,
                              .like = options->like,
                              .threads = layout->threads > 0 ? layout->threads
                                         : threads < 1       ? 1
                                                             : (int)threads,
                              .backend = backend,
                              .device_memory_bytes =
                                  layout->device_memory_bytes > 0
                                      ? layout->device_memory_bytes
                                      : (memory > nranks ? memory : nranks) / here / neighbours};
}

/* Where nothing is trained, batches are of no matter. */
static yoke_status make_order(yoke_trainer *trainer, bool inference)
{
    const yoke_train_options *t = &trainer->options;
    YKI_TRY(yki_order_init(&trainer->order, yoke_data_samples(trainer->data), t->holdout, t->holdout_by,
                           t->batch, t->shuffle, t->drop_last && !inference, t->seed));
    if (inference) return YOKE_OK;
    trainer->steps = t->steps;
    if (t->steps == 0 && t->epochs > 0)
        trainer->steps = (int64_t)ceil(t->epochs * (double)yki_order_steps_per_epoch(&trainer->order));
    return YOKE_OK;
}

/* Data and plan; in a cluster all processes must have made the same ones. */
static yoke_status make_plan(yoke_trainer *trainer, const yoke_layout *layout,
                             const yki_trainer_options *options, int64_t *ragged)
{
    if (trainer->data) {
        YKI_TRY(yki_trainer_check_data(trainer, trainer->data));
        YKI_TRY(make_order(trainer, options->inference));
        YKI_TRY(yki_trainer_make_facts(trainer));
        yki_trainer_hear(trainer, trainer->data);
        if (!options->inference && trainer->options.eval_every > 0 && trainer->order.held == 0)
            return yki_fail(YOKE_INVALID,
                            "data.holdout is %g: of %lld samples that is none, and eval.every has nothing to "
                            "evaluate on; a larger share is needed",
                            trainer->options.holdout, (long long)yoke_data_samples(trainer->data));
        int64_t rest = options->inference ? 0 : trainer->order.samples % trainer->options.batch;
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

/* Everything behind model and data: plan, run, buffers, first weights. `status`: of what was made before. */
static yoke_status build(yoke_trainer *trainer, const yoke_layout *layout, const yki_trainer_options *options,
                         yoke_status status)
{
    yki_run_options ro = {.alone = trainer->alone, .timeout = trainer->options.timeout};
    if (status == YOKE_OK) status = make_plan(trainer, layout, options, &ro.ragged);
    YKI_TRY(yki_trainer_agree(trainer, status, "", 0));
    yki_plan_options po = plan_options(trainer, layout, options);
    int64_t threads = po.threads, all = yki_memory_of_all(trainer);
    YKI_TRY(yki_trainer_even_out(trainer, &threads, &po.device_memory_bytes));
    YKI_TRY(yki_trainer_even_out(trainer, &threads, &all));
    po.all_memory_bytes = options->dry && layout->device_memory_bytes > 0 ? 0 : all;
    po.threads = (int)threads;
    po.ragged = ro.ragged;
    if (trainer->options.eval_every > 0 && !options->inference)
        po.evaluated = yki_trainer_evaluated_samples(trainer);
    status = yki_plan_create(&po, &trainer->plan);
    if (status == YOKE_DOES_NOT_FIT) yki_suggest_fits(&po, trainer->job ? trainer->job->layout_named : 0);
    uint64_t hash = status == YOKE_OK ? hash_plan(trainer) : 0;
    YKI_TRY(yki_trainer_agree(trainer, status, "plan of the run (data, machine)", hash));
    if (trainer->data && !options->inference) yki_trainer_look_at_data(trainer);
    if (options->dry) return YOKE_OK;
    YKI_TRY(yki_run_create(trainer->plan, &ro, &trainer->run));
    YKI_TRY(yki_trainer_buffers(trainer));
    trainer->devices = calloc((size_t)trainer->plan->mesh.nranks, sizeof *trainer->devices);
    trainer->tracked = calloc((size_t)trainer->model->ncounters + 1, sizeof *trainer->tracked);
    trainer->last_loss = trainer->standing.least_loss = trainer->standing.best_loss = NAN;
    trainer->flops = yki_predict_flops(trainer->plan);
    if (!trainer->devices || !trainer->tracked) return yki_fail_memory("a trainer");
    if (!options->inference && trainer->data) yki_trainer_advise(trainer);
    return YOKE_OK;
}

static yoke_status finish_create(yoke_trainer *trainer, yoke_status status, yoke_trainer **trainer_out)
{
    if (status != YOKE_OK) {
        yoke_error error = *yoke_error_get();
        yoke_trainer_destroy(trainer);
        yki_error_set(&error);
        return status;
    }
    *trainer_out = trainer;
    return YOKE_OK;
}

/* Options that say what the model says too. */
static yoke_status check_against_model(const yoke_model *model, const yoke_train_options *options)
{
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
    if (status == YOKE_OK) status = yki_run_init_weights(trainer->run, options->seed);
    return finish_create(trainer, status, trainer_out);
}

/* Tokens of a sample where neither the job nor its model.context says: what model.from was made for, as far
 * as one sample is not very long. */
static int64_t natural_sequence(yoke_trainer *trainer, const yoke_job *job,
                                const yki_trainer_options *options)
{
    enum { LONG = 1024 };
    bool in_rows = job->data.format == YOKE_DATA_TEXT || job->data.format == YOKE_DATA_TOKENS ||
                   job->data.format == YOKE_DATA_RANDOM;
    int64_t context = job->model.context, sequence = in_rows && context > LONG ? LONG : context;
    if (in_rows && context > 0 && !options->no_data)
        yki_trainer_note(trainer,
                         "train.sequence is not given: a sample has %lld tokens, the context of model.from%s",
                         (long long)sequence, sequence < context ? " as far as 1024" : "");
    return sequence;
}

static yoke_status check_from(const yoke_job *job)
{
    const char *from = job->model.from;
    if (!from[0] || yki_path_exists(from)) return YOKE_OK;
    return yki_fail_at(YOKE_INVALID, job->path, 0, "model.from",
                       "there is no %s: weights are read from a local folder or file, and nothing is fetched",
                       from);
}

/* The job's model, with what config.json says where there is one. */
static yoke_status model_of_job(yoke_trainer *trainer, const yki_trainer_options *options)
{
    yoke_job job = *options->job; /* shallow: only counts change, and where `from` is */
    char folder[YKI_FOLDER_BYTES] = "", passed_over[256] = "";
    if (!options->weights) YKI_TRY(check_from(&job));
    if (options->weights)
        snprintf(folder, sizeof folder, "%s", options->weights);
    else if (job.model.from[0])
        YKI_TRY(yki_weights_find(&job, trainer->from, folder, passed_over));
    if (passed_over[0]) yki_trainer_note(trainer, "model.from: %s", passed_over);
    if (folder[0] && job.model.family != YOKE_FAMILY_LAYERS) YKI_TRY(yki_config_read(folder, &job.model));
    if (!folder[0] && trainer->from[0]) YKI_TRY(yki_weights_check(&job, trainer->from));
    bool encodes = job.data.format == YOKE_DATA_TEXT || job.data.tokenizer[0];
    if (options->weights && !options->no_data) YKI_TRY(yki_tokenizer_check(&job, options->weights));
    if (encodes && !options->no_data)
        YKI_TRY(yki_tokenizer_open(&job, options->weights, folder, &trainer->tokenizer));
    bool trains = !options->inference && !options->no_data && !options->dry;
    if (trains && trainer->from[0] && folder[0]) YKI_TRY(yki_weights_say(trainer, folder));
    if (trains) YKI_TRY(yki_tokenizer_keep(trainer, options->weights, folder));
    if (!job.model.vocab && trainer->tokenizer && job.model.family != YOKE_FAMILY_LAYERS)
        job.model.vocab = yoke_tokenizer_size(trainer->tokenizer);
    if (options->sequence > 0)
        job.train.sequence = options->sequence;
    else if (job.train.sequence == 0)
        job.train.sequence = natural_sequence(trainer, &job, options);
    trainer->spec = job.model;
    trainer->options = job.train;
    if (options->steps > 0) {
        trainer->options.steps = options->steps;
        trainer->options.epochs = 0;
        trainer->options.eval_every = 0; /* all of them are timed */
    }
    if (options->batch > 0) trainer->options.batch = options->batch;
    YKI_TRY(yki_model_from_job(&job, &trainer->own_model));
    trainer->model = trainer->own_model;
    return YOKE_OK;
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
        status = yki_data_from_job(job, trainer->model, trainer->tokenizer, trainer->options.sequence,
                                   trainer->has_facts ? &trainer->facts : NULL, &trainer->own_data);
        trainer->data = trainer->own_data;
    }
    YKI_TRY(build(trainer, options.layout ? options.layout : &job->layout, &options, status));
    if (options.dry) return YOKE_OK;
    memcpy(run, trainer->identity.run, sizeof run);
    if (!options.inference) YKI_TRY(yki_trainer_identify(trainer, run));
    if (folder[0]) return YOKE_OK; /* yoke_trainer_resume brings the weights */
    const char *weights = options.weights ? options.weights : trainer->from;
    if (trainer->spec.family == YOKE_FAMILY_LAYERS && weights[0])
        YKI_TRY(yki_trainer_look_at_model(trainer, weights));
    return weights[0] ? yki_trainer_load_weights(trainer, weights)
                      : yki_run_init_weights(trainer->run, job->train.seed);
}

yoke_status yki_trainer_create(yoke_trainer **trainer_out, const yki_trainer_options *options)
{
    yoke_trainer *trainer = calloc(1, sizeof *trainer);
    if (!trainer) return yki_fail_memory("a trainer");
    trainer->job = options->job;
    trainer->alone = options->alone;
    return finish_create(trainer, build_from_job(trainer, options), trainer_out);
}

yoke_status yoke_trainer_create_from_job(yoke_trainer **trainer_out, const yoke_job *job)
{
    YKI_NEED(trainer_out, job);
    yki_trainer_options options = {.job = job};
    return yki_trainer_create(trainer_out, &options);
}

/* What a plan of the job needs, without its data: `use` gets it and the layout to plan for. */
static yoke_status with_plan_options(const yoke_job *job,
                                     yoke_status (*use)(const yki_plan_options *options, void *context),
                                     void *context)
{
    /* a tokenizer is read only where it says the vocabulary */
    yki_trainer_options options = {.job = job, .no_data = job->model.vocab > 0 || job->model.from[0]};
    yoke_trainer trainer = {.job = job, .alone = true};
    yoke_status status = model_of_job(&trainer, &options);
    if (status == YOKE_OK) {
        yki_plan_options po = plan_options(&trainer, &job->layout, &options);
        po.backend = yki_backend_get("null");
        status = use(&po, context);
    }
    yoke_error error = *yoke_error_get();
    free(trainer.kept_tokenizer);
    yoke_model_destroy(trainer.own_model);
    yoke_tokenizer_destroy(trainer.tokenizer);
    yki_names_release(&trainer.notes);
    if (status != YOKE_OK) yki_error_set(&error);
    return status;
}

static yoke_status take_schedule(const yki_plan_options *options, void *schedule_out)
{
    yki_plan_options anywhere = *options;
    yki_plan *plan;
    anywhere.device_memory_bytes = 0;
    YKI_TRY(yki_plan_create(&anywhere, &plan));
    *(yoke_schedule **)schedule_out = plan->schedule;
    plan->schedule = NULL;
    yki_plan_destroy(plan);
    return YOKE_OK;
}

yoke_status yoke_job_schedule(const yoke_job *job, yoke_schedule **schedule_out)
{
    YKI_NEED(job, schedule_out);
    return with_plan_options(job, take_schedule, schedule_out);
}

typedef struct wanted_layouts {
    int devices, most, *count_out;
    yoke_layout *layouts;
} wanted_layouts;

static yoke_status find_layouts(const yki_plan_options *options, void *context)
{
    const wanted_layouts *wanted = context;
    return yki_layouts_over(options, wanted->devices, wanted->layouts, wanted->most, wanted->count_out);
}

yoke_status yoke_job_layouts(const yoke_job *job, int devices, yoke_layout *layouts, int most, int *count_out)
{
    YKI_NEED(job, layouts, count_out);
    if (most < 0) return yki_fail(YOKE_INVALID, "at most %d layouts: it must be at least 0", most);
    wanted_layouts wanted = {devices, most, count_out, layouts};
    *count_out = 0;
    if (devices < 1 || devices > YOKE_MAX_DEVICES)
        return yki_fail(YOKE_INVALID, "%d devices: layouts are over 1 to %d", devices, YOKE_MAX_DEVICES);
    return with_plan_options(job, find_layouts, &wanted);
}

void yoke_trainer_destroy(yoke_trainer *trainer)
{
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
    free(trainer->kept_tokenizer);
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
