/* Optimizers: a row each, from which a job's keys, the plan's states, the launches of updates, a run's
 * identity and the names in saved files follow. */
#ifndef YKI_OPTIM_OPTIMIZER_H
#define YKI_OPTIM_OPTIMIZER_H

#include "backend/kernel.h"
#include "yoke/job.h"

enum { YKI_MAX_MOMENTS = 2 };

/* What an optimizer takes of the options, beside lr, weight_decay and decay_matrices, which are everyone's.
 */
enum {
    YKI_TAKES_MOMENTUM = 1 << 0,
    YKI_TAKES_NESTEROV = 1 << 1,
    YKI_TAKES_BETAS = 1 << 2,
    YKI_TAKES_EPS = 1 << 3,
};

typedef struct yki_optimizer {
    const char *name;
    unsigned takes;
    yki_kernel kernel; /* of gradient, weight, each of the moments, and the weight's copy in bf16 */
    /* f32, as many elements as the weight has: what files call them, after the weight's name */
    const char *moments[YKI_MAX_MOMENTS];
    const char *state; /* what they mean: a run goes on with another optimizer's that mean the same */
    bool if_momentum;  /* none is kept where the momentum is 0 */
    bool decoupled;    /* decay takes from the weights, not by way of the gradients */
    double momentum, beta1, beta2, eps, weight_decay; /* where they are YOKE_USUAL */
} yki_optimizer;

/* Tables, a row each: wider than the rest of the house. */
/* clang-format off */
/* id, name, takes, the rest of the row */
#define YKI_OPTIMIZER_LIST(X, more)                                                                                       \
    X(more, SGD, "sgd", YKI_TAKES_MOMENTUM | YKI_TAKES_NESTEROV,                                                          \
      .kernel = YKI_KERNEL_SGD, .moments = {".momentum_buffer"}, .state = "momentum", .if_momentum = true)                \
    X(more, ADAM, "adam", YKI_TAKES_BETAS | YKI_TAKES_EPS,                                                                \
      .kernel = YKI_KERNEL_ADAM, .moments = {".exp_avg", ".exp_avg_sq"}, .state = "adam",                                 \
      .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8)                                                                          \
    X(more, ADAMW, "adamw", YKI_TAKES_BETAS | YKI_TAKES_EPS,                                                              \
      .kernel = YKI_KERNEL_ADAM, .moments = {".exp_avg", ".exp_avg_sq"}, .state = "adam", .decoupled = true,              \
      .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01)                                                    \
    X(more, LION, "lion", YKI_TAKES_BETAS,                                                                                \
      .kernel = YKI_KERNEL_LION, .moments = {".exp_avg"}, .state = "lion", .decoupled = true, .beta1 = 0.9, .beta2 = 0.99)

#define YKI_OPTIMIZER_BIT(what, id, name, takes, ...) | (((takes) & (what)) ? 1u << YOKE_##id : 0u)
/* The optimizers that take `what`, a bit each. */
#define YKI_OPTIMIZERS_THAT_TAKE(what) (0u YKI_OPTIMIZER_LIST(YKI_OPTIMIZER_BIT, what))
/* clang-format on */

extern const yki_optimizer yki_optimizers[];    /* by yoke_optimizer */
extern const char *const yki_optimizer_names[]; /* the same; NULL at the end */
extern const int yki_noptimizers;

/* How many moments are kept of each element. */
int yki_optimizer_moments(const yoke_train_options *options);
/* The kind of them; "none" where none is kept. */
const char *yki_optimizer_state(const yoke_train_options *options);
/* What is YOKE_USUAL gets its value. */
void yki_optimizer_settle(yoke_train_options *options);
/* The update that comes after `done` others, but for grad_scale. */
yki_update yki_optimizer_update(const yoke_train_options *options, double lr, int64_t done);

#endif
