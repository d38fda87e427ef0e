/* verify: loss and gradients of the first step under a layout, against one device or against a file made
 * elsewhere. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "train/trainer.h"

/* A step's gradients by parameter, in logical order. */
typedef struct gradients {
    int count;
    float **values;
    double loss;
} gradients;

static void release(gradients *g)
{
    for (int i = 0; i < g->count && g->values; i++) free(g->values[i]);
    free(g->values);
    *g = (gradients){0};
}

static bool has_gradient(const yoke_model *model, int parameter)
{
    return !model->parameters[parameter].buffer && !model->parameters[parameter].frozen;
}

static yoke_status take_gradients(yoke_trainer *trainer, gradients *g)
{
    yki_step_result result;
    YKI_TRY(yki_trainer_step(trainer, YKI_RUN_GRADIENTS, &result));
    g->loss = result.loss;
    g->count = trainer->model->nparameters;
    g->values = calloc((size_t)g->count + 1, sizeof *g->values);
    for (int i = 0; i < g->count; i++) {
        int64_t elems = yki_trainer_elems(trainer, i);
        if (!has_gradient(trainer->model, i)) continue;
        if (!g->values || !(g->values[i] = malloc(sizeof(float) * (size_t)elems)))
            return yki_fail_memory("gradients");
        YKI_TRY(yki_run_read(trainer->run, YKI_TENSOR_GRADIENT, i, 0, elems, g->values[i]));
    }
    return YOKE_OK;
}

static yoke_status write_gradients(const yoke_trainer *trainer, const gradients *g, const char *path)
{
    const yoke_model *model = trainer->model;
    yki_safetensors_writer *writer;
    YKI_TRY(yki_safetensors_writer_create(path, &writer));
    char loss[40];
    snprintf(loss, sizeof loss, "%.17g", g->loss);
    yoke_status status = yki_safetensors_metadata_set(writer, "loss", loss);
    for (int i = 0; i < g->count && status == YOKE_OK; i++)
        if (g->values[i])
            status = yki_safetensors_declare(writer, model->parameters[i].name, "F32",
                                             model->parameters[i].ndim, model->parameters[i].dims);
    if (status == YOKE_OK) status = yki_safetensors_begin(writer);
    for (int i = 0; i < g->count && status == YOKE_OK; i++)
        if (g->values[i])
            status = yki_safetensors_write(writer, model->parameters[i].name, 0, g->values[i],
                                           (size_t)yki_trainer_elems(trainer, i) * 4);
    if (status == YOKE_OK) return yki_safetensors_finish(writer);
    yki_safetensors_abandon(writer);
    return status;
}

static const yki_safetensor *named(const yki_safetensors *file, const char *name)
{
    char full[300];
    const yki_safetensor *tensor = yki_safetensors_find(file, name);
    snprintf(full, sizeof full, "transformer.%.200s", name);
    return tensor ? tensor : yki_safetensors_find(file, full);
}

/* The reference from a file: the same names and shapes, and a loss. */
static yoke_status read_gradients(const yoke_trainer *trainer, const char *path, gradients *g)
{
    const yoke_model *model = trainer->model;
    yki_safetensors *file;
    YKI_TRY(yki_safetensors_open(path, &file));
    g->count = model->nparameters;
    g->values = calloc((size_t)g->count + 1, sizeof *g->values);
    yoke_status status = g->values ? YOKE_OK : yki_fail_memory("gradients");
    const char *loss = yki_safetensors_metadata(file, "loss");
    g->loss = loss ? strtod(loss, NULL) : NAN;
    for (int i = 0; i < g->count && status == YOKE_OK; i++) {
        const yki_parameter *p = &model->parameters[i];
        if (!has_gradient(model, i)) continue;
        const yki_safetensor *tensor = named(file, p->name);
        bool same = tensor && tensor->ndim == p->ndim;
        for (int d = 0; same && d < p->ndim; d++) same = tensor->dims[d] == p->dims[d];
        if (!tensor)
            status = yki_fail_at(YOKE_INVALID, path, 0, "", "has no gradient of '%s'", p->name);
        else if (!same)
            status = yki_fail_at(YOKE_INVALID, path, 0, "",
                                 "the gradient of '%s' has another shape than the model's tensor", p->name);
        else if (!(g->values[i] = malloc(sizeof(float) * (size_t)tensor->elems)))
            status = yki_fail_memory("gradients");
        else
            status = yki_safetensors_read_f32(file, tensor, 0, tensor->elems, g->values[i]);
    }
    for (int i = 0; i < yki_safetensors_count(file) && status == YOKE_OK; i++) {
        const char *name = yki_safetensors_get(file, i)->name;
        int known = yki_graph_find(model, strncmp(name, "transformer.", 12) == 0 ? name + 12 : name);
        if (known < 0)
            status = yki_fail_at(YOKE_INVALID, path, 0, "",
                                 "has a gradient of '%.100s', which the model does not have", name);
        else if (!has_gradient(model, known))
            status = yki_fail_at(YOKE_INVALID, path, 0, "",
                                 "has a gradient of '%.100s', which does not train here", name);
    }
    yki_safetensors_close(file);
    return status;
}

