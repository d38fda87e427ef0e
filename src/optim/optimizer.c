/* The table of optimizers, and what its rows make of a run's options. */
#include "optim/optimizer.h"

#include <math.h>

#define ROW(more, id, called, taken, ...) [YOKE_##id] = {.name = called, .takes = taken, __VA_ARGS__},
#define NAME(more, id, called, ...)       [YOKE_##id] = called,

const yki_optimizer yki_optimizers[] = {YKI_OPTIMIZER_LIST(ROW, )};
const char *const yki_optimizer_names[] = {YKI_OPTIMIZER_LIST(NAME, ) NULL};
const int yki_noptimizers = sizeof yki_optimizers / sizeof *yki_optimizers;

int yki_optimizer_moments(const yoke_train_options *options)
{
    const yki_optimizer *row = &yki_optimizers[options->optimizer];
    int count = 0;
    while (count < YKI_MAX_MOMENTS && row->moments[count]) count++;
    return row->if_momentum && options->momentum == 0 ? 0 : count;
}

const char *yki_optimizer_state(const yoke_train_options *options)
{
    return yki_optimizer_moments(options) > 0 ? yki_optimizers[options->optimizer].state : "none";
}

void yki_optimizer_settle(yoke_train_options *options)
{
    const yki_optimizer *row = &yki_optimizers[options->optimizer];
    if (options->momentum == YOKE_USUAL) options->momentum = row->momentum;
    if (options->beta1 == YOKE_USUAL) options->beta1 = row->beta1;
    if (options->beta2 == YOKE_USUAL) options->beta2 = row->beta2;
    if (options->eps == YOKE_USUAL) options->eps = row->eps;
    if (options->weight_decay == YOKE_USUAL) options->weight_decay = row->weight_decay;
}

yki_update yki_optimizer_update(const yoke_train_options *options, double lr, int64_t done)
{
    double number = (double)(done + 1);
    return (yki_update){.lr = lr,
                        .weight_decay = options->weight_decay,
                        .beta1 = options->beta1,
                        .beta2 = options->beta2,
                        .eps = options->eps,
                        .bias1 = 1 - pow(options->beta1, number),
                        .bias2 = 1 - pow(options->beta2, number),
                        .decoupled = yki_optimizers[options->optimizer].decoupled,
                        .momentum = options->momentum,
                        .nesterov = options->nesterov};
}
