/* Checkpoints without a layout: DIR/step-00000100/{config.json, model.safetensors, optimizer.safetensors,
 * state.json, job.yaml}. This file knows folders, names, complete and incomplete saves; the trainer brings
 * the tensors.
 *
 * Names in DIR: step-N a step; .step-N.tmp-PID a save under way; .step-N.old-PID the step that a save of the
 * same number is about to replace (it counts as step N while there is no step-N); .step-N.gone-PID a step
 * being removed; best a link to the step with the least held-out loss, .best.tmp-PID one that is about to
 * take that name. */
#ifndef YKI_CHECKPOINT_CHECKPOINT_H
#define YKI_CHECKPOINT_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/safetensors.h"
#include "data/facts.h"
#include "yoke/job.h"

#define YKI_FOLDER_BYTES YOKE_PATH_BYTES

/* Whose step it is: which run, and what that run trains on and by what rule, as facts in words. A fact is a
 * key ("data.holdout", or a name that no job has, "data.samples") and a value for people and for comparing;
 * what a change of it means to a run that goes on is the trainer's to say. Facts are sorted by key, none is
 * there twice. */
#define YKI_RUN_BYTES  33 /* 32 hexadecimal digits; "": not known */
#define YKI_FACT_BYTES 160
#define YKI_MOST_FACTS 48

typedef struct yki_fact {
    char key[48], value[YKI_FACT_BYTES];
} yki_fact;

typedef struct yki_identity {
    char run[YKI_RUN_BYTES];
    int nfacts;
    yki_fact facts[YKI_MOST_FACTS];
} yki_identity;

