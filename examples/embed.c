/* yoke in a program that is no trainer: data by a callback, training in a thread, watched and stopped. */
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <yoke/yoke.h>

static _Atomic double loss = 1e9; /* of the newest step */
static atomic_bool ended;
static sem_t news; /* raised after every step, and at the end */

static void check(yoke_status status)
{
    if (status == YOKE_OK || status == YOKE_STOPPED) return;
    char sentence[YOKE_SENTENCE_BYTES];
    fprintf(stderr, "%s\n", yoke_error_sentence(sentence, sizeof sentence));
    exit(yoke_status_exit_code(status));
}

/* Our data: 1000 points of a curve, made when they are asked for. */
static yoke_status read_point(void *frequency, int64_t index, void *input, void *target)
{
    *(float *)input = (float)index / 500 - 1;
    *(float *)target = sinf(*(float *)frequency * *(float *)input);
    return YOKE_OK;
}

static void on_step(void *context, const yoke_step_report *report)
{
    *(_Atomic double *)context = report->loss;
    sem_post(&news);
}

static void *train(void *context)
{
    check(yoke_trainer_run(context, 0, on_step, &loss));
    ended = true;
    sem_post(&news);
    return NULL;
}

int main(void)
{
    yoke_model *model;
    yoke_data *data;
    yoke_trainer *trainer;
    yoke_row one = {YOKE_F32, 1, {1}};
    check(yoke_model_create(&model));
    yoke_tensor x = yoke_linear(model, yoke_input(model, 1, one.dims), 32, true);
    x = yoke_linear(model, yoke_activate(model, x, YOKE_TANH), 1, true);
    check(yoke_model_finish(model, x, YOKE_MSE));
    check(yoke_data_from_callback(&data, 1000, &one, &one, read_point, &(float){3}));
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = 20000;
    options.batch = 50;
    options.loss = YOKE_MSE;
    options.optimizer = YOKE_ADAM;
    options.lr = 0.01;
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    double before, after, accuracy;
    int64_t samples;
    check(yoke_trainer_create(&trainer, model, data, &options, &layout));
    check(yoke_trainer_eval(trainer, data, &before, &accuracy, &samples));
    pthread_t thread;
    if (sem_init(&news, 0, 0) != 0 || pthread_create(&thread, NULL, train, trainer) != 0) return 1;
    while (!ended && loss > 0.001) sem_wait(&news); /* or whatever else the program has to do */
    yoke_trainer_stop(trainer);
    pthread_join(thread, NULL);
    check(yoke_trainer_eval(trainer, data, &after, &accuracy, &samples));
    printf("loss before training %.4f, after %.4f\n", before, after);
    float input = 0.5f, output;
    check(yoke_trainer_predict(trainer, 1, &input, &output));
    printf("sin(3 * %.1f) is %.3f, predicted %.3f\n", input, sinf(3 * input), output);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
    return 0;
}
