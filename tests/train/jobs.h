/* What the tests of training share: jobs of tests/data/models run with overrides, and what they gave. */
#ifndef YKI_TESTS_TRAIN_JOBS_H
#define YKI_TESTS_TRAIN_JOBS_H

#include "base/disk.h"
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/trainer.h"
#include "yoke/yoke.h"

enum { MOST_STEPS = 64, MOST_RANKS = 72 };

typedef struct outcome {
    yoke_status status;
    char message[1200];
    int64_t count;
    double losses[MOST_STEPS];
    int ndevices;
    yoke_device_report devices[MOST_RANKS];
    yoke_run_report report; /* its devices are those above */
} outcome;

/* Loads a job of tests/data/models (or an absolute path) with overrides written "a.b=1; c=2"; one thread a
 * device unless they say otherwise. NULL with the record set where it is refused. */
static inline yoke_job *open_job(const char *name, const char *overrides)
{
    enum { MOST = 24 };
    char path[1200], text[2048];
    const char *list[MOST + 1] = {"layout.threads=1"};
    int count = 1;
    if (name[0] == '/')
        snprintf(path, sizeof path, "%s", name);
    else
        snprintf(path, sizeof path, "%s/models/%s.yaml", YKI_TEST_DATA, name);
    snprintf(text, sizeof text, "%s", overrides ? overrides : "");
    for (char *save = NULL, *word = strtok_r(text, ";", &save); word && count <= MOST;
         word = strtok_r(NULL, ";", &save)) {
        word += strspn(word, " ");
        if (*word) list[count++] = word;
    }
    yoke_job *job = NULL;
    return yoke_job_load(path, count, list, &job) == YOKE_OK ? job : NULL;
}

static inline void note_failure(outcome *out, yoke_status status)
{
    const yoke_error *error = yoke_error_get();
    out->status = status;
    snprintf(out->message, sizeof out->message, "%s %s", error->key, error->message);
}

static inline yoke_trainer *make_trainer(const yoke_job *job)
{
    yoke_trainer *trainer = NULL;
    if (yoke_trainer_create_from_job(&trainer, job) != YOKE_OK) return NULL;
    return trainer;
}

/* A job and its trainer, which must not be refused; finish_job takes both back. */
static inline yoke_trainer *start_job(const char *name, const char *overrides, yoke_job **job_out)
{
    *job_out = open_job(name, overrides);
    yoke_trainer *trainer = *job_out ? make_trainer(*job_out) : NULL;
    if (!trainer)
        fail_msg("%s [%s]: %s %s", name, overrides, yoke_error_get()->key, yoke_error_get()->message);
    return trainer;
}

static inline void finish_job(yoke_trainer *trainer, yoke_job *job)
{
    yoke_trainer_destroy(trainer);
    yoke_job_destroy(job);
}

/* All weights' values of a kind, end to end in logical order, zeros where there are none; freed by the
 * caller. */
static inline float *read_values(const yoke_trainer *trainer, yki_tensor_kind kind)
{
    int64_t at = 0;
    float *values = calloc((size_t)yoke_model_parameters(trainer->model), sizeof *values);
    assert_non_null(values);
    for (int i = 0; i < trainer->model->nparameters; i++) {
        if (trainer->model->parameters[i].buffer) continue;
        if (kind == YKI_TENSOR_WEIGHT || !trainer->model->parameters[i].frozen)
            yki_run_read(trainer->run, kind, i, 0, yki_trainer_elems(trainer, i), values + at);
        at += yki_trainer_elems(trainer, i);
    }
    return values;
}

/* Losses and report of what a trainer did so far. */
static inline void collect(yoke_trainer *trainer, outcome *out)
{
    int64_t first;
    const double *losses = yoke_trainer_losses(trainer, &first, &out->count);
    assert_true(out->count <= MOST_STEPS);
    memcpy(out->losses, losses, sizeof *losses * (size_t)out->count);
    assert_int_equal(yoke_trainer_report(trainer, &out->report), YOKE_OK);
    out->ndevices = out->report.ndevices;
    assert_true(out->ndevices <= MOST_RANKS);
    memcpy(out->devices, out->report.devices, sizeof *out->devices * (size_t)out->ndevices);
    out->report.devices = out->devices;
}

/* Runs a job to its end. */
static inline yoke_status run_job(const char *name, const char *overrides, outcome *out)
{
    memset(out, 0, sizeof *out);
    yoke_job *job = open_job(name, overrides);
    if (!job) {
        note_failure(out, yoke_error_get()->status);
        return out->status;
    }
    yoke_trainer *trainer = NULL;
    yoke_status status = yoke_trainer_create_from_job(&trainer, job);
    if (status == YOKE_OK) status = yoke_trainer_run(trainer, 0, NULL, NULL);
    if (status != YOKE_OK) note_failure(out, status);
    if (trainer) collect(trainer, out);
    yoke_trainer_destroy(trainer);
    yoke_job_destroy(job);
    return status;
}

static inline double worst_difference(const outcome *a, const outcome *b)
{
    double worst = a->count == b->count ? 0 : INFINITY;
    for (int64_t i = 0; i < a->count && i < b->count; i++) {
        double d = fabs(a->losses[i] - b->losses[i]) / fmax(fabs(b->losses[i]), 1e-12);
        worst = d > worst || isnan(d) ? d : worst;
    }
    return worst;
}

static inline void same_bits(const outcome *a, const outcome *b)
{
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++)
        if (memcmp(&a->losses[i], &b->losses[i], sizeof(double)) != 0)
            fail_msg("step %lld: %.17g and %.17g", (long long)i, a->losses[i], b->losses[i]);
}

/* Every device held what was predicted, to the byte, and the kinds are all of it. */
static inline const char *bytes_wrong(const outcome *out)
{
    for (int i = 0; i < out->ndevices; i++) {
        const yoke_device_report *d = &out->devices[i];
        const yoke_bytes *b = &d->bytes;
        if (d->predicted_peak_bytes != d->measured_peak_bytes) return "predicted is not measured";
        if (b->weights + b->gradients + b->optimizer + b->activations + b->movement + b->workspace !=
            d->predicted_peak_bytes)
            return "the kinds do not sum to the peak";
        if (b->weights < 0 || b->gradients < 0 || b->optimizer < 0 || b->activations < 0 || b->movement < 0 ||
            b->workspace < 0)
            return "a kind is negative";
    }
    return NULL;
}

/* A small generator of our own: the tests must not change when the library's does. */
static inline uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Where many cases are alike, one build takes them all: the release build, on the CPU. Others take one in so
 * many (YOKE_TEST_ONE_IN; the sanitizers' builds are compiled with theirs), which is enough to go once
 * through all code of theirs. */
#ifndef YKI_TEST_ONE_IN
#define YKI_TEST_ONE_IN 1
#endif

static inline int one_in(void)
{
    const char *given = getenv("YOKE_TEST_ONE_IN");
    return given ? atoi(given) : YKI_TEST_ONE_IN;
}

static inline bool is_taken(size_t number)
{
    return number % (size_t)one_in() == 0;
}

/* A page of docs/, as text; freed by the caller. */
static inline char *read_page(const char *name)
{
    char path[1200], *page;
    size_t bytes;
    snprintf(path, sizeof path, "%s/../../docs/%s", YKI_TEST_DATA, name);
    assert_int_equal(yki_disk_read(path, 1 << 20, &page, &bytes), YOKE_OK);
    return page;
}

#endif
