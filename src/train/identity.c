/* A run's identity: what it is called, and what it trains on, by what rule, as facts in words that its steps
 * keep. A run that goes on from a step compares its facts with the step's: a change that would make what was
 * learnt mean something else without a word (other data, another share held out, another order) is refused
 * unless the caller names it; one that people make on purpose (another rate, a longer total) is a notice with
 * both values. Processes compare theirs before the first step.
 *
 * Data are known by their rows, as the model gets them, not by their files' names: a moved file is the same.
 * Deliberately absent: layout, devices, threads, where files lie. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "backend/cpu/cpu.h"
#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"
#include "checkpoint/hashes.h"
#include "job/key.h"
#include "train/trainer.h"

enum {
    ROWS_BYTES = 4 << 20, /* of rows that are hashed: all, where there are no more */
    LEAST_ROWS = 64,
    SHOWN_FILES = 4,
};

/* What a change of a fact means. */
typedef enum change {
    SHOWN,   /* nothing by itself: a sentence about others has it */
    SAID,    /* meant: both values are said */
    REFUSED, /* unless it is named */
} change;

typedef struct rule {
    const char *key; /* "train.optimizer.": each of the section's */
    change change;
    bool follows;      /* from other refused facts: silent where one of them has changed */
    const char *named; /* what names it, and people know it by; NULL: the key */
    const char *means; /* of a refused one */
} rule;

static const char other_data[] = "what it has learnt is of other samples, and its place among them would be "
                                 "another",
                  other_order[] = "its place in the data would be another",
                  leaks[] = "it would be scored on samples that it was trained on",
                  no_moments[] = "the optimizer's state in that step would be dropped, and begin at 0";

/* In the order in which they are said. */
static const rule rules[] = {
    {"train.batch", .change = REFUSED, .means = other_order},
    {"train.seed", .change = REFUSED,
     .means = "the order of its data and its random numbers would be others"},
    {"train.sequence", .change = REFUSED, .means = "its samples would be others"},
    {"data.scale", .change = REFUSED, .means = "its inputs would be others"},
    {"data.inputs", .change = REFUSED, .follows = true, .named = "data", .means = other_data},
    {"data.targets", .change = REFUSED, .follows = true, .named = "data", .means = other_data},
    {"data.samples", .change = REFUSED, .follows = true, .named = "data", .means = other_data},
    {"data.columns", .change = REFUSED, .named = "data", .means = other_data},
    {"data.classes", .change = REFUSED, .named = "data", .means = "its classes would be others"},
    {"data.holdout", .change = REFUSED, .means = leaks},
    {"data.holdout_by", .change = REFUSED, .means = leaks},
    {"data.shuffle", .change = REFUSED, .means = other_order},
    {"data.drop_last", .change = REFUSED, .means = other_order},
    {"train.loss", .change = REFUSED, .means = "its last steps were after another aim"},
    {"model", .change = REFUSED, .means = "the same weights would compute something else"},
    {"train.freeze", .change = REFUSED, .means = no_moments},
    {"model.adapter", .change = REFUSED, .means = "the same weights would compute something else"},
    {"model.base", .change = REFUSED, .means = "its adapters were trained beside other weights"},
    {"moments", .change = REFUSED, .named = "train.optimizer.name", .means = no_moments},
    {"moments", .change = REFUSED, .named = "train.optimizer.momentum", .means = no_moments},
    {"train.optimizer.", .change = SAID},
    {"train.steps", .change = SAID},
    {"train.schedule.", .change = SAID},
    {"train.clip", .change = SAID},
    {"train.precision", .change = SAID},
    {"model.dropout", .change = SAID},
    {"data.format", .change = SHOWN},
    {"data.files", .change = SHOWN},
};
enum { NRULES = sizeof rules / sizeof *rules };

static const char *name_of(const rule *r)
{
    return r->named ? r->named : r->key;
}

/* --- making --- */

yoke_status yoke_run_name(char run[33])
{
    YKI_NEED(run);
    unsigned char bits[(YKI_RUN_BYTES - 1) / 2];
    if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits)
        return yki_fail(YOKE_SYSTEM, "the system gives no random numbers for a run's name");
    for (size_t i = 0; i < sizeof bits; i++) snprintf(run + 2 * i, 3, "%02x", bits[i]);
    return YOKE_OK;
}

