/* Inside the trainer: what its files share. */
#ifndef YKI_TRAIN_TRAINER_H
#define YKI_TRAIN_TRAINER_H

#include <stdatomic.h>

#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "data/chat.h"
#include "data/data.h"
#include "data/facts.h"
#include "data/order.h"
#include "run/run.h"
#include "yoke/compare.h"
#include "yoke/record.h"

enum { YKI_MAX_WATCHERS = 8 };

typedef struct yki_background yki_background;

/* What evaluations have shown so far, over all parts of a run; losses NaN: none yet. */
typedef struct yki_standing {
    double least_loss, best_loss; /* of all; of the step that checkpoint.best has kept */
    int64_t least_step, best_step;
    int64_t no_better; /* evaluations in a row since the least */
} yki_standing;

/* A file beside a model's weights that a run's steps have too; bytes NULL: there is none. */
typedef struct yki_beside {
    char *bytes;
    size_t count;
} yki_beside;
enum { YKI_BESIDE_CONFIG, YKI_BESIDE_TOKENIZER, YKI_BESIDE_GENERATION, YKI_BESIDE_COUNT = 11 };

struct yoke_trainer {
    const yoke_model *model;
    yoke_data *data;
    yoke_model *own_model; /* made from a job; NULL: the caller's */
    yoke_data *own_data;
    yoke_tokenizer *tokenizer; /* of a job's data; NULL: none was read */
    int32_t eos;               /* jsonl, and the next, as in yki_source */
    yki_chat chat;
    yki_beside beside[YKI_BESIDE_COUNT];
    const yoke_job *job; /* NULL: none */
    char from[YKI_FOLDER_BYTES +
              64]; /* the job's model.from, found: a file, or a folder of one model; "" none */
    char adapter[YKI_FOLDER_BYTES]; /* where its adapters are read from; "": there are none, or new ones */
    uint64_t base_hash;             /* of the weights beside adapters */
    yoke_model_spec spec; /* of a job's model, filled in from config.json; layers are borrowed from the job */
    yoke_train_options options;
    yki_plan *plan;
    yki_run *run;
    yki_order order;
    yki_facts facts;       /* of the data that the model was trained on, or is */
    bool has_facts;        /* they came with weights, which the data at hand must fit */
    yki_identity identity; /* run "": none was made, of inference */
    char changed[512];     /* what a resume may find changed, and what it may do to others: yoke_start */
    bool overwrite, take_over;
    char start[YKI_FOLDER_BYTES]; /* what it was made to go on from; "": it begins */
    bool unnamed;                 /* goes on from a step that no run is named in */
    int64_t from_step;            /* what it goes on from; 0: it begins */
    yki_claim claim;    /* of the job's checkpoint.dir; what is in it beside `dir` is the leader's */
    int64_t steps;      /* the total */
    int64_t first_step; /* of this run: updates done before it */
    int64_t next_step;
    double *losses, *step_seconds; /* of this run's steps */
    int64_t capacity;
    double last_loss;
    int64_t skipped, skipped_in_a_row; /* steps left out: since step 0; just now */
    int64_t skipped_before;            /* of them, before this run */
    bool suspect;                      /* a step was not finite: the weights before it may not be either */
    yki_standing standing;
    yki_standing passed; /* what a save of the best step that fails leaves */
    yoke_held_out *evaluations;
    int64_t nevaluations, evaluation_room;
    double evaluation_seconds;
    bool stopped_early; /* by stop.patience */
    bool said_nothing_learnt, said_uncounted;
    int64_t saved_step; /* the newest that was saved, or resumed from; -1: none */
    char saved[YKI_FOLDER_BYTES];
    bool agreed;      /* all processes know of the failure that ends the run */
    yoke_error apart; /* they do not: they take no part in a save; status YOKE_OK: they do */
    int64_t *tracked; /* by counter of the model */
    /* the batch of the step under way, in host memory */
    int64_t *indices;
    char *inputs, *targets;
    double *real;                     /* a sample's inputs before they are scaled; NULL: nothing is */
    size_t input_bytes, target_bytes; /* of a row */
    int64_t moved[YKI_AXIS_COUNT];    /* in the last step, over all ranks */
    int64_t classes;                  /* cross-entropy: targets are below it */
    atomic_int stop;
    bool alone, stopping;        /* alone: all ranks are in this process; stopping: all processes know */
    bool all_ended;              /* what processes did beside the steps has, in all: all of them know */
    yki_background *background;  /* checkpoint.async; NULL: none yet */
    int64_t saves, failed_saves; /* of runs, by what the job says */
    double save_seconds;         /* that steps waited for them */
    yoke_notice notice;          /* NULL: nobody */
    void *notice_context;
    yki_names notes; /* sentences that wait for somebody to hear them */
    yoke_device_report *devices;
    yoke_ran *ran; /* of the last step, all ranks */
    int nran;
    yoke_watcher watchers[YKI_MAX_WATCHERS];
    int nwatchers;
    bool said_sharing;  /* that there are fewer cores than threads */
    bool traced;        /* a trace is open */
    double flops, peak; /* of a step per sample; of the machine per second, 0: not measured */
    double fetch_s;     /* reading samples, in `fetched` steps */
    int64_t fetched;
    double predicted_s; /* of a step, by yoke_trainer_simulate; 0: nobody has asked */
    bool calibrated;    /* by figures that were measured on the machine */
};

