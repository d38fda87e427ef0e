/* yoke inside a program that is no trainer: its own data by a callback, training in a thread of the
 * program's, watched and stopped from outside, and predictions afterwards. */
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <yoke/yoke.h>

typedef struct worker {
    yoke_trainer *trainer;
    _Atomic double loss; /* of the newest step */
    sem_t news;          /* raised after every step, and at the end */
    atomic_bool ended;
} worker;

static void check(yoke_status status)
{
    if (status == YOKE_OK || status == YOKE_STOPPED) return;
    fprintf(stderr, "%s\n", yoke_error_get()->message);
    exit(yoke_status_exit_code(status));
}

/* Our data: 1000 points of a curve, made when they are asked for. */
static yoke_status read_point(void *context, int64_t index, void *input, void *target)
{
    float x = (float)index / 500 - 1;
    (void)context;
    *(float *)input = x;
    *(float *)target = sinf(3 * x);
    return YOKE_OK;
}

static void on_step(void *context, const yoke_step_report *report)
{
    worker *w = context;
    w->loss = report->loss;
    sem_post(&w->news);
}

static void *train(void *context)
{
    worker *w = context;
    check(yoke_trainer_run(w->trainer, 0, on_step, w));
    w->ended = true;
    sem_post(&w->news);
    return NULL;
}

int main(void)
{
    yoke_model *model;
    yoke_data *data;
    pthread_t thread;
    worker w = {.loss = INFINITY};
    yoke_row one = {YOKE_F32, 1, {1}};
    check(yoke_model_create(&model));
    yoke_tensor x =
        yoke_activate(model, yoke_linear(model, yoke_input(model, 1, one.dims), 32, true), YOKE_TANH);
    check(yoke_model_finish(model, yoke_linear(model, x, 1, true), YOKE_MSE));
    check(yoke_data_from_callback(&data, 1000, &one, &one, read_point, NULL));
    yoke_train_options options = {.steps = 20000,
                                  .batch = 50,
                                  .loss = YOKE_MSE,
                                  .optimizer = YOKE_ADAM,
                                  .lr = 0.01,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .eps = 1e-8,
                                  .seed = 1,
                                  .shuffle = true};
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    double before, after;
    check(yoke_trainer_create(&w.trainer, model, data, &options, &layout));
    check(yoke_trainer_eval(w.trainer, data, &before, NULL, NULL));
    if (sem_init(&w.news, 0, 0) != 0 || pthread_create(&thread, NULL, train, &w) != 0) return 1;
    while (!w.ended && w.loss > 0.001)
        sem_wait(&w.news); /* a program with more to do would look in now and then */
    yoke_trainer_stop(w.trainer);
    pthread_join(thread, NULL);
    check(yoke_trainer_eval(w.trainer, data, &after, NULL, NULL));
    printf("loss before training %.4f, after %.4f\n", before, after);
    float inputs[] = {-0.5f, 0, 0.5f}, outputs[3];
    check(yoke_trainer_predict(w.trainer, 3, inputs, outputs));
    for (int i = 0; i < 3; i++)
        printf("sin(3 * %4.1f) is %6.3f, predicted %6.3f\n", inputs[i], sinf(3 * inputs[i]), outputs[i]);
    yoke_trainer_destroy(w.trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
    return 0;
}