/* Adds a fact, its value cut to fit at a character's edge. */
void yki_identity_add(yki_identity *identity, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The value of a fact; NULL: there is none. Borrowed. */
const char *yki_identity_find(const yki_identity *identity, const char *key);
/* Whether the text is a run's name: 32 hexadecimal digits. */
bool yki_is_run(const char *text);

/* What state.json holds. */
typedef struct yki_saved_state {
    int64_t step; /* updates done */
    uint64_t seed;
    int64_t batch;    /* samples per step: with step, the position in the data */
    double last_loss; /* of the last step done; NaN: none, or it was not finite */
    char layout[256]; /* the layout it was saved under, as text */
    char optimizer[16];
    char precision[8];
    int64_t skipped, skipped_in_a_row; /* steps that were left out, in all and just before; 0: none */
    double least_loss, best_loss;      /* held out: of all evaluations; of the step kept as best */
    int64_t least_step, best_step;     /* as many steps done; 0: none yet */
    int64_t no_better;                 /* evaluations in a row since the least */
    bool not_finite;                   /* a tensor has an element that is no finite number */
    bool hashed;                       /* hashes.json belongs to the step */
    yki_identity identity;             /* run "": an older yoke saved it */
} yki_saved_state;

/* A folder of steps that a run holds, and that no other run saves into. Zeroed: none. */
typedef struct yki_claim {
    bool held;
    int lock;
    char dir[1024], run[YKI_RUN_BYTES];
    bool unnamed; /* steps that no run is named in are this one's: it goes on from such a step */
    bool sweeps;  /* once the next step is saved, those that are not this run's are removed */
} yki_claim;

/* For whom, and how, a folder is taken. */
typedef struct yki_claim_wish {
    const char *run;
    bool unnamed;   /* as in yki_claim */
    int64_t step;   /* that it goes on from; 0: it begins */
    bool overwrite; /* steps may be removed that this run did not make, or made after `step` */
    bool take_over; /* what has the lock is an earlier part of this run, on a host that is gone */
    size_t bytes;   /* of a save: there must be room for them */
} yki_claim_wish;

/* Takes DIR, made with its parents. YOKE_INVALID: another run that is under way holds it, by name; or,
 * without `overwrite`, steps are there that this run did not make, or made after `step`; or it cannot be made
 * or written. YOKE_SYSTEM: the disk has no room for a save. */
yoke_status yki_claim_take(const char *dir, const yki_claim_wish *wish, yki_claim *claim_out);
void yki_claim_release(yki_claim *claim);
/* Before a save. YOKE_INVALID: the folder was taken over. */
yoke_status yki_claim_check(const yki_claim *claim);
/* That this process sees the claim that another one has taken. YOKE_INVALID: it looks into another folder. */
yoke_status yki_claim_seen(const char *dir, const char *run);
bool yki_claim_owns(const yki_claim *claim, const yki_saved_state *state);
/* After a save: removes what `overwrite` allows, once. */
yoke_status yki_claim_sweep(yki_claim *claim, int64_t saved);

/* A save under way: a folder with a temporary name beside its final one. Begun and ended by one thread at a
 * time; between, any thread may put files into `temporary`. */
typedef struct yki_save {
    char temporary[YKI_FOLDER_BYTES], final[YKI_FOLDER_BYTES], dir[1024];
    int64_t step;
    bool best;        /* DIR/best is to name it */
    int lock;         /* of `temporary`, held while its process lives; -1: ended */
    yki_claim *claim; /* of `dir`, borrowed; NULL, as begun: whoever made the steps there */
} yki_save;

/* Makes DIR (and its parents) and the temporary folder for step `step`; leftovers of a killed save are
 * removed, and a step that one had set aside is put back. A save that is under way in another process or
 * thread is left alone. Before the first step of all, the folders that DIR lies in are flushed. */
yoke_status yki_save_begin(const char *dir, int64_t step, yki_save *save);
/* Writes state.json and a text file into the temporary folder, flushed. */
yoke_status yki_save_state(const yki_save *save, const yki_saved_state *state);
yoke_status yki_save_text(const yki_save *save, const char *name, const char *text);
/* Flushes the folder, renames it into place, flushes DIR, lets DIR/best name it where it is the best, and
 * removes what its claim lets it, and the run's oldest complete steps beyond the `keep` newest (0: none);
 * never the step just saved, nor the newest one whose tensors and last_loss are finite, nor the best. Refuses
 * (YOKE_INVALID) a folder that readers would call incomplete. A failure leaves what was there before, except
 * that it says so when the step was saved and only an old one could not be removed (YOKE_SYSTEM). Ends the
 * save either way. */
yoke_status yki_save_commit(yki_save *save, int64_t keep);
/* Removes the temporary folder. Does nothing after a commit or another abandon. */
void yki_save_abandon(yki_save *save);

/* Finds what `path` means: a step's folder, or a DIR whose newest complete step is taken. Writes the step's
 * folder. YOKE_INVALID: no such folder, or no complete step in it. A folder as Hugging Face lays it out (no
 * state.json) is found too; *is_step_out says which it was. note_out (256 bytes, or NULL) says which newer
 * steps were passed over and why; "" none. */
yoke_status yki_checkpoint_find(const char *path, char folder_out[YKI_FOLDER_BYTES], int *is_step_out,
                                char *note_out);
/* That a step's folder is complete: config.json, model.safetensors, optimizer.safetensors and state.json are
 * there and valid. YOKE_INVALID names the first that is not. */
yoke_status yki_checkpoint_check(const char *folder);
/* Reads FOLDER/state.json. YOKE_INVALID names file and key. */
yoke_status yki_checkpoint_state(const char *folder, yki_saved_state *state_out);
/* state.json as text, with the hash of what it says, freed by the caller with free(); NULL when memory is
 * out. */
char *yki_state_print(const yki_saved_state *state);

/* config.json of a model: a family's as Hugging Face writes it ("model_type", ...), a `layers` model's with
 * the job's text under "yoke" (job_text: NULL none), and what is known of the data that the model was trained
 * on (facts: NULL nothing). came_with: the text of a config.json that the model was read from, whose keys all
 * stay as they are, but where the model differs from what they say; NULL: none. The spec must be filled in:
 * no count 0. Freed by the caller with free(); NULL when memory is out. */
char *yki_config_print(const yoke_model_spec *model, const char *job_text, const yki_facts *facts,
                       const char *came_with);
/* What FOLDER/config.json says of those data, into `facts` (zeroed, or such as were made), which the caller
 * releases. YOKE_INVALID names file and key. */
yoke_status yki_config_facts(const char *folder, yki_facts *facts);
/* Reads FOLDER/config.json into the shape of a model of a family (layers, heads, width, context, vocab, eps,
 * ...): fields that the job file gave (not 0; switches: not -1) must agree, and stand where config.json says
 * nothing; which of the families that are built as Llama is it is, config.json decides. Older and newer
 * spellings are read. dropout is the job's alone: 0 there means none. YOKE_INVALID names file and key, both
 * values where two disagree, and what yoke does not compute (another activation, other rotary positions,
 * ...). On failure `model` is as it was. */
yoke_status yki_config_read(const char *folder, yoke_model_spec *model);
/* The family of a model_type; false: none is. */
bool yki_config_family(const char *type, yoke_family *family_out);
/* The largest of its probabilities of dropout, which yki_config_read leaves to the job; 0: none. */
yoke_status yki_config_dropout(const char *folder, double *most_out);
/* model_type of FOLDER/config.json, cut to the buffer: of a family, "yoke-layers", or another tool's. */
yoke_status yki_config_type(const char *folder, char type_out[64]);
/* The job text that a `layers` model's config.json holds, freed by the caller with free(). YOKE_INVALID: none
 * there. */
yoke_status yki_config_job(const char *folder, char **job_text_out);

/* peft.c: adapters, as the package PEFT keeps them: adapter_config.json, and their tensors. */
#define YKI_ADAPTER_CONFIG "adapter_config.json"
#define YKI_ADAPTER_FILE   "adapter_model.safetensors"
/* Whether a folder holds adapters, and no whole model. */
bool yki_is_adapter(const char *folder);
/* The path of its tensors. YOKE_INVALID: they are not there, or pickled. */
yoke_status yki_adapter_file(const char *folder, char path[YKI_FOLDER_BYTES + 64]);
/* Reads FOLDER/adapter_config.json: fields that the job gave must agree, but for dropout. YOKE_INVALID names
 * file and key, and what yoke does not compute. Targets that are read stay for good. On failure `adapter` is
 * as it was. */
yoke_status yki_adapter_read(const char *folder, yoke_adapter_spec *adapter);
/* What is absent becomes what PEFT has it be. */
yoke_status yki_adapter_settle(yoke_adapter_spec *adapter, bool gpt2);
/* adapter_config.json; base: where the weights beside are. Freed by the caller with free(); NULL when memory
 * is out. */
char *yki_adapter_print(const yoke_adapter_spec *adapter, bool gpt2, const char *base);

/* --- between the files of this folder --- */

/* Number of "step-N" or, with mark "tmp", "old" or "gone", of ".step-N.MARK-..."; -1: another name. */
int64_t yki_step_number(const char *name, const char *mark);
/* best.c: DIR/best names `step`, by a rename, flushed. YOKE_INVALID: there is something of that name that is
 * no link; YOKE_SYSTEM. */
yoke_status yki_best_set(const char *dir, int64_t step);
/* The step that DIR/best names; -1: there is no such link. */
int64_t yki_best_step(const char *dir);
/* The steps of DIR, newest first, those set aside included where they count; freed with free(). A folder that
 * cannot be listed is YOKE_INVALID. */
typedef struct yki_step_entry {
    int64_t step;
    char name[256];
} yki_step_entry;
yoke_status yki_steps_list(const char *dir, yki_step_entry **steps_out, int *count_out);
/* Removes a step of DIR, so that no half of it is ever seen. */
yoke_status yki_step_remove(const char *dir, const yki_step_entry *entry);

#endif
