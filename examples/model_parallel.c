/* Model parallelism: the model's first layer lives on device 0, its second on device 1. What the first layer
 * computes is copied to the second device; in the backward pass its gradient is copied back. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke/yoke.h>

static void check(yoke_status status)
{
    if (status == YOKE_OK) return;
    char sentence[YOKE_SENTENCE_BYTES];
    fprintf(stderr, "%s\n", yoke_error_sentence(sentence, sizeof sentence));
    exit(yoke_status_exit_code(status));
}

static void print_step(void *context, const yoke_step_report *report)
{
    (void)context;
    if (report->step % 10 == 0) printf("step %3lld  loss %.4f\n", (long long)report->step, report->loss);
}

int main(void)
{
    yoke_model *model;
    check(yoke_model_create(&model));
    yoke_model_on(model, 0); /* layers from here on belong to device 0 */
    yoke_tensor x = yoke_input(model, 1, (int64_t[]){10});
    x = yoke_linear(model, x, 20, true);
    yoke_model_on(model, 1); /* and from here on to device 1, where x has to be moved */
    x = yoke_move(model, x, 1);
    x = yoke_linear(model, x, 5, true);
    check(yoke_model_finish(model, x, YOKE_MSE));

    yoke_data *data;
    yoke_row input = {YOKE_F32, 1, {10}}, target = {YOKE_F32, 1, {5}};
    check(yoke_data_random(&data, 100, &input, 0, &target, 0, 1));

    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = 50;
    options.batch = 10;
    options.lr = 0.01;
    options.loss = YOKE_MSE;

    yoke_layout layout = YOKE_LAYOUT_DEFAULT; /* the model itself says where its layers are */
    yoke_trainer *trainer;
    yoke_run_report report;
    check(yoke_trainer_create(&trainer, model, data, &options, &layout));
    check(yoke_trainer_run(trainer, 0, print_step, NULL));
    check(yoke_trainer_report(trainer, &report));
    for (int i = 0; i < report.ndevices; i++)
        printf("%s holds layer %s: %lld bytes of weights\n", report.devices[i].name, report.devices[i].layers,
               (long long)report.devices[i].bytes.weights);
    printf("%lld bytes moved between them in each step\n", (long long)report.moved_pp);
    printf("Training with model parallelism complete\n");

    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
    return 0;
}
