/* What holds between several keys, and devices against degrees. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "job/job.h"
#include "job/read.h"
#include "optim/optimizer.h"

static yoke_status fail_key(const yki_reader *reader, const char *key, const char *message)
{
    return yki_reader_fail(reader, yki_yaml_find(reader->root, key), key, "%s", message);
}

static yoke_status check_length(const yki_reader *reader)
{
    yoke_train_options *train = &reader->job->train;
    const char *const steps = "train.steps";
    if (train->steps >= 0 && train->epochs > 0)
        return fail_key(reader, "train.epochs",
                        "is given beside train.steps: only one of them says how long to train");
    if (train->steps < 0 && train->epochs == 0)
        return fail_key(reader, steps, "'steps' is missing: say how long to train, in steps or in epochs");
    if (train->steps < 0) train->steps = 0;
    return YOKE_OK;
}

static yoke_status check_transformer(const yki_reader *reader)
{
    yoke_model_spec *model = &reader->job->model;
    if (model->head_dim % 2)
        return yki_reader_fail(reader, yki_yaml_find(reader->root, "model.head_dim"), "model.head_dim",
                               "a head_dim of %lld is odd, and rotary positions need it even",
                               (long long)model->head_dim);
    if (!model->head_dim && model->width && model->heads && model->width % model->heads)
        return yki_reader_fail(reader, yki_yaml_find(reader->root, "model.heads"), "model.heads",
                               "a width of %lld cannot be divided among %lld heads", (long long)model->width,
                               (long long)model->heads);
    if (model->heads && model->kv_heads && model->heads % model->kv_heads)
        return yki_reader_fail(reader, yki_yaml_find(reader->root, "model.kv_heads"), "model.kv_heads",
                               "%lld heads cannot be divided among %lld kv_heads", (long long)model->heads,
                               (long long)model->kv_heads);
    if (!model->vocab && !model->from[0] && !reader->job->data.tokenizer[0]) {
        if (reader->job->data.format != YOKE_DATA_TEXT)
            return fail_key(
                reader, "model.vocab",
                "'vocab' is missing: only text data has one of its own, 256, and neither model.from nor "
                "data.tokenizer is given");
        model->vocab = 256;
    }
    return YOKE_OK;
}

/* Fills in the default, where the job alone gives one: with model.from the model's context is read with it.
 */
static yoke_status check_sequence(const yki_reader *reader)
{
    const yoke_model_spec *model = &reader->job->model;
    const yoke_data_spec *data = &reader->job->data;
    int64_t *sequence = &reader->job->train.sequence;
    bool in_rows = yki_job_is_written(reader->job);
    bool layers = model->family == YOKE_FAMILY_LAYERS;
    int64_t natural = !layers ? model->context : in_rows && model->input_ndim == 1 ? model->input[0] : 0;
    if (!*sequence) *sequence = natural;
    if (!*sequence && !(model->from[0] && !layers) &&
        (in_rows || (!layers && data->format == YOKE_DATA_RANDOM)))
        return fail_key(
            reader, "train.sequence",
            layers ? "'sequence' is missing, the tokens of a sample, and model.input does not give it"
                   : "'sequence' is missing, the tokens of a sample, and model.context does not give it");
    const yki_yaml *node = yki_yaml_find(reader->root, "train.sequence");
    if (!layers && model->context && *sequence > model->context)
        return yki_reader_fail(reader, node, "train.sequence",
                               "a sequence of %lld tokens is longer than the model's context of %lld",
                               (long long)*sequence, (long long)model->context);
    if (layers && in_rows && (model->input_ndim != 1 || *sequence != model->input[0]))
        return yki_reader_fail(reader, node, "train.sequence",
                               "samples of %lld tokens do not fit model.input, which must be [%lld]",
                               (long long)*sequence, (long long)*sequence);
    return YOKE_OK;
}