/* What a trainer is made for, beside the public ways. */
typedef struct yki_trainer_options {
    const yoke_job *job;
    const yoke_layout *layout; /* NULL: the job's */
    bool ignore_devices;       /* the layers' `device:` keys */
    int64_t steps;             /* 0: the job's */
    yki_purpose purpose;
    bool dry;                /* up to the plan: no run, no weights */
    int64_t sequence, batch; /* 0: the job's */
    int64_t slots, room;     /* to generate: of the cache; `batch` is rows of a pass then, of all replicas */
    const char *weights; /* a step's folder to take weights from (NULL: the job's `from` or first values) */
    bool no_data;        /* inference on what the caller brings */
    bool alone;          /* not over the processes of a cluster */
    yki_like like;       /* whose micro-batches one device takes */
    const yoke_start *start; /* NULL: a run begins */
} yki_trainer_options;
yoke_status yki_trainer_create(yoke_trainer **trainer_out, const yki_trainer_options *options);
/* Of a job's model on one device with the job's threads, whose layout `one` becomes; weights: as in
 * yki_trainer_options. Both are borrowed by what is made. */
yki_trainer_options yki_inference_options(const yoke_job *job, const char *weights, yoke_layout *one);

/* rows.c: presents a dataset's rows as the model's; YOKE_INVALID: they are not. */
yoke_status yki_model_view(const yoke_model *model, yoke_data *data);
/* The same, and every sample's tokens and classes are such as the model knows (a callback's: when they are
 * read). */
yoke_status yki_trainer_check_data(const yoke_trainer *trainer, yoke_data *data);
/* Ids that an embedding of the model takes are below this, the least number of rows. */
int64_t yki_model_tokens(const yoke_model *model);
/* Targets are below this; 0: they are no classes. */
int64_t yki_model_classes(const yoke_model *model);

/* notices.c: what the data to train on will not teach becomes notes. */
void yki_trainer_look_at_data(yoke_trainer *trainer);

/* batch.c: reads samples into the host buffers, scaled; ids are checked against what the model knows. */
yoke_status yki_trainer_buffers(yoke_trainer *trainer);
/* YOKE_INVALID: inputs of `count` samples, the first of them number `first`, are token ids that the model has
 * not. */
yoke_status yki_trainer_check_inputs(const yoke_trainer *trainer, const void *inputs, int64_t first,
                                     int64_t count);
yoke_status yki_trainer_fetch(yoke_trainer *trainer, yoke_data *data, const int64_t *indices, int64_t count);
/* The inputs alone of samples `first` and so on, as many as the buffers hold at most. */
yoke_status yki_trainer_fetch_inputs(yoke_trainer *trainer, yoke_data *data, int64_t first, int64_t count);
/* Outputs for n samples of the data, whose rows are the model's. */
yoke_status yki_trainer_predict_data(yoke_trainer *trainer, yoke_data *data, int64_t first, int64_t n,
                                     float *outputs);
/* What text becomes tokens by; of all but jsonl the tokenizer alone. */
typedef struct yki_language {
    const yoke_tokenizer *tokenizer; /* NULL: text is bytes */
    int32_t eos;
    const yki_chat *chat;
} yki_language;
static inline yki_language yki_trainer_language(const yoke_trainer *trainer)
{
    return (yki_language){trainer->tokenizer, trainer->eos, &trainer->chat};
}
/* facts: of the model that reads the data, NULL: it is to be made from them. */
yoke_status yki_data_from_job(const yoke_job *job, const yoke_model *model, yki_language language,
                              int64_t sequence, const yki_facts *facts, yoke_data **data_out);