static void add_hash(yki_identity *identity, const char *key, uint64_t hash)
{
    yki_identity_add(identity, key, "%016llx", (unsigned long long)hash);
}

static void add_real(yki_identity *identity, const char *key, double value)
{
    char text[32];
    yki_identity_add(identity, key, "%s", yki_json_real(text, value));
}

static void add_flag(yki_identity *identity, const char *key, bool value)
{
    yki_identity_add(identity, key, "%s", value ? "true" : "false");
}

/* "x.npy (16128 bytes)", of a path; its folder does not matter. */
static void print_file(yki_text *text, const char *path)
{
    struct stat file;
    const char *slash = strrchr(path, '/');
    char plain[YKI_FACT_BYTES / 2];
    if (!path[0]) return;
    yki_plain(plain, sizeof plain, slash ? slash + 1 : path);
    yki_text_append(text, "%s%s", text->length ? ", " : "", plain);
    if (stat(path, &file) == 0) yki_text_append(text, " (%lld bytes)", (long long)file.st_size);
}

/* "a, b, c"; where that is too long to be kept, its beginning and the hash of all. */
static yoke_status add_names(yki_identity *identity, const char *key, const yki_names *names)
{
    enum { SHOWN_BYTES = 120 };
    yki_text all = {0};
    char plain[SHOWN_BYTES];
    for (int i = 0; i < names->count; i++) yki_text_append(&all, "%s%s", i ? ", " : "", names->names[i]);
    yoke_status status = all.failed ? yki_fail_memory("names of the data") : YOKE_OK;
    if (status == YOKE_OK && all.data && yki_plain(plain, sizeof plain, all.data) == all.length)
        yki_identity_add(identity, key, "%s", plain);
    else if (status == YOKE_OK && all.data)
        yki_identity_add(identity, key, "%s... (%016llx)", plain,
                         (unsigned long long)yki_hash(all.data, all.length));
    yki_text_release(&all);
    return status;
}

/* Rows 0, ..., n-1: evenly spread ones, all where they are not many bytes. */
static yoke_status hash_rows(yoke_trainer *trainer, uint64_t *inputs_out, uint64_t *targets_out)
{
    int64_t n = yoke_data_samples(trainer->data);
    int64_t rows = ROWS_BYTES / (int64_t)(trainer->input_bytes + trainer->target_bytes + 1);
    if (rows < LEAST_ROWS) rows = LEAST_ROWS;
    if (rows > n) rows = n;
    uint64_t seen[2] = {(uint64_t)trainer->input_bytes, (uint64_t)trainer->target_bytes};
    for (int64_t i = 0; i < rows; i++) {
        int64_t at = rows > 1 ? (int64_t)((double)i * (double)(n - 1) / (double)(rows - 1)) : 0;
        YKI_TRY(yoke_data_get(trainer->data, at, trainer->inputs, trainer->targets));
        uint64_t row[2][2] = {{seen[0], yki_hash(trainer->inputs, trainer->input_bytes)},
                              {seen[1], yki_hash(trainer->targets, trainer->target_bytes)}};
        for (int k = 0; k < 2; k++) seen[k] = yki_hash(row[k], sizeof row[k]);
    }
    *inputs_out = seen[0];
    *targets_out = seen[1];
    return YOKE_OK;
}

