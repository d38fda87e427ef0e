/* Learning rates: a row for each schedule, from which a job's keys, a run's identity and every step's rate
 * follow. */
#ifndef YKI_OPTIM_RATE_H
#define YKI_OPTIM_RATE_H

#include "yoke/job.h"

/* What of the options a schedule takes, beside lr and warmup, which are everyone's. */
enum {
    YKI_RATE_TAKES_FINAL_LR = 1 << 0,
    YKI_RATE_TAKES_POWER = 1 << 1,
    YKI_RATE_TAKES_DECAY = 1 << 2, /* decay_steps and decay_shape */
};

typedef struct yki_rate {
    const char *name;
    unsigned takes;
    /* `since` steps after the warm-up, of the `span` that there are; span is 0 where all of them warm up */
    double (*at)(const yoke_train_options *options, int64_t since, int64_t span);
} yki_rate;

/* clang-format off */
/* id, name, takes, its function in rate.c */
#define YKI_RATE_LIST(X, more)                                  \
    X(more, CONSTANT, "constant", 0, constant)                  \
    X(more, LINEAR, "linear", YKI_RATE_TAKES_FINAL_LR, linear)  \
    X(more, COSINE, "cosine", YKI_RATE_TAKES_FINAL_LR, cosine)  \
    X(more, POLYNOMIAL, "polynomial", YKI_RATE_TAKES_FINAL_LR | YKI_RATE_TAKES_POWER, polynomial) \
    X(more, WSD, "wsd", YKI_RATE_TAKES_FINAL_LR | YKI_RATE_TAKES_DECAY, wsd)

#define YKI_RATE_BIT(what, id, name, takes, at) | (((takes) & (what)) ? 1u << YOKE_RATE_##id : 0u)
/* The schedules that take `what`, a bit each. */
#define YKI_RATES_THAT_TAKE(what) (0u YKI_RATE_LIST(YKI_RATE_BIT, what))
/* clang-format on */

extern const yki_rate yki_rates[];         /* by yoke_rate_schedule */
extern const char *const yki_rate_names[]; /* the same; NULL at the end */
extern const int yki_nrates;

extern const char *const yki_decay_shape_names[]; /* by yoke_decay_shape; NULL at the end */

/* The learning rate of step s, counted from 0, of `steps`. */
double yki_rate_at(const yoke_train_options *options, int64_t steps, int64_t s);

#endif