/* Whether the command line took `key` away from a file whose `other` needs it: that one is void, then. */
static bool is_void(const yki_reader *reader, const char *other, const char *key)
{
    const yki_yaml *node = yki_yaml_find(reader->root, other), *taken = yki_yaml_find(reader->root, key);
    return taken && taken->origin > 0 && node && node->origin == 0;
}

/* Keys that mean nothing without another one. */
static yoke_status check_needs(const yki_reader *reader)
{
    static const char *const dir = "needs checkpoint.dir, the folder to save in",
                             *const held = "needs data.holdout, the share of the samples to evaluate on, "
                                           "e.g. data.holdout: 0.1",
                             *const often = "needs eval.every, the steps from one evaluation to the next, "
                                            "e.g. eval.every: 100";
    const yoke_checkpoint_spec *c = &reader->job->checkpoint;
    const yoke_train_options *t = &reader->job->train;
    const yoke_data_spec *d = &reader->job->data;
    bool drawn = d->holdout_by == YOKE_HOLDOUT_DRAW;
    const struct {
        const char *key, *needs;
        bool given, there;
    } all[] = {{"checkpoint.every", dir, c->every > 0, c->dir[0]},
               {"checkpoint.keep", dir, c->keep > 0, c->dir[0]},
               {"checkpoint.async", dir, c->async, c->dir[0]},
               {"checkpoint.on_error", dir, c->on_error == YOKE_ON_ERROR_CONTINUE, c->dir[0]},
               {"checkpoint.best", dir, c->best, c->dir[0]},
               {"checkpoint.best", often, c->best, t->eval_every > 0},
               {"stop.patience", often, t->patience > 0, t->eval_every > 0},
               {"eval.batches", often, t->eval_batches > 0, t->eval_every > 0},
               {"eval.every", held, t->eval_every > 0, d->holdout > 0},
               {"data.holdout_by", held, drawn, d->holdout > 0}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].given && !all[i].there) return fail_key(reader, all[i].key, all[i].needs);
    return YOKE_OK;
}

/* Any of its keys asks for an adapter, and one has a base. */
static yoke_status check_adapter(const yki_reader *reader)
{
    yoke_model_spec *model = &reader->job->model;
    const yki_yaml *section = yki_yaml_find(reader->root, "model.adapter");
    bool named = yki_yaml_find(reader->root, "model.adapter.kind");
    if (section && section->count > 0 && !named) model->adapter.kind = YOKE_ADAPTER_LORA;
    if (model->adapter.kind != YOKE_ADAPTER_NONE && !model->from[0])
        return fail_key(
            reader, "model.adapter",
            "adapters are trained beside a base, the weights that model.from names, and the job has "
            "none");
    return YOKE_OK;
}

static int count_linear(const yoke_layer *layers, int nlayers)
{
    int count = 0;
    for (int i = 0; i < nlayers; i++)
        count += (layers[i].type == YOKE_LAYER_LINEAR) + count_linear(layers[i].layers, layers[i].nlayers);
    return count;
}

/* Of a list of linear layers the last one makes the output; transformers have others in any case. */
static yoke_status check_matrices(const yki_reader *reader)
{
    const yoke_job *job = reader->job;
    if (!yki_optimizers[job->train.optimizer].has_matrices || job->model.family != YOKE_FAMILY_LAYERS ||
        count_linear(job->model.layers, job->model.nlayers) > 1)
        return YOKE_OK;
    return yki_reader_fail(reader, yki_yaml_find(reader->root, "train.optimizer.name"),
                           "train.optimizer.name",
                           "%s updates the matrices of linear layers but for the last one, which makes the "
                           "output, and this model has none: choose another one, like adamw",
                           yki_optimizer_names[job->train.optimizer]);
}

bool yki_job_is_written(const yoke_job *job)
{
    return job->data.format == YOKE_DATA_TEXT || job->data.format == YOKE_DATA_TOKENS ||
           job->data.format == YOKE_DATA_JSONL;
}

