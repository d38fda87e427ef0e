/* Options that a C program gives: what a job file's reader would refuse is refused here too. */
#include <math.h>

#include "base/fail.h"
#include "train/trainer.h"

/* A number and where it may lie: from `least` up to, or just below, `end`. */
typedef struct range {
    const char *name;
    double value, least, end;
    bool open; /* `end` itself is not allowed */
} range;

static yoke_status check_enums(const yoke_train_options *t)
{
    const struct {
        const char *name;
        unsigned value, count;
    } enums[] = {{"optimizer", (unsigned)t->optimizer, YOKE_ADAMW + 1},
                 {"schedule", (unsigned)t->rate, YOKE_RATE_COSINE + 1},
                 {"precision", (unsigned)t->precision, YOKE_PRECISION_BF16 + 1},
                 {"holdout_by", (unsigned)t->holdout_by, YOKE_HOLDOUT_DRAW + 1},
                 {"scale", (unsigned)t->scale, YOKE_SCALE_MINMAX + 1}};
    for (size_t i = 0; i < sizeof enums / sizeof *enums; i++)
        if (enums[i].value >= enums[i].count)
            return yki_fail(YOKE_INVALID, "%s %u is none that there is", enums[i].name, enums[i].value);
    return YOKE_OK;
}

yoke_status yki_options_check(const yoke_train_options *t)
{
    const double most = 1e18, any = 1e300;
    const range ranges[] = {{"batch", (double)t->batch, 1, most, false},
                            {"steps", (double)t->steps, 0, INFINITY, false},
                            {"epochs", t->epochs, 0, 1e12, false},
                            {"warmup", (double)t->warmup, 0, INFINITY, false},
                            {"lr", t->lr, 0, any, false},
                            {"final_lr", t->final_lr, 0, any, false},
                            {"momentum", t->momentum, 0, 1, true},
                            {"beta1", t->beta1, 0, 1, true},
                            {"beta2", t->beta2, 0, 1, true},
                            {"eps", t->eps, 0, any, false},
                            {"weight_decay", t->weight_decay, 0, any, false},
                            {"clip", t->clip, 0, any, false},
                            {"holdout", t->holdout, 0, 1, true},
                            {"timeout", t->timeout, 0, 1e9, false}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const range *r = &ranges[i];
        if (r->value >= r->least && (r->open ? r->value < r->end : r->value <= r->end)) continue;
        return yki_fail(YOKE_INVALID, "%s is %g, and must be at least %g and %s %g", r->name, r->value,
                        r->least, r->open ? "below" : "at most", r->end);
    }
    return check_enums(t);
}
