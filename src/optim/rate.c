/* The table of learning rates' schedules: the formulas of docs/job-file.md. */
#include "optim/rate.h"

#include <math.h>

static double constant(const yoke_train_options *o, int64_t since, int64_t span)
{
    (void)since, (void)span;
    return o->lr;
}

/* Which share of the way is gone. */
static double gone(int64_t since, int64_t span)
{
    return span > 0 ? (double)since / (double)span : 0;
}

static double linear(const yoke_train_options *o, int64_t since, int64_t span)
{
    return o->lr + (o->final_lr - o->lr) * gone(since, span);
}

static double cosine(const yoke_train_options *o, int64_t since, int64_t span)
{
    return o->final_lr + (o->lr - o->final_lr) * (1 + cos(3.14159265358979323846 * gone(since, span))) / 2;
}

/* As torch.optim.lr_scheduler.PolynomialLR, and down to final_lr. */
static double polynomial(const yoke_train_options *o, int64_t since, int64_t span)
{
    return o->final_lr + (o->lr - o->final_lr) * pow(1 - gone(since, span), o->power);
}

#define ROW(more, id, name, takes, at)  [YOKE_RATE_##id] = {name, takes, at},
#define NAME(more, id, name, takes, at) [YOKE_RATE_##id] = name,

const yki_rate yki_rates[] = {YKI_RATE_LIST(ROW, )};
const char *const yki_rate_names[] = {YKI_RATE_LIST(NAME, ) NULL};
const int yki_nrates = sizeof yki_rates / sizeof *yki_rates;

double yki_rate_at(const yoke_train_options *options, int64_t steps, int64_t s)
{
    int64_t warmup = options->warmup;
    if (s < warmup) return options->lr * (double)(s + 1) / (double)warmup;
    return yki_rates[options->rate].at(options, s - warmup, steps > warmup ? steps - warmup : 0);
}