static yoke_status add_data(yoke_trainer *trainer, yki_identity *identity)
{
    static const char *const shares[] = {[YOKE_HOLDOUT_END] = "end", [YOKE_HOLDOUT_DRAW] = "draw"};
    const yoke_job *job = trainer->job;
    const yoke_train_options *o = &trainer->options;
    yki_identity_add(identity, "data.samples", "%lld", (long long)yoke_data_samples(trainer->data));
    if (!yki_data_is_called(trainer->data)) { /* a caller's function may give other rows each time */
        uint64_t inputs = 0, targets = 0;
        YKI_TRY(hash_rows(trainer, &inputs, &targets));
        add_hash(identity, "data.inputs", inputs);
        add_hash(identity, "data.targets", targets);
    }
    add_real(identity, "data.holdout", o->holdout);
    yki_identity_add(identity, "data.holdout_by", "%s",
                     shares[o->holdout > 0 ? o->holdout_by : YOKE_HOLDOUT_END]);
    yki_identity_add(identity, "data.scale", "%s", yki_scale_name(o->scale));
    YKI_TRY(add_names(identity, "data.columns", &trainer->facts.columns));
    YKI_TRY(add_names(identity, "data.classes", &trainer->facts.classes));
    add_flag(identity, "data.shuffle", o->shuffle);
    add_flag(identity, "data.drop_last", o->drop_last);
    yki_identity_add(identity, "train.sequence", "%lld",
                     (long long)(trainer->model->is_sequence ? o->sequence : 0));
    if (!job) return YOKE_OK;
    yki_text files = {0};
    for (int i = 0; i < job->data.paths.count && i < SHOWN_FILES; i++)
        print_file(&files, job->data.paths.list[i]);
    if (job->data.paths.count > SHOWN_FILES)
        yki_text_append(&files, ", and %d more", job->data.paths.count - SHOWN_FILES);
    print_file(&files, job->data.inputs);
    print_file(&files, job->data.targets);
    yoke_status status = files.failed ? yki_fail_memory("the names of the data's files") : YOKE_OK;
    if (status == YOKE_OK && files.data) yki_identity_add(identity, "data.files", "%s", files.data);
    yki_text_release(&files);
    YKI_TRY(status);
    yki_identity_add(identity, "data.format", "%s", yki_selector_names(YKI_BY_FORMAT)[job->data.format]);
    return YOKE_OK;
}

static void add_numbers(yki_identity *identity, const yki_key *key, const double *numbers)
{
    char text[3][32];
    size_t count = key->size / sizeof *numbers;
    for (size_t i = 0; i < count; i++) yki_json_real(text[i], numbers[i]);
    yki_identity_add(identity, key->path, count > 2 ? "[%s, %s, %s]" : "[%s, %s]", text[0], text[1],
                     count > 2 ? text[2] : "");
}

/* What the options have of a key. */
static void add_key(yki_identity *identity, const yki_key *key, const yoke_train_options *options)
{
    const void *field = yki_key_option(key, options);
    const double *numbers = field;
    int value = 0;
    switch (key->kind) {
    case YKI_KEY_INT:
        yki_identity_add(identity, key->path, "%lld", (long long)*(const int64_t *)field);
        break;
    case YKI_KEY_BOOL:
        add_flag(identity, key->path, *(const bool *)field);
        break;
    case YKI_KEY_NAME:
        if (key->size == sizeof(bool))
            value = *(const bool *)field;
        else
            memcpy(&value, field, sizeof value);
        yki_identity_add(identity, key->path, "%s", key->names[value - key->first]);
        break;
    case YKI_KEY_NUMBERS:
        add_numbers(identity, key, numbers);
        break;
    case YKI_KEY_SWITCH:
        memcpy(&value, field, sizeof value);
        add_flag(identity, key->path, value > 0);
        break;
    default:
        add_real(identity, key->path, numbers[0]);
    }
}

/* Which tensors do not train, and of how many. */
static void add_frozen(const yoke_model *model, yki_identity *identity)
{
    int count = 0;
    uint64_t hash = 0;
    for (int i = 0; i < model->nparameters; i++) {
        if (!model->parameters[i].frozen) continue;
        hash = yki_hash_text(model->parameters[i].name, hash + 1);
        count++;
    }
    if (count == 0)
        yki_identity_add(identity, "train.freeze", "none");
    else
        yki_identity_add(identity, "train.freeze", "of %d of %d tensors (%016llx)", count, model->nparameters,
                         (unsigned long long)hash);
}