/* The same, but its inputs alone. */
yoke_status yki_data_open_inputs(const yoke_job *job, const yoke_model *model, yki_language language,
                                 int64_t sequence, const yki_facts *facts, yoke_data **data_out);
/* The inputs alone of `file` (NULL: of the job's own data), in the format of the job's data, for the
 * trainer's model: columns are those of its training. Targets may be absent. Scaling is the trainer's, by
 * yoke_trainer_predict. Owns: the caller. */
yoke_status yki_trainer_open_inputs(yoke_trainer *trainer, const char *file, yoke_data **data_out);

/* facts.c: facts that came with the weights, a folder or its model.safetensors, or that the data give; an
 * order where there is none yet. */
yoke_status yki_trainer_read_facts(yoke_trainer *trainer, const char *weights);
/* The folder of a model: of its own model.safetensors too, which means the same. */
void yki_weights_folder(const char *weights, char folder[YKI_FOLDER_BYTES + 64]);
yoke_status yki_trainer_make_facts(yoke_trainer *trainer);
/* A resume from `folder`, before anything is taken from it: its facts become the trainer's, and a job's data
 * are opened again by them where they would be read differently. YOKE_INVALID: they do not belong to the
 * data, or to the job's data.scale; then all is as it was. */
yoke_status yki_trainer_resume_facts(yoke_trainer *trainer, const char *folder);

/* beside.c: reads what lies beside the weights, and beside the tokenizer of the run's text, for the run's
 * steps: as it is now. */
yoke_status yki_beside_keep(yoke_trainer *trainer, const char *weights, const char *from);
/* The config.json that the model was read from; NULL: there is none. Borrowed. */
const char *yki_beside_config(const yoke_trainer *trainer);
/* Puts all else into a step's folder. */
yoke_status yki_beside_save(const yoke_trainer *trainer, const yki_save *save);
void yki_beside_release(yoke_trainer *trainer);
/* The name of a file that belongs to a model beside its weights. */
const char *yki_beside_name(int file);

/* evaluate.c: the job's model gets the adapters of a folder in place of others, which *weights, a step's
 * folder, may have: then it is NULL. YOKE_INVALID: there is no such folder. */
yoke_status yki_job_take_adapter(yoke_job *job, const char *adapter, const char **weights);

/* generate.c: the job that a folder was saved by, without its layout; for a Hugging Face folder, one that
 * says what config.json says. */
yoke_status yki_job_of_folder(const char *folder, yoke_job **job_out);

/* report.c: what is known of a rank's device; without a run, what is predicted. */
yoke_device_report yki_device_report(const yoke_trainer *trainer, int rank);

/* reference.c: what one device that the job's layout is verified against runs; YOKE_INVALID: nothing is like
 * the layout. And the batch at hand in the order of its micro-batches. */
yoke_status yki_reference_set(const yoke_job *job, yoke_layout *one, yki_trainer_options *options);
yoke_status yki_reference_order(yoke_trainer *trainer, int64_t count);

/* cluster.c: of the processes that train together. True: this one makes files, or there is no other. */
bool yki_trainer_leads(const yoke_trainer *trainer);
bool yki_trainer_alone(const yoke_trainer *trainer); /* all ranks are here */
/* All go on with the first one's failure, or none has failed and all have the same `hash` of `what`. */
yoke_status yki_trainer_agree(const yoke_trainer *trainer, yoke_status status, const char *what,
                              uint64_t hash);
/* The leader's bytes for all. */
yoke_status yki_trainer_share(const yoke_trainer *trainer, void *data, size_t bytes);
/* What the layout leaves open, the same for all: cores and memory are those of the process with the least. */
yoke_status yki_trainer_even_out(const yoke_trainer *trainer, int64_t *threads, int64_t *memory);
uint64_t yki_hash_text(const char *text, uint64_t hash);

