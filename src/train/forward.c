/* Forward only: predictions, and loss and accuracy over samples that training does not see. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "train/trainer.h"

/* A copy of some samples' inputs, scaled; the callers' own stay as they are. */
static yoke_status scale(const yoke_trainer *trainer, int64_t first, int64_t count, const void *inputs,
                         float *to)
{
    size_t elements = trainer->input_bytes / sizeof(float);
    memcpy(to, inputs, trainer->input_bytes * (size_t)count);
    for (int64_t i = 0; i < count; i++)
        YKI_TRY(
            yki_facts_apply(&trainer->facts, first + i, NULL, to + (size_t)i * elements, (int64_t)elements));
    return YOKE_OK;
}

/* Samples that are run at once, and that the host's buffers hold. */
static int64_t host_samples(const yoke_trainer *trainer)
{
    int64_t most = yki_run_forward_samples(trainer->run), batch = trainer->plan->options.batch;
    return most < batch ? most : batch;
}

static yoke_status predict(yoke_trainer *trainer, int64_t n, const void *inputs, float *scaled,
                           float *outputs)
{
    const yoke_model *model = trainer->model;
    int64_t most = yki_run_forward_samples(trainer->run),
            out = yki_value_elems(&model->values[model->output]);
    for (int64_t first = 0; first < n; first += most) {
        int64_t count = n - first < most ? n - first : most;
        yki_step step = {.mode = YKI_RUN_PREDICT,
                         .samples = count,
                         .inputs = (const char *)inputs + (size_t)first * trainer->input_bytes,
                         .outputs = outputs + first * out};
        yki_step_result result;
        YKI_TRY(yki_trainer_check_inputs(trainer, step.inputs, first, count));
        if (scaled) YKI_TRY(scale(trainer, first, count, step.inputs, scaled));
        if (scaled) step.inputs = (const char *)scaled;
        YKI_TRY(yki_run_step(trainer->run, &step, &result));
    }
    return YOKE_OK;
}

yoke_status yoke_trainer_predict(yoke_trainer *trainer, int64_t n, const void *inputs, float *outputs)
{
    YKI_NEED(trainer);
    if (n < 0)
        return yki_fail(YOKE_INVALID, "predictions for %lld samples: there must be at least 0", (long long)n);
    if (n == 0) return YOKE_OK;
    YKI_NEED(inputs, outputs);
    float *scaled = NULL;
    int64_t most = yki_run_forward_samples(trainer->run);
    if (trainer->facts.scale != YOKE_SCALE_NONE) {
        scaled = malloc(trainer->input_bytes * (size_t)(n < most ? n : most));
        if (!scaled) return yki_fail_memory("inputs to scale");
    }
    yoke_status status = predict(trainer, n, inputs, scaled, outputs);
    free(scaled);
    return status;
}

yoke_status yki_trainer_predict_data(yoke_trainer *trainer, yoke_data *data, int64_t first, int64_t n,
                                     float *outputs)
{
    const yoke_model *model = trainer->model;
    int64_t most = host_samples(trainer), out = yki_value_elems(&model->values[model->output]);
    for (int64_t done = 0; done < n; done += most) {
        yki_step step = {.mode = YKI_RUN_PREDICT,
                         .samples = n - done < most ? n - done : most,
                         .inputs = trainer->inputs,
                         .outputs = outputs + done * out};
        yki_step_result result;
        YKI_TRY(yki_trainer_fetch_inputs(trainer, data, first + done, step.samples));
        YKI_TRY(yki_run_step(trainer->run, &step, &result));
    }
    return YOKE_OK;
}

/* What an evaluation has counted so far. */
typedef struct tally {
    double loss; /* summed over rows that are counted */
    int64_t counted, right, rows, classes;
    int64_t *confusion; /* NULL: not counted */
} tally;

static void count_classes(tally *t, const float *outputs, const int32_t *targets, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++) {
        if (targets[r] == YOKE_UNCOUNTED) continue;
        const float *row = outputs + r * t->classes;
        int64_t best = 0;
        for (int64_t c = 1; c < t->classes; c++)
            if (row[c] > row[best]) best = c;
        t->right += best == targets[r];
        t->rows++;
        if (t->confusion) t->confusion[targets[r] * t->classes + best]++;
    }
}

/* The first `samples` of those held out, or of `others` where there are some; as many at a time as there is
 * room for. */