static void add_rule(const yoke_trainer *trainer, yki_identity *identity)
{
    const yoke_train_options *o = &trainer->options;
    yki_identity_add(identity, "train.steps", "%lld", (long long)trainer->steps);
    yki_identity_add(identity, "train.batch", "%lld", (long long)o->batch);
    yki_identity_add(identity, "train.seed", "%llu", (unsigned long long)o->seed);
    yki_identity_add(identity, "train.loss", "%s",
                     trainer->model->loss == YOKE_CROSS_ENTROPY ? "cross_entropy" : "mse");
    yki_identity_add(identity, "train.precision", "%s", o->precision == YOKE_PRECISION_BF16 ? "bf16" : "f32");
    yki_identity_add(identity, "moments", "%s", yki_optimizer_state(o));
    for (int i = 0; i < yki_job_nkeys; i++) {
        const yki_key *key = &yki_job_keys[i];
        bool optimizer = strncmp(key->path, "train.optimizer.", 16) == 0;
        if (!optimizer && strncmp(key->path, "train.schedule.", 15) != 0) continue;
        int chosen = key->by == YKI_BY_OPTIMIZER ? (int)o->optimizer
                     : key->by == YKI_BY_RATE    ? (int)o->rate
                                                 : 0;
        if (yki_key_fits(key, chosen)) add_key(identity, key, o);
    }
    add_real(identity, "train.clip", o->clip);
    add_frozen(trainer->model, identity);
}

/* What a list of layers computes, whatever device has them and with how much dropout. */
static uint64_t hash_layers(const yoke_layer *layers, int count, uint64_t hash)
{
    for (int i = 0; i < count; i++) {
        const yoke_layer *l = &layers[i];
        double numbers[] = {(double)l->type,
                            (double)l->activation,
                            (double)l->out,
                            (double)l->rows,
                            (double)l->kernel,
                            (double)l->stride,
                            (double)l->padding,
                            l->bias,
                            l->eps,
                            l->momentum,
                            l->affine,
                            (double)l->statistics,
                            (double)l->nlayers,
                            (double)hash};
        if (l->type == YOKE_LAYER_DROPOUT) continue;
        memcpy(&numbers[sizeof numbers / sizeof *numbers - 1], &hash, sizeof hash);
        hash = hash_layers(l->layers, l->nlayers, yki_hash(numbers, sizeof numbers));
    }
    return hash;
}

yoke_status yki_identity_add_model(const yoke_trainer *trainer, yki_identity *identity)
{
    yoke_model_spec shape = trainer->spec;
    if (!trainer->job)
        return YOKE_OK; /* a graph that a program has built: its tensors' shapes are compared */
    if (shape.family == YOKE_FAMILY_LAYERS) {
        add_hash(identity, "model", hash_layers(shape.layers, shape.nlayers, 0));
        return YOKE_OK;
    }
    const yoke_adapter_spec *a = &shape.adapter;
    if (a->kind == YOKE_ADAPTER_NONE)
        yki_identity_add(identity, "model.adapter", "none");
    else
        yki_identity_add(identity, "model.adapter", "lora of rank %lld and alpha %g", (long long)a->rank,
                         a->alpha);
    add_real(identity, "model.dropout", shape.dropout);
    shape.dropout = 0;
    char *text = yki_config_print(&shape, NULL, NULL, NULL);
    if (!text) return yki_fail_memory("a run's identity");
    add_hash(identity, "model", yki_hash(text, strlen(text)));
    free(text);
    return YOKE_OK;
}

yoke_status yki_base_check(const char *step, const char *from, uint64_t hash)
{
    char path[YKI_FOLDER_BYTES + 64], now[24];
    yki_saved_state state;
    YKI_TRY(yki_path_join(path, sizeof path, step, "state.json"));
    if (!yki_path_exists(path)) return YOKE_OK; /* not saved by a run of yoke's */
    YKI_TRY(yki_checkpoint_state(step, &state));
    const char *then = yki_identity_find(&state.identity, "model.base");
    snprintf(now, sizeof now, "%016llx", (unsigned long long)hash);
    if (!then || strcmp(then, now) == 0) return YOKE_OK;
    return yki_fail(YOKE_INVALID, "the adapters of %s were trained beside other weights than %s has", step,
                    from);
}