/* Whether its job trains, or runs, adapters: its steps have those, and not the base. */
static inline bool yki_trainer_adapts(const yoke_trainer *trainer)
{
    return trainer->job && trainer->spec.adapter.kind != YOKE_ADAPTER_NONE;
}
/* Whether a step has a parameter's tensor. */
static inline bool yki_trainer_saves(const yoke_trainer *trainer, int parameter)
{
    return !yki_trainer_adapts(trainer) || trainer->model->parameters[parameter].of_adapter;
}
/* save.c: what files call a parameter's tensor of a kind, after its name; NULL: this run has none. */
const char *yki_trainer_suffix(const yoke_trainer *trainer, yki_tensor_kind kind, int parameter);
/* Tensors of a save, without places and hashes, and their bytes. Owns: the caller, with free(). */
yoke_status yki_saved_tensors(const yoke_trainer *trainer, yki_stored_tensor **tensors_out, int *count_out,
                              size_t *bytes_out);
/* A save under way. All processes create it, between two steps, and share; the rest is each one's own, on any
 * thread: of the trainer only what no step changes is read. After a failure it is destroyed, which removes
 * what there is of it. */
typedef struct yki_saving yki_saving;
yoke_status yki_saving_create(yoke_trainer *trainer, yki_claim *claim, yki_saving **saving_out);
/* The leader's: folder, headers and room for all tensors. */
yoke_status yki_saving_make(yki_saving *saving, const char *dir);
/* Where they are. */
yoke_status yki_saving_share_files(yki_saving *saving);
/* What is to be written then, and room for its hashes, one after the other. */
const yki_stored *yki_saving_stored(const yki_saving *saving);
uint64_t *yki_saving_blocks(const yki_saving *saving);
/* The leader's, once all is written and hashed: the step takes its name. */
yoke_status yki_saving_finish(yki_saving *saving, bool finite);
yoke_status yki_saving_share_folder(yki_saving *saving);
const char *yki_saving_folder(const yki_saving *saving);
void yki_saving_destroy(yki_saving *saving);
/* Notes, and tells watchers, that a step is saved there. */
void yki_trainer_saved(yoke_trainer *trainer, int64_t step, const char *folder);

/* background.c: saves of a run, where the job has a checkpoint.dir; called by all processes of a run, between
 * steps. begin: once a run, before its first step. look: takes the save under way on, where all processes
 * know that they can, and says whether it has failed; with `waits`, after it ended. step: saves the step at
 * hand, or starts to. end: waits for all, and gives the run's status. A failure that the job says to go on
 * after is a notice. */
yoke_status yki_saves_begin(yoke_trainer *trainer);
yoke_status yki_saves_look(yoke_trainer *trainer, bool waits);
yoke_status yki_saves_step(yoke_trainer *trainer);
yoke_status yki_saves_end(yoke_trainer *trainer, yoke_status status);
/* What a step tells the other processes of the save under way; NULL: none is. */
const atomic_bool *yki_saves_ended(const yoke_trainer *trainer);
void yki_background_destroy(yki_background *background);
/* Bytes of the copy that such saves are made from, in this process; 0: there is none. */
int64_t yki_trainer_staging_bytes(const yoke_trainer *trainer);
/* identity.c: makes the trainer's, of the run `run` ("": a new one), by all processes, which must have the
 * same data, model and rule. */
yoke_status yki_trainer_identify(yoke_trainer *trainer, const char *run);
/* What a job's model computes, as a fact. */
yoke_status yki_identity_add_model(const yoke_trainer *trainer, yki_identity *identity);
/* YOKE_INVALID: the adapters of a step were trained beside other weights than `from` has, whose hash this is.
 */
yoke_status yki_base_check(const char *step, const char *from, uint64_t hash);
/* The facts of the data anew, which are opened otherwise than they were. */
yoke_status yki_trainer_identify_data(yoke_trainer *trainer);
/* Whether both know a fact, and not the same one. */
bool yki_identity_differs(const yki_identity *before, const yki_identity *now, const char *key);
/* What has changed since a step in `folder` was saved: YOKE_INVALID where a change that is not in the list
 * `named` would make what was learnt mean something else; others are appended to `said`. */
yoke_status yki_identity_compare(const yki_saved_state *state, const yki_identity *now, const char *folder,
                                 const char *named, yki_text *said);

/* scored.c: notes where what an evaluation scores is not what the run that saved `folder` (or a step's
 * model.safetensors) held out: its data are others, or its share. Weights that no run of yoke's saved say
 * nothing. */