static double norm(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a[i] - (b ? (double)b[i] : 0);
        sum += d * d;
    }
    return sqrt(sum);
}

static int worst_first(const void *a, const void *b)
{
    double x = ((const yoke_verify_tensor *)a)->rel_err, y = ((const yoke_verify_tensor *)b)->rel_err;
    bool nx = isnan(x), ny = isnan(y);
    return nx || ny ? ny - nx : x > y ? -1 : x < y;
}

static yoke_status compare(const yoke_trainer *trainer, const gradients *g, const gradients *r,
                           double tolerance, yoke_verification *v)
{
    v->tensors = calloc((size_t)g->count + 1, sizeof *v->tensors);
    if (!v->tensors) return yki_fail_memory("a verification");
    double global = 0;
    for (int i = 0; i < g->count; i++) {
        if (!r->values[i]) continue;
        double n = norm(r->values[i], NULL, yki_trainer_elems(trainer, i));
        global += n * n;
    }
    global = sqrt(global);
    for (int i = 0; i < g->count; i++) {
        int64_t elems = yki_trainer_elems(trainer, i);
        if (!r->values[i]) continue;
        double least = fmax(norm(r->values[i], NULL, elems), 1e-3 * global);
        yoke_verify_tensor *t = &v->tensors[v->ntensors++];
        snprintf(t->name, sizeof t->name, "%s", trainer->model->parameters[i].name);
        double difference = norm(g->values[i], r->values[i], elems);
        t->rel_err = difference == 0 ? 0 : difference / least;
    }
    qsort(v->tensors, (size_t)v->ntensors, sizeof *v->tensors, worst_first);
    v->loss = g->loss;
    v->reference_loss = r->loss;
    v->loss_rel_err = isnan(r->loss) ? 0 : fabs(g->loss - r->loss) / fmax(fabs(r->loss), 1e-12);
    v->max_rel_err = v->ntensors > 0 ? v->tensors[0].rel_err : 0;
    v->tolerance = tolerance;
    v->passed = v->max_rel_err <= tolerance && v->loss_rel_err <= tolerance;
    return YOKE_OK;
}

yoke_status yoke_verify(const yoke_job *job, const char *against, const char *write_path, double tolerance,
                        yoke_verification **verification_out)
{
    YKI_NEED(job, verification_out);
    if (tolerance <= 0) tolerance = job->train.precision == YOKE_PRECISION_BF16 ? 2e-2 : 1e-4;
    if (against && (job->model.dropout > 0 || job->model.adapter.dropout > 0))
        return yki_fail(YOKE_INVALID,
                        "verify --against needs dropout 0: nobody else draws the same random numbers");
    yoke_layout one = YOKE_LAYOUT_DEFAULT;
    one.threads = job->layout.threads;
    yki_trainer_options layout = {.job = job, .steps = 1},
                        single = {
                            .job = job, .steps = 1, .layout = &one, .ignore_devices = true, .alone = true};
    gradients g = {0}, r = {0};
    yoke_trainer *trainer = NULL, *reference = NULL;
    yoke_status status = YOKE_OK;
    if (!against) status = yki_reference_set(job, &one, &single);
    if (!against && status == YOKE_OK) {
        status = yki_trainer_create(&reference, &single);
        if (status == YOKE_OK) status = take_gradients(reference, &r);
        yoke_trainer_destroy(reference);
    }
    if (status == YOKE_OK) status = yki_trainer_create(&trainer, &layout);
    if (status == YOKE_OK) status = take_gradients(trainer, &g);
    if (status == YOKE_OK && against) status = read_gradients(trainer, against, &r);
    if (status == YOKE_OK && write_path) {
        if (yki_trainer_leads(trainer)) status = write_gradients(trainer, &g, write_path);
        status = yki_trainer_agree(trainer, status, "", 0);
    }
    yoke_verification *v = status == YOKE_OK ? calloc(1, sizeof *v) : NULL;
    if (status == YOKE_OK)
        status = v ? compare(trainer, &g, &r, tolerance, v) : yki_fail_memory("a verification");
    yoke_trainer_destroy(trainer);
    release(&g);
    release(&r);
    if (status == YOKE_OK) {
        *verification_out = v;
    } else {
        yoke_verification_destroy(v);
    }
    return status;
}

void yoke_verification_destroy(yoke_verification *verification)
{
    if (!verification) return;
    free(verification->tensors);
    free(verification);
}
