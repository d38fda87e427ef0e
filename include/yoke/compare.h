/* One job under several strategies, side by side; and one layout's gradients held against one device's. */
#ifndef YOKE_COMPARE_H
#define YOKE_COMPARE_H

#include "yoke/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum yoke_row_status {
    YOKE_ROW_OK,
    YOKE_ROW_REFUSED,
    YOKE_ROW_DOES_NOT_FIT,
    YOKE_ROW_FAILED
} yoke_row_status;

typedef struct yoke_compare_row {
    char strategy[160]; /* single, data, model, pipeline, tensor, whole, or a layout's text */
    yoke_layout layout;
    yoke_row_status status;
    char reason[1024]; /* why it did not run */
    char limit[400];   /* what limits it, one sentence for people */
    char more[400];    /* the command that shows more */
    /* step_ms: the median of all timed steps */
    double step_ms, samples_per_s, speedup, idle_fraction, max_loss_rel_diff;
    double predicted_ms;             /* of a step, by simulation on this host; NaN: not known */
    bool calibrated;                 /* by figures that were measured on it */
    double step_ms_min, step_ms_max; /* of the rounds' medians */
    double cores_taken; /* the share that others took of the cores while this row was timed; NaN: not known */
    int64_t predicted_peak_bytes, measured_peak_bytes; /* of the device that holds most */
    int64_t moved_bytes_per_step;
    int64_t
        limit_bytes;  /* that one device might take; 0: there is no limit, or the row did not come to one */
    yoke_bytes bytes; /* of the device that holds most */
    int threads;      /* each device had */
    /* Owned by the comparison; of a row that did not run empty. */
    int64_t nlosses; /* steps of a round, those not timed too */
    double *losses;  /* of the first round's steps */
    int ntimeline;
    yoke_ran *timeline; /* the last round's last step, by start, as of yoke_trainer_timeline; device: as in
                           cpu:0 */
} yoke_compare_row;

typedef struct yoke_comparison {
    int nrows;
    yoke_compare_row *rows;
    int devices, threads, cores;
    int64_t steps, warmup; /* of each row in each round */
    int rounds;
    double cores_taken,
        throttled;    /* while steps were timed: the share of the cores that other programs took (NaN:
                         not known), and of the time that control groups kept this one waiting */
    int trusted;      /* 0: `notice` says why times say little */
    char notice[600]; /* lines, one a sentence; "" */
    /* One sentence: which row to take, because of what, and when the answer would be another; "": none ran */
    char verdict[1400];
} yoke_comparison;

/* Runs the job under single, data, model, pipeline, tensor and whole, and under each of layouts[], `devices`
 * devices each (single: one with the same threads; whole: one with all cores): all rows once, and so for
 * three rounds, so that whatever else the machine does meets all of them. Every row begins every round with
 * the same weights and batches. steps: of a row in a round; 0: the job's own, bounded for a short run. Rows
 * that cannot run say why, before they make weights; only faults of the job itself fail the call. progress
 * may be NULL: told before each row. Owns: the caller; yoke_comparison_destroy. */
YOKE_API yoke_status yoke_compare(const yoke_job *job, int devices, int nlayouts, const char *const *layouts,
                                  int64_t steps, void (*progress)(void *context, const char *strategy),
                                  void *context, yoke_comparison **comparison_out);
YOKE_API void yoke_comparison_destroy(yoke_comparison *comparison);

typedef struct yoke_verify_tensor {
    char name[128];
    double rel_err;
} yoke_verify_tensor;

typedef struct yoke_verification {
    int passed;
    double loss, reference_loss, loss_rel_err, max_rel_err, tolerance;
    int ntensors;
    yoke_verify_tensor *tensors; /* worst first */
} yoke_verification;

/* Loss and every gradient of the first step under the job's layout against one device, or against the
 * safetensors file `against` (NULL: one device). write_gradients: a file to write the layout's gradients to
 * (NULL: none). tolerance 0: 1e-4, bf16 2e-2. A difference is no failure of the call: see passed. Owns: the
 * caller; yoke_verification_destroy. */
YOKE_API yoke_status yoke_verify(const yoke_job *job, const char *against, const char *write_gradients,
                                 double tolerance, yoke_verification **verification_out);
YOKE_API void yoke_verification_destroy(yoke_verification *verification);

/* Scores a saved model (DIR or a step's folder) or a job (its `from` or first weights) on its held-out share,
 * on all its data where nothing is held out, or on the file `data` (NULL: the job's; of the formats npy and
 * idx two, the inputs' and the targets', with a comma between). adapter: a folder of adapters, or a DIR of
 * steps that have some, that the model is scored with, in place of any others; NULL. Ended by
 * yoke_evaluation_release. notice (may
 * be NULL) is told what should be known of the data. */
YOKE_API yoke_status yoke_eval(const char *dir_or_job, int noverrides, const char *const *overrides,
                               const char *adapter, const char *data, yoke_notice notice, void *context,
                               yoke_evaluation *evaluation_out);

/* What the model of a job would see of the job's data. */
typedef struct yoke_data_view {
    yoke_data *data;           /* as the model takes them, but for scaling; yoke_data_get reads a sample */
    yoke_tokenizer *tokenizer; /* of their tokens; NULL: they are bytes, or no tokens, or have none */
    bool tokens, bytes;        /* inputs are tokens; tokens are the bytes of text */
    int64_t samples, held_out; /* held_out: of the samples */
    int64_t counted;           /* targets, of all samples, that are counted; numbers are counted each */
    int64_t padding;           /* inputs, of all samples, that fill rows up */
    int64_t left_out;          /* rows of jsonl that are no samples, as data.skip_long says */
} yoke_data_view;

/* Opens a job's data and looks at all of them, as a run does before its first step; no weights are read, and
 * nothing is trained. notice (may be NULL) is told what should be known of them. Owns: the caller;
 * yoke_data_view_release. On failure there is nothing to release. */
YOKE_API yoke_status yoke_data_view_open(const yoke_job *job, yoke_notice notice, void *context,
                                         yoke_data_view *view_out);
/* Accepts a zeroed one. */
YOKE_API void yoke_data_view_release(yoke_data_view *view);

#ifdef __cplusplus
}
#endif
#endif
