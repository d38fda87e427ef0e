/* Options that a C program gives: what a job file's reader would refuse is refused here too. */
#include <math.h>

#include "base/fail.h"
#include "optim/optimizer.h"
#include "optim/rate.h"
#include "train/trainer.h"

/* A number and where it may lie: from, or just above, `least` up to, or just below, `end`. As the table of a
 * job's keys has it. */
typedef struct range {
    const char *name;
    double value, least, end;
    bool above, below; /* the ends themselves are not allowed */
} range;

static yoke_status check_evaluations(const yoke_train_options *t)
{
    if (t->eval_every > 0 && !(t->holdout > 0))
        return yki_fail(YOKE_INVALID, "eval_every is %lld, and holdout keeps no samples to evaluate on",
                        (long long)t->eval_every);
    if (t->eval_every == 0 && (t->patience > 0 || t->eval_batches > 0))
        return yki_fail(YOKE_INVALID, "%s needs eval_every, the steps from one evaluation to the next",
                        t->patience > 0 ? "patience" : "eval_batches");
    return YOKE_OK;
}

static yoke_status check_enums(const yoke_train_options *t)
{
    const struct {
        const char *name;
        unsigned value, count;
    } enums[] = {{"loss", (unsigned)t->loss, YOKE_MSE + 1},
                 {"optimizer", (unsigned)t->optimizer, (unsigned)yki_noptimizers},
                 {"schedule", (unsigned)t->rate, (unsigned)yki_nrates},
                 {"precision", (unsigned)t->precision, YOKE_PRECISION_BF16 + 1},
                 {"holdout_by", (unsigned)t->holdout_by, YOKE_HOLDOUT_DRAW + 1},
                 {"scale", (unsigned)t->scale, YOKE_SCALE_MINMAX + 1}};
    for (size_t i = 0; i < sizeof enums / sizeof *enums; i++)
        if (enums[i].value >= enums[i].count)
            return yki_fail(YOKE_INVALID, "%s %u is none that there is", enums[i].name, enums[i].value);
    return YOKE_OK;
}

/* What contradicts each other, or means nothing beside what was chosen. */
static yoke_status check_rules(const yoke_train_options *t)
{
    if (t->steps > 0 && t->epochs > 0)
        return yki_fail(YOKE_INVALID,
                        "steps %lld and epochs %g are both given: only one of them says how long to train",
                        (long long)t->steps, t->epochs);
    unsigned takes = yki_optimizers[t->optimizer].takes;
    bool stray = t->momentum != 0 && !(takes & YKI_TAKES_MOMENTUM);
    if (stray || (t->nesterov && !(takes & YKI_TAKES_NESTEROV)))
        return yki_fail(YOKE_INVALID, "%s belongs to optimizer sgd, not to %s",
                        stray ? "momentum" : "nesterov", yki_optimizer_names[t->optimizer]);
    if (t->nesterov && t->momentum == 0) return yki_fail(YOKE_INVALID, "nesterov needs a momentum above 0");
    if (!(yki_rates[t->rate].takes & YKI_RATE_TAKES_FINAL_LR) && t->final_lr != 0)
        return yki_fail(YOKE_INVALID,
                        "final_lr %g belongs to the schedules linear and cosine, and this one is %s",
                        t->final_lr, yki_rate_names[t->rate]);
    return YOKE_OK;
}

yoke_status yki_options_check(const yoke_train_options *t)
{
    const double many = 2147483647.0, longest = 1e15, any = 1.7e308, decay = t->weight_decay;
    const range ranges[] = {{"batch", (double)t->batch, 1, many, false, false},
                            {"steps", (double)t->steps, 0, longest, false, false},
                            {"epochs", t->epochs, 0, 1e9, false, false},
                            {"sequence", (double)t->sequence, 0, many, false, false},
                            {"warmup", (double)t->warmup, 0, longest, false, false},
                            {"lr", t->lr, 0, any, true, false},
                            {"final_lr", t->final_lr, 0, any, false, false},
                            {"momentum", t->momentum, 0, 1, false, true},
                            {"beta1", t->beta1, 0, 1, false, true},
                            {"beta2", t->beta2, 0, 1, false, true},
                            {"eps", t->eps, 0, any, true, false},
                            {"weight_decay", decay == YOKE_USUAL_DECAY ? 0 : decay, 0, any, false, false},
                            {"clip", t->clip, 0, any, false, false},
                            {"holdout", t->holdout, 0, 1, false, true},
                            {"skip_nonfinite", (double)t->skip_nonfinite, 0, longest, false, false},
                            {"eval_every", (double)t->eval_every, 0, longest, false, false},
                            {"eval_batches", (double)t->eval_batches, 0, many, false, false},
                            {"patience", (double)t->patience, 0, longest, false, false},
                            {"timeout", t->timeout, 0, 1e9, false, false}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const range *r = &ranges[i];
        if ((r->above ? r->value > r->least : r->value >= r->least) &&
            (r->below ? r->value < r->end : r->value <= r->end))
            continue;
        return yki_fail(YOKE_INVALID, "%s is %g, and must be %s %g and %s %g", r->name, r->value,
                        r->above ? "above" : "at least", r->least, r->below ? "below" : "at most", r->end);
    }
    YKI_TRY(check_enums(t));
    YKI_TRY(check_evaluations(t));
    return check_rules(t);
}