static yoke_status score(yoke_trainer *trainer, yoke_data *others, int64_t samples, tally *t)
{
    yoke_data *data = others ? others : trainer->data;
    const yoke_model *model = trainer->model;
    int64_t most = host_samples(trainer), out = yki_value_elems(&model->values[model->output]);
    float *outputs = t->classes ? malloc(sizeof(float) * (size_t)(most * out)) : NULL;
    yoke_status status = t->classes && !outputs ? yki_fail_memory("an evaluation") : YOKE_OK;
    YKI_TRY(yki_trainer_agreed(trainer, yki_trainer_agree(trainer, status, "", 0)));
    for (int64_t first = 0; first < samples && status == YOKE_OK; first += most) {
        int64_t count = samples - first < most ? samples - first : most;
        for (int64_t i = 0; i < count; i++)
            trainer->indices[i] = others ? first + i : yki_order_held(&trainer->order, first + i);
        yki_step step = {.mode = t->classes ? YKI_RUN_PREDICT : YKI_RUN_EVAL,
                         .samples = count,
                         .inputs = trainer->inputs,
                         .targets = trainer->targets,
                         .outputs = outputs};
        yki_step_result result = {0};
        yoke_status fetched = yki_trainer_fetch_together(trainer, data, count);
        status = yki_trainer_together(trainer, &step, fetched, &result);
        t->loss += result.loss * (double)result.counted;
        t->counted += result.counted;
        if (!t->classes) t->right += result.right, t->rows += result.counted;
        if (t->classes && status == YOKE_OK)
            count_classes(t, outputs, (const int32_t *)(void *)trainer->targets, count * out / t->classes);
    }
    free(outputs);
    return status;
}

int64_t yoke_trainer_held_out(const yoke_trainer *trainer)
{
    return trainer ? trainer->order.held : 0;
}

/* The names of classes, where the data gave each one, in one block. */
static yoke_status copy_classes(const yoke_trainer *trainer, int64_t classes, char ***names_out)
{
    const yki_names *names = &trainer->facts.classes;
    size_t bytes = sizeof(char *) * (size_t)names->count;
    if (classes == 0 || names->count != classes) return YOKE_OK;
    for (int i = 0; i < names->count; i++) bytes += strlen(names->names[i]) + 1;
    char **copy = malloc(bytes), *at = (char *)(copy + names->count);
    if (!copy) return yki_fail_memory("the names of classes");
    for (int i = 0; i < names->count; i++) {
        copy[i] = at;
        at = stpcpy(at, names->names[i]) + 1;
    }
    *names_out = copy;
    return YOKE_OK;
}

yoke_status yoke_trainer_evaluate(yoke_trainer *trainer, yoke_data *data, int64_t at_most,
                                  yoke_evaluation *evaluation_out)
{
    if (!trainer || !evaluation_out) return yki_fail(YOKE_INVALID, "an evaluation needs a trainer, not NULL");
    if (at_most < 0)
        return yki_fail(YOKE_INVALID, "at most %lld samples: it must be at least 0", (long long)at_most);
    int64_t samples = data ? yoke_data_samples(data) : trainer->order.held;
    if (samples <= 0)
        return yki_fail(YOKE_INVALID, "no samples are held out to evaluate on; set data.holdout");
    if (data) YKI_TRY(yki_trainer_check_data(trainer, data));
    if (data) YKI_TRY(yki_facts_check_data(&trainer->facts, data));
    if (at_most > 0 && at_most < samples) samples = at_most;
    bool tokens = trainer->model->is_sequence;
    tally t = {.classes = tokens ? 0 : trainer->classes};
    if (t.classes > 0 && t.classes <= YOKE_MOST_CONFUSED) {
        t.confusion = calloc((size_t)(t.classes * t.classes), sizeof *t.confusion);
        if (!t.confusion) return yki_fail_memory("an evaluation");
    }
    yoke_status status = score(trainer, data, samples, &t);
    char **names = NULL;
    if (status == YOKE_OK && t.counted == 0)
        status =
            yki_fail(YOKE_INVALID, "no target of the %lld samples to evaluate on is counted: all are -100",
                     (long long)samples);
    if (status == YOKE_OK) status = copy_classes(trainer, t.classes, &names);
    if (status != YOKE_OK) {
        free(t.confusion);
        return status;
    }
    double loss = t.loss / (double)t.counted;
    *evaluation_out = (yoke_evaluation){.scored = data ? YOKE_SCORED_GIVEN : YOKE_SCORED_HELD_OUT,
                                        .samples = samples,
                                        .tokens = tokens ? t.counted : 0,
                                        .loss = loss,
                                        .accuracy = trainer->classes ? (double)t.right / (double)t.rows : NAN,
                                        .perplexity = tokens && trainer->classes ? exp(loss) : NAN,
                                        .nclasses = t.classes,
                                        .confusion = t.confusion,
                                        .classes = names};
    return YOKE_OK;
}

void yoke_evaluation_release(yoke_evaluation *evaluation)
{
    if (!evaluation) return;
    free(evaluation->confusion);
    free(evaluation->classes);
    evaluation->confusion = NULL;
    evaluation->classes = NULL;
}

yoke_status yoke_trainer_eval(yoke_trainer *trainer, yoke_data *data, double *loss_out, double *accuracy_out,
                              int64_t *samples_out)
{
    yoke_evaluation e;
    YKI_TRY(yoke_trainer_evaluate(trainer, data, 0, &e));
    if (loss_out) *loss_out = e.loss;
    if (accuracy_out) *accuracy_out = e.accuracy;
    if (samples_out) *samples_out = e.samples;
    yoke_evaluation_release(&e);
    return YOKE_OK;
}
