/* The table of optimizers, and what its rows make of a run's options. */
#include "optim/optimizer.h"

#include <math.h>

#define ROW(more, id, called, taken, ...) [YOKE_##id] = {.name = called, .takes = taken, __VA_ARGS__},
#define NAME(more, id, called, ...)       [YOKE_##id] = called,

const yki_optimizer yki_optimizers[] = {YKI_OPTIMIZER_LIST(ROW, )};
const char *const yki_optimizer_names[] = {YKI_OPTIMIZER_LIST(NAME, ) NULL};
const int yki_noptimizers = sizeof yki_optimizers / sizeof *yki_optimizers;

const char *const yki_adjust_lr_names[] = {
    [YOKE_ADJUST_LR_ORIGINAL] = "original", [YOKE_ADJUST_LR_MATCH_RMS_ADAMW] = "match_rms_adamw", NULL};

int yki_optimizer_moments(const yoke_train_options *options, yki_rule_of rule)
{
    const yki_optimizer *row = &yki_optimizers[options->optimizer];
    int count = 0;
    while (count < YKI_MAX_MOMENTS && row->rules[rule].moments[count]) count++;
    return row->if_momentum && options->momentum == 0 ? 0 : count;
}

const char *yki_optimizer_state(const yoke_train_options *options)
{
    return yki_optimizer_moments(options, YKI_RULE_REST) > 0 ? yki_optimizers[options->optimizer].state
                                                             : "none";
}

void yki_optimizer_settle(yoke_train_options *options)
{
    const yki_optimizer *row = &yki_optimizers[options->optimizer];
    if (options->momentum == YOKE_USUAL) options->momentum = row->momentum;
    if (options->nesterov < 0) options->nesterov = row->nesterov && options->momentum > 0;
    if (options->beta1 == YOKE_USUAL) options->beta1 = row->beta1;
    if (options->beta2 == YOKE_USUAL) options->beta2 = row->beta2;
    if (options->eps == YOKE_USUAL) options->eps = row->eps;
    if (options->weight_decay == YOKE_USUAL) options->weight_decay = row->weight_decay;
}

yki_update yki_optimizer_update(const yoke_train_options *options, yki_rule_of rule, double lr, int64_t done)
{
    const yki_optimizer *row = &yki_optimizers[options->optimizer];
    double number = (double)(done + 1);
    yki_update update = {.lr = lr,
                         .weight_decay = options->weight_decay,
                         .beta1 = options->beta1,
                         .beta2 = options->beta2,
                         .eps = options->eps,
                         .decoupled = row->rules[rule].decoupled,
                         .momentum = options->momentum,
                         .nesterov = options->nesterov > 0};
    if (rule == YKI_RULE_REST && (row->takes & YKI_TAKES_ADAMW)) {
        /* rises and falls with the learning rate */
        if (options->adamw_lr > 0) update.lr = lr * (options->adamw_lr / options->lr);
        update.beta1 = options->adamw_betas[0];
        update.beta2 = options->adamw_betas[1];
        update.eps = options->adamw_eps;
    }
    update.bias1 = 1 - pow(update.beta1, number);
    update.bias2 = 1 - pow(update.beta2, number);
    return update;
}

yki_orthogonal yki_optimizer_orthogonal(const yoke_train_options *options)
{
    return (yki_orthogonal){.steps = (int)options->ns_steps,
                            .a = options->ns_coefficients[0],
                            .b = options->ns_coefficients[1],
                            .c = options->ns_coefficients[2],
                            .eps = options->eps,
                            .adjust = options->adjust_lr_fn};
}

double yki_orthogonal_scale(const yki_orthogonal *o, int64_t rows, int64_t columns)
{
    double tall = (double)rows, wide = (double)columns;
    if (o->adjust == YOKE_ADJUST_LR_MATCH_RMS_ADAMW) return 0.2 * sqrt(fmax(tall, wide));
    return sqrt(fmax(1, tall / wide));
}