yoke_status yki_trainer_look_at_scored(yoke_trainer *trainer, const char *folder, bool *other_data_out);

/* Notes where weights of layers were saved by a run of another model, whose tensors have the same shapes. */
yoke_status yki_trainer_look_at_model(yoke_trainer *trainer, const char *folder);

/* begin.c: takes a folder for the trainer's run, by all processes, which must see the same one. */
yoke_status yki_trainer_claim(yoke_trainer *trainer, const char *dir, yki_claim *claim_out);
/* Which step's folder a run is to go on from, and what its state.json says. */
yoke_status yki_step_find(const char *dir, char folder[YKI_FOLDER_BYTES], char passed_over[256],
                          yki_saved_state *state_out);
/* That the trainer's run is the one that saved this state. */
void yki_trainer_follow(yoke_trainer *trainer, const yki_saved_state *state);

/* load.c: notices of what a run that begins with the weights of `folder` leaves out of it. */
yoke_status yki_weights_say(yoke_trainer *trainer, const char *folder);
/* Weights of a folder or file by name: every tensor that the model needs, and none that it has no place for.
 */
yoke_status yki_trainer_load_weights(yoke_trainer *trainer, const char *path);
/* The tensor of a parameter, whose names files may have under "transformer."; NULL: there is none. */
const yki_safetensor *yki_tensor_find(const yki_safetensors *file, const char *name, const char *suffix);
/* YOKE_INVALID: it has another shape than the parameter. */
yoke_status yki_tensor_check_shape(const yki_safetensor *tensor, const yki_parameter *p, const char *path,
                                   const char *suffix);
/* Name, type, shape and some of the bytes. */
uint64_t yki_hash_tensor(const yki_safetensor *tensor, uint64_t hash);
/* The adapters of a folder, whose base is loaded. */
yoke_status yki_trainer_load_adapter(yoke_trainer *trainer, const char *folder);
/* All elements of a parameter's tensor. */
int64_t yki_trainer_elems(const yoke_trainer *trainer, int parameter);

/* Hands this thread's record on as a notice. */
void yki_trainer_notice(const yoke_trainer *trainer);
/* A sentence as a notice; it waits where nobody listens yet. */
void yki_trainer_note(yoke_trainer *trainer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The notes of a dataset, once. */
void yki_trainer_hear(yoke_trainer *trainer, yoke_data *data);
/* watch.c: tells watchers of an event, with the sentence of this thread's error record where it is one that
 * ends a run; the record stays as it is. And of a step, whose report it completes. */
void yki_trainer_event(yoke_trainer *trainer, yoke_run_event_kind kind, const char *path);
void yki_trainer_event_at(yoke_trainer *trainer, yoke_run_event_kind kind, int64_t step, const char *path);
void yki_trainer_tell(yoke_trainer *trainer, yoke_step_report *report);
void yki_trainer_evaluated(yoke_trainer *trainer, const yoke_held_out *evaluation);

/* advice.c: notes what of the run teaches nothing, before its first step. */
void yki_trainer_advise(yoke_trainer *trainer);
/* judge.c: samples of an evaluation on the way. */
int64_t yki_trainer_evaluated_samples(const yoke_trainer *trainer);
/* Evaluates the samples held out, and says whether the step at hand is the best so far; counts: for
 * stop.patience too. */
yoke_status yki_trainer_judge(yoke_trainer *trainer, bool counts, bool *best_out);
bool yki_trainer_is_patient(const yoke_trainer *trainer);
void yki_trainer_say_early(yoke_trainer *trainer);

/* loop.c: the samples of trainer->indices into the host's buffers. Where others compute with this process,
 * one that cannot read its samples takes part with zeros: so all hear of it, and nothing is updated. */
yoke_status yki_trainer_fetch_together(yoke_trainer *trainer, yoke_data *data, int64_t count);
/* A step of all processes, of which some may not have their samples (`fetched`): then the first one's
 * failure is everybody's, and nothing was updated. */
yoke_status yki_trainer_together(yoke_trainer *trainer, yki_step *step, yoke_status fetched,
                                 yki_step_result *result);
/* Notes that all processes have this status. */
yoke_status yki_trainer_agreed(yoke_trainer *trainer, yoke_status status);
/* One training step; report is filled in. */
yoke_status yki_trainer_step(yoke_trainer *trainer, yki_run_mode mode, yki_step_result *result);

#endif
