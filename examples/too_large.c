/* A model that no device's memory holds. Data parallelism cannot help: every device would need all of it.
 * Model parallelism can, if the layers are dealt so that every device's share fits. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke/yoke.h>

enum { LAYERS = 8, WIDTH = 256 };

static void check(yoke_status status)
{
    if (status == YOKE_OK) return;
    char sentence[YOKE_SENTENCE_BYTES];
    fprintf(stderr, "%s\n", yoke_error_sentence(sentence, sizeof sentence));
    exit(yoke_status_exit_code(status));
}

/* Trains LAYERS layers, the first `on_first` of them on device 0 and the others on device 1 (0: wherever the
 * layout says), and prints what came of it. Returns the most bytes that a device needs, 0 where it was
 * refused. */
static int64_t attempt(const char *what, int on_first, yoke_layout layout)
{
    yoke_model *model;
    yoke_data *data;
    yoke_trainer *trainer = NULL;
    yoke_run_report report;
    int64_t peak = 0;
    yoke_row row = {YOKE_F32, 1, {WIDTH}};
    check(yoke_model_create(&model));
    if (on_first) yoke_model_on(model, 0);
    yoke_tensor x = yoke_input(model, 1, row.dims);
    for (int i = 0; i < LAYERS; i++) {
        if (i > 0 && i == on_first) {
            yoke_model_on(model, 1);
            x = yoke_move(model, x, 1);
        }
        x = yoke_activate(model, yoke_linear(model, x, WIDTH, true), YOKE_RELU);
    }
    check(yoke_model_finish(model, x, YOKE_MSE));
    check(yoke_data_random(&data, 64, &row, 0, &row, 0, 1));
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = 5;
    options.batch = 16;
    options.loss = YOKE_MSE;
    yoke_status status = yoke_trainer_create(&trainer, model, data, &options, &layout);
    if (status == YOKE_DOES_NOT_FIT)
        printf("%s: does not fit: %s\n", what, yoke_error_get()->message);
    else {
        check(status);
        check(yoke_trainer_run(trainer, 0, NULL, NULL));
        check(yoke_trainer_report(trainer, &report));
        for (int i = 0; i < report.ndevices; i++)
            if (report.devices[i].measured_peak_bytes > peak) peak = report.devices[i].measured_peak_bytes;
        printf("%s: trains, with at most %lld bytes on a device\n", what, (long long)peak);
    }
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
    return peak;
}

int main(void)
{
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    int64_t whole = attempt("one device with memory to spare", 0, layout);

    layout.device_memory_bytes = whole * 7 / 10;
    printf("from here on a device has %lld bytes\n", (long long)layout.device_memory_bytes);
    attempt("one device", 0, layout);
    layout.dp = 2;
    attempt("data parallelism over two", 0, layout);
    layout.dp = 1;
    attempt("model parallelism, four layers on each", LAYERS / 2, layout);
    attempt("model parallelism, seven layers on the first device", LAYERS - 1, layout);
    return 0;
}