yoke_status yki_reader_finish(const yki_reader *reader)
{
    yoke_job *job = reader->job;
    yki_optimizer_settle(&job->train);
    YKI_TRY(check_length(reader));
    if (job->model.family != YOKE_FAMILY_LAYERS) YKI_TRY(check_transformer(reader));
    YKI_TRY(check_sequence(reader));
    if (job->train.loss == YOKE_MSE && yki_job_is_written(job))
        return fail_key(reader, "train.loss", "mse compares values; text and tokens need cross_entropy");
    if (job->data.format == YOKE_DATA_CSV && job->data.paths.count > 1)
        return fail_key(reader, "data.path", "is a list, and a csv is one file");
    if (job->train.nesterov && job->train.momentum == 0)
        return fail_key(reader, "train.optimizer.nesterov", "needs a momentum above 0");
    if (job->data.holdout == 0 && is_void(reader, "data.holdout_by", "data.holdout"))
        job->data.holdout_by = YOKE_HOLDOUT_END;
    YKI_TRY(check_needs(reader));
    YKI_TRY(check_adapter(reader));
    YKI_TRY(check_matrices(reader));
    job->train.shuffle = job->data.shuffle;
    job->train.drop_last = job->data.drop_last;
    job->train.holdout = job->data.holdout;
    job->train.holdout_by = job->data.holdout_by;
    job->train.scale = job->data.scale;
    return YOKE_OK;
}

/* ---- devices ---- */

typedef struct parts {
    bool *seen, any; /* seen: by device; NULL where nobody asks */
    int device, highest;
    char key[128]; /* of the layer that named the highest */
    int line;
} parts;

static void walk(const yoke_layer *layers, int nlayers, const char *path, parts *p)
{
    for (int i = 0; i < nlayers; i++) {
        char item[128];
        snprintf(item, sizeof item, "%.110s.%d", path, i);
        if (layers[i].device >= 0) {
            p->any = true;
            p->device = layers[i].device;
        }
        if (p->seen) p->seen[p->device] = true;
        if (p->device > p->highest || (layers[i].device >= 0 && !p->key[0])) {
            p->highest = p->device;
            p->line = layers[i].line;
            snprintf(p->key, sizeof p->key, "%.120s.device", item);
        }
        char inner[128];
        snprintf(inner, sizeof inner, "%.118s.layers", item);
        walk(layers[i].layers, layers[i].nlayers, inner, p);
    }
}

int yki_job_parts(const yoke_job *job)
{
    parts p = {0};
    walk(job->model.layers, job->model.nlayers, "model.layers", &p);
    return p.any ? p.highest + 1 : 0;
}

int yki_devices_product(int a, int b, int c, int d)
{
    const int factors[] = {a, b, c, d};
    int64_t product = 1;
    for (int i = 0; i < 4; i++) {
        product *= factors[i] > 0 ? factors[i] : 0;
        if (product > YOKE_MAX_DEVICES) product = YOKE_MAX_DEVICES + 1;
    }
    return (int)product;
}

int yoke_job_devices(const yoke_job *job, const yoke_layout *layout)
{
    if (!job) return 0;
    const yoke_layout *l = layout ? layout : &job->layout;
    int count = yki_job_parts(job);
    return count ? yki_devices_product(l->dp, count, 1, 1) : yki_devices_product(l->dp, l->tp, l->pp, l->cp);
}

/* A replica's devices are numbered from 0 without a gap. */
static yoke_status check_gaps(const yoke_job *job, int count)
{
    parts p = {.seen = calloc((size_t)count, sizeof *p.seen)};
    int gap = 0;
    if (!p.seen) return yki_fail_memory("a job's devices");
    walk(job->model.layers, job->model.nlayers, "model.layers", &p);
    while (gap < count && p.seen[gap]) gap++;
    free(p.seen);
    if (gap == count) return YOKE_OK;
    return yki_fail_at(YOKE_INVALID, job->path, p.line, p.key,
                       "a layer is on device %d, but none is on device %d: a replica's devices are numbered "
                       "from 0",
                       p.highest, gap);
}