/* Says in which of the facts' parts processes differ, before all of them are compared. */
static yoke_status agree(yoke_trainer *trainer, yoke_status status)
{
    static const struct {
        const char *key, *what;
    } parts[] = {{"data.inputs", "content of data (inputs)"}, {"data.targets", "content of data (targets)"}};
    const yki_identity *identity = &trainer->identity;
    const char *isa = yki_isa_name(yki_isa_get()), *files = yki_identity_find(identity, "data.files");
    char what[YKI_FACT_BYTES + 80];
    YKI_TRY(yki_trainer_agree(
        trainer, status, "instruction set (the processor's, or YOKE_ISA, by which all can have the least)",
        yki_hash(isa, strlen(isa))));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *value = yki_identity_find(identity, parts[i].key);
        snprintf(what, sizeof what, "%s%s%s", parts[i].what, files ? ", " : "", files ? files : "");
        YKI_TRY(yki_trainer_agree(trainer, YOKE_OK, what, value ? yki_hash(value, strlen(value)) : 0));
    }
    uint64_t hash = 0;
    for (int i = 0; i < identity->nfacts; i++) {
        if (strcmp(identity->facts[i].key, "data.files") == 0) continue;
        hash = yki_hash_text(identity->facts[i].key, hash);
        hash = yki_hash_text(identity->facts[i].value, hash + 1);
    }
    YKI_TRY(yki_trainer_agree(trainer, YOKE_OK, "job, model or data", hash));
    return yki_trainer_share(trainer, trainer->identity.run, sizeof trainer->identity.run);
}

yoke_status yki_trainer_identify(yoke_trainer *trainer, const char *run)
{
    yki_identity *identity = &trainer->identity;
    yoke_status status = YOKE_OK;
    if (run[0])
        memcpy(identity->run, run, sizeof identity->run);
    else
        status = yoke_run_name(identity->run);
    add_rule(trainer, identity);
    if (status == YOKE_OK) status = add_data(trainer, identity);
    if (status == YOKE_OK) status = yki_identity_add_model(trainer, identity);
    return agree(trainer, status);
}

yoke_status yki_trainer_identify_data(yoke_trainer *trainer)
{
    yki_identity *identity = &trainer->identity, before = *identity;
    identity->nfacts = 0;
    YKI_TRY(add_data(trainer, identity));
    for (int i = 0; i < before.nfacts; i++)
        if (!yki_identity_find(identity, before.facts[i].key))
            yki_identity_add(identity, before.facts[i].key, "%s", before.facts[i].value);
    return YOKE_OK;
}

/* --- comparing --- */

/* Whether `list` ("data,train.optimizer") has an entry that is `name`, or a section of it. */
static bool is_named(const char *list, const char *name)
{
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ",");
        if (length > 0 && strncmp(at, name, length) == 0 && (name[length] == '\0' || name[length] == '.'))
            return true;
        at += length + (at[length] == ',');
    }
    return false;
}

/* YOKE_INVALID: an entry names nothing. */
static yoke_status check_list(const char *list)
{
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ",");
        char entry[80];
        bool known = false;
        snprintf(entry, sizeof entry, "%.*s", (int)(length < 79 ? length : 79), at);
        for (int i = 0; i < NRULES; i++)
            known |= rules[i].change == REFUSED && is_named(entry, name_of(&rules[i]));
        if (!known)
            return yki_fail(
                YOKE_INVALID,
                "'%s' names nothing that a resumed run must keep; data, data.holdout, train.batch, "
                "train.optimizer, model and others do",
                entry);
        at += length + (at[length] == ',');
    }
    return YOKE_OK;
}

bool yki_identity_differs(const yki_identity *before, const yki_identity *now, const char *key)
{
    const char *then = yki_identity_find(before, key), *here = yki_identity_find(now, key);
    return then && here && strcmp(then, here) != 0;
}

/* A total matters where a rate depends on it; what kind of state an optimizer has is due to its name, or else
 * to its momentum. */
static bool matters(const rule *r, const char *key, const yki_identity *before, const yki_identity *now)
{
    const yki_identity *both[] = {before, now};
    bool renamed = yki_identity_differs(before, now, "train.optimizer.name");
    if (strcmp(key, "moments") == 0) return renamed == (strcmp(r->named, "train.optimizer.name") == 0);
    if (strcmp(key, "train.optimizer.momentum") == 0)
        return renamed || !yki_identity_differs(before, now, "moments");
    if (strcmp(key, "train.steps") != 0) return true;
    for (int i = 0; i < 2; i++) {
        const char *rate = yki_identity_find(both[i], "train.schedule.name");
        if (rate && strcmp(rate, "constant") != 0) return true;
    }
    return false;
}

