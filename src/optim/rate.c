/* The table of learning rates' schedules: the formulas of docs/job-file.md. */
#include "optim/rate.h"

#include <math.h>

#define PI 3.14159265358979323846

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
    return o->final_lr + (o->lr - o->final_lr) * (1 + cos(PI * gone(since, span))) / 2;
}

/* As torch.optim.lr_scheduler.PolynomialLR, and down to final_lr. */
static double polynomial(const yoke_train_options *o, int64_t since, int64_t span)
{
    return o->final_lr + (o->lr - o->final_lr) * pow(1 - gone(since, span), o->power);
}

const char *const yki_decay_shape_names[] = {
    [YOKE_DECAY_COSINE] = "cosine", [YOKE_DECAY_LINEAR] = "linear", [YOKE_DECAY_1_SQRT] = "1-sqrt", NULL};

/* Warm-up, stable, decay (Hu et al. 2024, arXiv:2404.06395), as transformers' get_wsd_schedule; 1 - sqrt is
 * of Haegele et al. 2024 (arXiv:2405.18392). The decay ends with the run, and begins after the warm-up. */
static double wsd(const yoke_train_options *o, int64_t since, int64_t span)
{
    int64_t decay = o->decay_steps < span ? o->decay_steps : span;
    double x = gone(since - (span - decay), decay);
    if (x <= 0) return o->lr;
    double left = o->decay_shape == YOKE_DECAY_COSINE   ? (1 + cos(PI * x)) / 2
                  : o->decay_shape == YOKE_DECAY_LINEAR ? 1 - x
                                                        : 1 - sqrt(x);
    return o->final_lr + (o->lr - o->final_lr) * left;
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