static yoke_status check_parts(const yoke_job *job, int count)
{
    const yoke_layout *layout = &job->layout;
    parts p = {0};
    walk(job->model.layers, job->model.nlayers, "model.layers", &p);
    if (layout->tp > 1 || layout->pp > 1 || layout->cp > 1) {
        const char *axis = layout->tp > 1 ? "tp" : layout->pp > 1 ? "pp" : "cp";
        int degree = layout->tp > 1 ? layout->tp : layout->pp > 1 ? layout->pp : layout->cp;
        char key[16];
        snprintf(key, sizeof key, "layout.%s", axis);
        return yki_fail_at(
            YOKE_INVALID, job->path, 0, key,
            "layers placed by hand (%s) cannot be split by %s %d too: leave out their device, or %s", p.key,
            axis, degree, axis);
    }
    return check_gaps(job, count);
}

yoke_status yki_job_resolve_devices(yoke_job *job)
{
    yoke_layout *layout = &job->layout;
    if (layout->dp < 0 || layout->tp < 1 || layout->pp < 1 || layout->cp < 1 || layout->ndevices < 0)
        return yki_fail_at(YOKE_INVALID, job->path, 0, "layout",
                           "dp %d, tp %d, pp %d and cp %d must each be at least 1", layout->dp, layout->tp,
                           layout->pp, layout->cp);
    int parts_count = yki_job_parts(job);
    if (parts_count) YKI_TRY(check_parts(job, parts_count));
    int replica = parts_count ? parts_count : yki_devices_product(layout->tp, layout->pp, layout->cp, 1);
    char needs[160];
    if (parts_count)
        snprintf(needs, sizeof needs, "the layers' %d devices", parts_count);
    else
        snprintf(needs, sizeof needs, "tp %d x pp %d x cp %d", layout->tp, layout->pp, layout->cp);
    if (layout->dp == 0 && !yki_layout_multiply_shards(layout))
        return yki_fail_at(YOKE_INVALID, job->path, 0, "layout.dp_shard",
                           "%d x dp_replicate %d is more than %d devices", layout->dp_shard,
                           layout->dp_replicate, YOKE_MAX_DEVICES);
    if (layout->dp == 0 && layout->ndevices % replica)
        return yki_fail_at(YOKE_INVALID, job->path, 0, "layout.devices",
                           "%d %s cannot be shared by replicas of %s: a multiple of %d is needed",
                           layout->ndevices, layout->ndevices == 1 ? "device" : "devices", needs, replica);
    if (layout->dp == 0) layout->dp = layout->ndevices ? layout->ndevices / replica : 1;
    int total = yki_devices_product(layout->dp, replica, 1, 1);
    if (total > YOKE_MAX_DEVICES)
        return yki_fail_at(YOKE_INVALID, job->path, 0, "layout", "dp %d x %s is more than %d devices",
                           layout->dp, needs, YOKE_MAX_DEVICES);
    if (layout->ndevices && layout->ndevices != total)
        return yki_fail_at(YOKE_INVALID, job->path, 0, "layout.devices",
                           "dp %d x %s need %d devices, but %d %s given", layout->dp, needs, total,
                           layout->ndevices, layout->ndevices == 1 ? "is" : "are");
    return YOKE_OK;
}

yoke_status yki_job_check_batch(const yoke_job *job)
{
    int64_t parts_count = (int64_t)job->layout.dp * job->layout.microbatches;
    if (job->train.batch >= parts_count) return YOKE_OK;
    return yki_fail_at(
        YOKE_INVALID, job->path, 0, "train.batch",
        "a batch of %lld samples is smaller than dp %d x %d micro-batches: each needs a sample",
        (long long)job->train.batch, job->layout.dp, job->layout.microbatches);
}