/* "t.txt (20000 bytes), 1249 samples" */
static void print_data(char text[2 * YKI_FACT_BYTES], const yki_identity *identity)
{
    const char *files = yki_identity_find(identity, "data.files"),
               *samples = yki_identity_find(identity, "data.samples");
    snprintf(text, 2 * YKI_FACT_BYTES, "%s%s%s samples", files ? files : "", files ? ", " : "",
             samples ? samples : "?");
}

/* What a refused fact was, and is: "data.holdout 0.0, and this job's is 0.2". */
static void print_refused(yki_text *text, const rule *r, const yki_identity *before, const yki_identity *now)
{
    const char *key = name_of(r);
    char then[2 * YKI_FACT_BYTES], here[2 * YKI_FACT_BYTES];
    if (r->follows) {
        print_data(then, before);
        print_data(here, now);
        if (strcmp(then, here) == 0)
            yki_text_append(text, "data %s, and this job's have other contents", then);
        else
            yki_text_append(text, "data %s, and this job's are %s", then, here);
    } else if (strcmp(r->key, "model") == 0)
        yki_text_append(text, "another model than this job's");
    else {
        key = yki_identity_find(before, key) ? key : r->key;
        yki_text_append(text, "%s %s, and this job's is %s", key, yki_identity_find(before, key),
                        yki_identity_find(now, key));
    }
}

/* What state.json says beside the facts, which is all that older ones say. */
static void complete(yki_identity *before, const yki_saved_state *state)
{
    if (!yki_identity_find(before, "train.batch"))
        yki_identity_add(before, "train.batch", "%lld", (long long)state->batch);
    if (!yki_identity_find(before, "train.seed"))
        yki_identity_add(before, "train.seed", "%llu", (unsigned long long)state->seed);
    if (!yki_identity_find(before, "train.precision"))
        yki_identity_add(before, "train.precision", "%s", state->precision);
    if (!yki_identity_find(before, "train.optimizer.name"))
        yki_identity_add(before, "train.optimizer.name", "%s", state->optimizer);
}

static void say_one(yki_text *said, const rule *r, const char *key, const yki_identity *before,
                    const yki_identity *now)
{
    if (yki_identity_differs(before, now, key) && matters(r, key, before, now))
        yki_text_append(said, "%s%s was %s, and is %s now", said->length ? "; " : "", key,
                        yki_identity_find(before, key), yki_identity_find(now, key));
}

/* What was meant: a key, or each of a section's in the order of the job's. */
static void say_changed(yki_text *said, const rule *r, const yki_identity *before, const yki_identity *now)
{
    size_t length = strlen(r->key);
    if (r->key[length - 1] != '.') say_one(said, r, r->key, before, now);
    for (int i = 0; r->key[length - 1] == '.' && i < yki_job_nkeys; i++)
        if (strncmp(yki_job_keys[i].path, r->key, length) == 0)
            say_one(said, r, yki_job_keys[i].path, before, now);
}

yoke_status yki_identity_compare(const yki_saved_state *state, const yki_identity *now, const char *folder,
                                 const char *named, yki_text *said)
{
    yki_identity before = state->identity;
    yki_text refused = {0}, flags = {0};
    const char *means = NULL;
    bool caused = false; /* a fact that others follow from has changed */
    YKI_TRY(check_list(named));
    complete(&before, state);
    for (int i = 0; i < NRULES; i++) {
        const rule *r = &rules[i];
        const char *name = name_of(r);
        if (r->change == SAID) say_changed(said, r, &before, now);
        if (r->change != REFUSED || !yki_identity_differs(&before, now, r->key) ||
            !matters(r, r->key, &before, now) || (r->follows && caused))
            continue;
        caused = true;
        if (!is_named(named, name)) {
            if (!means) print_refused(&refused, r, &before, now);
            if (!means) means = r->means;
            yki_text_append(&flags, "%s%s", flags.length ? "," : "", name);
        } else {
            yki_text_append(said, said->length ? "; " : "");
            print_refused(said, r, &before, now);
        }
    }
    yoke_status status = said->failed ? yki_fail_memory("what has changed since") : YOKE_OK;
    if (means)
        status = yki_fail(
            YOKE_INVALID, "%s was saved in a run with %s: %s; --resume-changed %s goes on all the same",
            folder, refused.data ? refused.data : "other data", means, flags.data ? flags.data : "data");
    yki_text_release(&refused);
    yki_text_release(&flags);
    return status;
}
