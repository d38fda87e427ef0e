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
    YKI_TAKES_NEWTON_SCHULZ = 1 << 4, /* ns_steps, ns_coefficients, adjust_lr_fn */
    YKI_TAKES_ADAMW = 1 << 5,         /* adamw_lr, adamw_betas, adamw_eps: of its rule for the rest */
};

/* Whose rule it is: hidden matrices are the 2-D weights of linear and attention layers but for the model's
 * output (graph.h), and the rest is all else. */
typedef enum yki_rule_of { YKI_RULE_REST, YKI_RULE_MATRICES, YKI_RULES } yki_rule_of;

/* How a parameter is updated. */
typedef struct yki_rule {
    /* of gradient, weight, each of the moments, and the weight's copy in bf16 */
    yki_kernel kernel;
    /* f32, as many elements as the weight has: what files call them, after the weight's name */
    const char *moments[YKI_MAX_MOMENTS];
    bool decoupled; /* decay takes from the weights, not by way of the gradients */
    /* The update is of the whole matrix: first `direction`, of gradient and moments, makes the update's
     * direction of the gradient, in its memory; then that is orthogonalised; then `kernel` takes it for the
     * gradient, and no moments. */
    bool orthogonal;
    yki_kernel direction;
} yki_rule;

typedef struct yki_optimizer {
    const char *name;
    unsigned takes;
    yki_rule rules[YKI_RULES];
    bool has_matrices; /* matrices have a rule of their own; else they are of the rest */
    const char *state; /* what moments mean: a run goes on with another optimizer's that mean the same */
    bool if_momentum;  /* none is kept where the momentum is 0 */
    bool nesterov;     /* where it is -1, and there is a momentum */
    double momentum, beta1, beta2, eps, weight_decay; /* where they are YOKE_USUAL */
} yki_optimizer;

/* Tables, a row each: wider than the rest of the house. */
/* clang-format off */
#define YKI_ADAM_MOMENTS .moments = {".exp_avg", ".exp_avg_sq"}
/* id, name, takes, the rest of the row */
#define YKI_OPTIMIZER_LIST(X, more)                                                                                       \
    X(more, SGD, "sgd", YKI_TAKES_MOMENTUM | YKI_TAKES_NESTEROV,                                                          \
      .rules = {{.kernel = YKI_KERNEL_SGD, .moments = {".momentum_buffer"}}}, .state = "momentum", .if_momentum = true)   \
    X(more, ADAM, "adam", YKI_TAKES_BETAS | YKI_TAKES_EPS,                                                                \
      .rules = {{.kernel = YKI_KERNEL_ADAM, YKI_ADAM_MOMENTS}}, .state = "adam",                                          \
      .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8)                                                                          \
    X(more, ADAMW, "adamw", YKI_TAKES_BETAS | YKI_TAKES_EPS,                                                              \
      .rules = {{.kernel = YKI_KERNEL_ADAM, YKI_ADAM_MOMENTS, .decoupled = true}}, .state = "adam",                       \
      .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01)                                                    \
    X(more, LION, "lion", YKI_TAKES_BETAS,                                                                                \
      .rules = {{.kernel = YKI_KERNEL_LION, .moments = {".exp_avg"}, .decoupled = true}}, .state = "lion",                \
      .beta1 = 0.9, .beta2 = 0.99)                                                                                        \
    X(more, MUON, "muon",                                                                                                 \
      YKI_TAKES_MOMENTUM | YKI_TAKES_NESTEROV | YKI_TAKES_EPS | YKI_TAKES_NEWTON_SCHULZ | YKI_TAKES_ADAMW,                \
      .rules = {[YKI_RULE_REST] = {.kernel = YKI_KERNEL_ADAM, YKI_ADAM_MOMENTS, .decoupled = true},                       \
                [YKI_RULE_MATRICES] = {.kernel = YKI_KERNEL_SGD, .moments = {".momentum_buffer"}, .decoupled = true,      \
                                       .orthogonal = true, .direction = YKI_KERNEL_MOMENTUM}},                            \
      .has_matrices = true, .state = "muon", .nesterov = true,                                                            \
      .momentum = 0.95, .eps = 1e-7, .weight_decay = 0.1)

#define YKI_OPTIMIZER_BIT(what, id, name, takes, ...) | (((takes) & (what)) ? 1u << YOKE_##id : 0u)
/* The optimizers that take `what`, a bit each. */
#define YKI_OPTIMIZERS_THAT_TAKE(what) (0u YKI_OPTIMIZER_LIST(YKI_OPTIMIZER_BIT, what))
/* clang-format on */

extern const yki_optimizer yki_optimizers[];    /* by yoke_optimizer */
extern const char *const yki_optimizer_names[]; /* the same; NULL at the end */
extern const int yki_noptimizers;

/* Whose rule of an optimizer is a parameter's. */
static inline yki_rule_of yki_optimizer_rule_of(yoke_optimizer optimizer, bool matrix)
{
    return matrix && yki_optimizers[optimizer].has_matrices ? YKI_RULE_MATRICES : YKI_RULE_REST;
}

/* How many moments are kept of each element, by a rule. */
int yki_optimizer_moments(const yoke_train_options *options, yki_rule_of rule);
/* The kind of them; "none" where none is kept. */
const char *yki_optimizer_state(const yoke_train_options *options);
/* What is YOKE_USUAL gets its value. */
void yki_optimizer_settle(yoke_train_options *options);
/* The update by a rule that comes after `done` others, but for grad_scale. */
yki_update yki_optimizer_update(const yoke_train_options *options, yki_rule_of rule, double lr, int64_t done);

/* How a matrix X is made nearly orthogonal: X / max(norm, eps), then so often aX + (bA + cA^2)X of A = XX^T
 * (a Newton-Schulz iteration; Jordan et al. 2024). */
typedef struct yki_orthogonal {
    int steps;
    double a, b, c, eps;
    yoke_adjust_lr adjust;
} yki_orthogonal;
yki_orthogonal yki_optimizer_orthogonal(const yoke_train_options *options);
/* What the learning rate of a matrix, with the shape that files have, is multiplied by. */
double yki_orthogonal_scale(const yki_orthogonal *o, int64_t rows, int64_t columns);

extern const char *const yki_adjust_lr_names[]; /* by yoke_adjust_lr; NULL at the end */

#endif
