/* Options that a C program gives: what a job file's reader would refuse is refused here too, by the same
 * table of keys. */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "job/job.h"
#include "job/key.h"
#include "optim/optimizer.h"

static yoke_status check_evaluations(const yoke_train_options *t)
{
    if (t->eval_every > 0 && !(t->holdout > 0))
        return yki_fail(YOKE_INVALID, "eval_every is %lld, and holdout keeps no samples to evaluate on",
                        (long long)t->eval_every);
    if (t->holdout_by == YOKE_HOLDOUT_DRAW && !(t->holdout > 0))
        return yki_fail(YOKE_INVALID, "holdout_by is draw, and holdout keeps no samples to draw");
    if (t->eval_every == 0 && (t->patience > 0 || t->eval_batches > 0))
        return yki_fail(YOKE_INVALID, "%s needs eval_every, the steps from one evaluation to the next",
                        t->patience > 0 ? "patience" : "eval_batches");
    return YOKE_OK;
}

/* What contradicts each other. */
static yoke_status check_rules(const yoke_train_options *t)
{
    if (t->steps > 0 && t->epochs > 0)
        return yki_fail(YOKE_INVALID,
                        "steps %lld and epochs %g are both given: only one of them says how long to train",
                        (long long)t->steps, t->epochs);
    yoke_train_options settled = *t;
    yki_optimizer_settle(&settled);
    if (settled.nesterov && settled.momentum == 0)
        return yki_fail(YOKE_INVALID, "nesterov needs a momentum above 0");
    return YOKE_OK;
}

const void *yki_key_option(const yki_key *key, const yoke_train_options *t)
{
    const size_t first = offsetof(yoke_job, train);
    if (key->offset >= first && key->offset < first + sizeof *t)
        return (const char *)t + (key->offset - first);
    if (key->offset == offsetof(yoke_job, data.holdout)) return &t->holdout;
    if (key->offset == offsetof(yoke_job, data.holdout_by)) return &t->holdout_by;
    if (key->offset == offsetof(yoke_job, data.scale)) return &t->scale;
    return NULL;
}

/* What C calls it: "lr" of train.optimizer.lr, "optimizer" of train.optimizer.name, "eval_every" of
 * eval.every. */
static const char *name_of(const yki_key *key, char name[32])
{
    const char *last = strrchr(key->path, '.') + 1;
    if (strcmp(last, "name") != 0) {
        snprintf(name, 32, "%s%s", strncmp(key->path, "eval.", 5) == 0 ? "eval_" : "", last);
        return name;
    }
    const char *section = last - 1;
    while (section > key->path && section[-1] != '.') section--;
    snprintf(name, 32, "%.*s", (int)(last - 1 - section), section);
    return name;
}

static yoke_status check_number(const yki_key *key, const char *name, double value)
{
    double most = key->most != 0 ? key->most : 1.7e308;
    if ((key->above ? value > key->least : value >= key->least) &&
        (key->below ? value < most : value <= most))
        return YOKE_OK;
    return yki_fail(YOKE_INVALID, "%s is %g, and must be %s %g and %s %g", name, value,
                    key->above ? "above" : "at least", key->least, key->below ? "below" : "at most", most);
}

static yoke_status check_name(const yki_key *key, const char *name, int value)
{
    int count = 0;
    while (key->names[count]) count++;
    if (value >= key->first && value - key->first < count) return YOKE_OK;
    return yki_fail(YOKE_INVALID, "%s %u is none that there is", name, (unsigned)value);
}

static yoke_status check_numbers(const yki_key *key, const char *name, const double *numbers)
{
    char called[64];
    bool betas = strcmp(name, "betas") == 0; /* two fields */
    for (size_t i = 0; i < key->size / sizeof *numbers; i++) {
        if (betas)
            snprintf(called, sizeof called, "beta%zu", i + 1);
        else
            snprintf(called, sizeof called, "%s[%zu]", name, i);
        if (numbers[i] != YOKE_USUAL) YKI_TRY(check_number(key, called, numbers[i]));
    }
    return YOKE_OK;
}

static yoke_status check_value(const yki_key *key, const void *field)
{
    const double *numbers = field;
    int64_t whole;
    int value;
    char name[32];
    name_of(key, name);
    switch (key->kind) {
    case YKI_KEY_INT:
        memcpy(&whole, field, sizeof whole); /* all that the options have are of 64 bits */
        return check_number(key, name, (double)whole);
    case YKI_KEY_DOUBLE:
        return check_number(key, name, *numbers);
    case YKI_KEY_NUMBERS:
        return check_numbers(key, name, numbers);
    case YKI_KEY_SWITCH:
        memcpy(&value, field, sizeof value);
        return value == 0 || value == 1
                   ? YOKE_OK
                   : yki_fail(YOKE_INVALID, "%s is %d, and must be 0, 1 or -1", name, value);
    case YKI_KEY_NAME:
        if (key->size == sizeof(bool)) return YOKE_OK;
        memcpy(&value, field, sizeof value);
        return check_name(key, name, value);
    default:
        return YOKE_OK;
    }
}

/* Whether a field is there: it is not what one has that nobody sets. */
static bool is_given(const yki_key *key, const yoke_train_options *t)
{
    static const yoke_train_options usual = YOKE_TRAIN_DEFAULT;
    return memcmp(yki_key_option(key, t), yki_key_option(key, &usual), key->size) != 0;
}

/* A field that means nothing, or is missing, beside the optimizer or the schedule that was chosen. */
static yoke_status check_choice(const yki_key *key, const yoke_train_options *t)
{
    static const double nothing[3];
    if (key->by != YKI_BY_OPTIMIZER && key->by != YKI_BY_RATE) return YOKE_OK;
    int chosen = key->by == YKI_BY_OPTIMIZER ? (int)t->optimizer : (int)t->rate;
    const char *word = yki_selector_word(key->by), *const *names = yki_selector_names(key->by);
    char name[32], owners[160];
    bool given = is_given(key, t);
    if (!given && yki_key_needed(key, chosen, false))
        return yki_fail(YOKE_INVALID, "%s %s needs %s", word, names[chosen], name_of(key, name));
    if (!given || yki_key_fits(key, chosen) || memcmp(yki_key_option(key, t), nothing, key->size) == 0)
        return YOKE_OK;
    yki_names_list(owners, sizeof owners, names, key->of);
    return yki_fail(YOKE_INVALID, "%s belongs to %s %s, not to %s", name_of(key, name), word, owners,
                    names[chosen]);
}

yoke_status yki_options_check(const yoke_train_options *t)
{
    for (int choices = 0; choices < 2; choices++)
        for (int i = 0; i < yki_job_nkeys; i++) {
            const yki_key *key = &yki_job_keys[i];
            if (!yki_key_option(key, t)) continue;
            if (choices)
                YKI_TRY(check_choice(key, t));
            else if (is_given(key, t))
                YKI_TRY(check_value(key, yki_key_option(key, t)));
        }
    YKI_TRY(check_evaluations(t));
    return check_rules(t);
}
