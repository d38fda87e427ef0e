/* Forward only: predictions, and loss and accuracy over samples that training does not see. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "train/trainer.h"

yoke_status yoke_trainer_predict(yoke_trainer *trainer, int64_t n, const void *inputs, float *outputs)
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
        YKI_TRY(yki_run_step(trainer->run, &step, &result));
    }
    return YOKE_OK;
}

/* Rows of outputs whose largest class is the target. */
static int64_t count_right(const float *outputs, const int32_t *targets, int64_t rows, int64_t classes)
{
    int64_t right = 0;
    for (int64_t r = 0; r < rows; r++) {
        const float *row = outputs + r * classes;
        int64_t best = 0;
        for (int64_t c = 1; c < classes; c++)
            if (row[c] > row[best]) best = c;
        right += best == targets[r];
    }
    return right;
}

static yoke_status eval_range(yoke_trainer *trainer, yoke_data *data, int64_t start, int64_t end,
                              double *loss_out, double *accuracy_out)
{
    const yoke_model *model = trainer->model;
    bool classes = trainer->classes > 0 && !model->is_sequence;
    int64_t most = yki_run_forward_samples(trainer->run),
            out = yki_value_elems(&model->values[model->output]);
    most = most < trainer->plan->options.batch ? most : trainer->plan->options.batch; /* the host's buffers */
    float *outputs = classes ? malloc(sizeof(float) * (size_t)(most * out)) : NULL;
    if (classes && !outputs) return yki_fail_memory("an evaluation");
    double loss = 0;
    int64_t right = 0, rows = 0;
    yoke_status status = YOKE_OK;
    for (int64_t first = start; first < end && status == YOKE_OK; first += most) {
        int64_t count = end - first < most ? end - first : most;
        for (int64_t i = 0; i < count; i++) trainer->indices[i] = first + i;
        status = yki_trainer_fetch(trainer, data, trainer->indices, count);
        yki_step step = {.mode = classes ? YKI_RUN_PREDICT : YKI_RUN_EVAL,
                         .samples = count,
                         .inputs = trainer->inputs,
                         .targets = trainer->targets,
                         .outputs = outputs};
        yki_step_result result = {0};
        if (status == YOKE_OK) status = yki_run_step(trainer->run, &step, &result);
        loss += result.loss * (double)count;
        if (classes && status == YOKE_OK) {
            right += count_right(outputs, (const int32_t *)(void *)trainer->targets,
                                 count * out / trainer->classes, trainer->classes);
            rows += count * out / trainer->classes;
        }
    }
    free(outputs);
    *loss_out = loss / (double)(end - start);
    *accuracy_out = classes ? (double)right / (double)rows : NAN;
    return status;
}

yoke_status yoke_trainer_eval(yoke_trainer *trainer, yoke_data *data, double *loss_out, double *accuracy_out,
                              int64_t *samples_out)
{
    int64_t start = data ? 0 : trainer->order.samples, end = yoke_data_samples(data ? data : trainer->data);
    if (end <= start)
        return yki_fail(YOKE_INVALID, "no samples are held out to evaluate on; set data.holdout");
    if (data) YKI_TRY(yki_trainer_check_data(trainer, data));
    double loss = NAN, accuracy = NAN;
    YKI_TRY(eval_range(trainer, data ? data : trainer->data, start, end, &loss, &accuracy));
    if (loss_out) *loss_out = loss;
    if (accuracy_out) *accuracy_out = accuracy;
    if (samples_out) *samples_out = end - start;
    return YOKE_OK;
}
