/* Predictions of a saved model, without the data it was trained on and without an optimizer's state: open,
 * run, close.
 *
 *     yoke_predictor *p;
 *     yoke_row in, out;
 *     if (yoke_predictor_open("runs/mlp", &p) != YOKE_OK) ...
 *     yoke_predictor_rows(p, &in, &out);
 *     if (yoke_predictor_run(p, n, inputs, outputs) != YOKE_OK) ...
 *     yoke_predictor_close(p);
 *
 * A predictor is used by one thread at a time; it computes on one device, on its caller's thread and that
 * device's team. */
#ifndef YOKE_PREDICT_H
#define YOKE_PREDICT_H

#include "yoke/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_predictor yoke_predictor;

/* Opens DIR (its newest complete step), a step's folder, or a folder as Hugging Face lays it out. Of a saved
 * step, what was known of its training data is kept with it: names of columns and classes, and how inputs
 * were scaled. YOKE_INVALID: no model is there, or a file is malformed, by name; YOKE_DOES_NOT_FIT. Owns: the
 * caller; yoke_predictor_close. On failure *predictor_out is as it was. */
YOKE_API yoke_status yoke_predictor_open(const char *dir, yoke_predictor **predictor_out);

/* Opens the inputs of a file as the training's were read: csv by the names of its columns, in any order, with
 * target columns or without; npy; idx. The format is what the file's name ends in (.csv, .npy, idx1-ubyte
 * ...), else the training's. Read them by yoke_data_get with target NULL. YOKE_INVALID: the file has not the
 * model's inputs; the model goes on from text. Owns: the caller; yoke_data_destroy, before the predictor is
 * closed. */
YOKE_API yoke_status yoke_predictor_data(yoke_predictor *predictor, const char *path, yoke_data **data_out);
/* Who hears what a reader should know though nothing failed, e.g. of columns that were passed over; NULL:
 * nobody. */
YOKE_API void yoke_predictor_on_notice(yoke_predictor *predictor, yoke_notice notice, void *context);

/* n samples' inputs, one after the other, as the data had them (they are scaled here as in training), to n
 * outputs of the model: for classes values that softmax makes probabilities of. Numbers that f32 holds badly
 * (times since 1970) go by yoke_predictor_run_data. n 0 is nothing. YOKE_INVALID:
 * an input is no token of the model. */
YOKE_API yoke_status yoke_predictor_run(yoke_predictor *predictor, int64_t n, const void *inputs,
                                        float *outputs);
/* The same for samples first .. first + n - 1 of data that yoke_predictor_data opened: scaled from all the
 * digits that the file has. YOKE_INVALID: there are no such samples, or the data have not the model's inputs.
 */
YOKE_API yoke_status yoke_predictor_run_data(yoke_predictor *predictor, yoke_data *data, int64_t first,
                                             int64_t n, float *outputs);
/* The same for a model of classes: the likeliest class of each sample and, where not NULL, its probability.
 * Where the outputs have dims before the classes, one for each of them. YOKE_INVALID also: the outputs are no
 * classes. */
YOKE_API yoke_status yoke_predictor_classify(yoke_predictor *predictor, int64_t n, const void *inputs,
                                             int32_t *classes, float *probabilities);

/* What one sample's inputs and outputs are; either may be NULL. */
YOKE_API void yoke_predictor_rows(const yoke_predictor *predictor, yoke_row *input, yoke_row *output);
/* How many classes the last dim of the outputs tells apart; 0: the outputs are numbers. */
YOKE_API int64_t yoke_predictor_classes(const yoke_predictor *predictor);
/* The name of class i, of input column i and of target column i in the data of training; NULL where they had
 * none, and past the last. Borrowed. */
YOKE_API const char *yoke_predictor_class(const yoke_predictor *predictor, int64_t i);
YOKE_API const char *yoke_predictor_column(const yoke_predictor *predictor, int64_t i);
YOKE_API const char *yoke_predictor_target(const yoke_predictor *predictor, int64_t i);
/* Bytes of its device: weights and what passes through, no gradients, no optimizer's state. */
YOKE_API int64_t yoke_predictor_bytes(const yoke_predictor *predictor);
/* The folder that was opened. Borrowed. */
YOKE_API const char *yoke_predictor_folder(const yoke_predictor *predictor);

/* NULL is allowed. */
YOKE_API void yoke_predictor_close(yoke_predictor *predictor);

#ifdef __cplusplus
}
#endif
#endif
