/* predict: what a plan will do, on paper. So far the idle share of its schedule; times on described machines
 * (machine/) come with `plan` and `simulate`. */
#ifndef YKI_PREDICT_PREDICT_H
#define YKI_PREDICT_PREDICT_H

#include "plan/plan.h"
#include "yoke/simulate.h"

/* Durations of each part's actions for the largest micro-batch, in seconds of a nominal core: times_out has
 * an entry a part. They weigh parts against each other; absolute values mean nothing. */
void yki_predict_times(const yki_plan *plan, yoke_times *times_out);

/* The share of a step that devices idle by the schedule alone, simulated with those times; NaN when memory is
 * out. */
double yki_predict_idle(const yki_plan *plan);

/* Floating-point operations of a training step per sample: three times the products of the forward pass
 * (their gradients are two more each), whatever is computed again. */
double yki_predict_flops(const yki_plan *plan);

/* What the cores of the plan's devices do at most, in FLOP/s: what one does of a large product in the plan's
 * precision, on a device made for it, times as many as the devices have threads. YOKE_SYSTEM: memory. */
yoke_status yki_measure_peak(const yki_plan *plan, double *flops_per_s_out);
/* The same of two products, in a quarter of the time. */
yoke_status yki_guess_peak(const yki_plan *plan, double *flops_per_s_out);

/* One step of a plan on a described machine, as events; sequence: tokens of a sample, 0: they are none. As
 * yoke_simulate. */
yoke_status yki_simulate_plan(const yki_plan *plan, int64_t sequence, const yoke_machine *machine,
                              yoke_simulation *out);

/* What ranks of a class do: an action, an end, or an instruction of the one before. Seconds from the step's
 * start. */
typedef struct yki_seen {
    double start, end;
    const yoke_action *action; /* NULL: an end, or an instruction */
    const yki_instruction *in; /* NULL: an action or end */
    yki_end ends;
    int64_t samples;  /* of an action */
    int64_t received; /* bytes that a rank of them has received, at the row's end */
} yki_seen;

/* A class of ranks that do the same at the same time. */
typedef struct yki_seen_class {
    int first, ranks, count; /* its first rank, how many they are; rows */
    const yki_seen *rows;
} yki_seen_class;

/* A step as it is seen by `use`; class_of: by rank. All of it is borrowed. */
typedef struct yki_seen_step {
    const yki_plan *plan;
    double seconds;
    int nclasses;
    const yki_seen_class *classes;
    const int *class_of;
} yki_seen_step;

/* Simulates a step of a job on a machine, as yoke_simulate does, instruction by instruction. */
yoke_status yki_see_step(const yoke_job *job, const yoke_machine *machine,
                         yoke_status (*use)(const yki_seen_step *step, void *context), void *context);

/* --- roof.c --- */

enum { YKI_ROOF_SIZES = 4 };
/* What one of the plan's devices reaches at most. */
typedef struct yki_roof {
    double flops_s;
    double bytes_s[YKI_ROOF_SIZES]; /* of operands from each of some sizes on: caches, then memory */
} yki_roof;

/* Times a large product and sums of two tensors of these sizes, on a device of its own: some tenths of a
 * second. YOKE_SYSTEM: memory. */
yoke_status yki_measure_roof(const yki_plan *plan, yki_roof *roof_out);
/* The least seconds that so many FLOPs on so many bytes of operands take. */
double yki_roof_seconds(const yki_roof *roof, double flops, double bytes, bool *of_bytes_out);

/* Bytes of the rank's own elements that an instruction on states reads and writes: of the first tensor it
 * reads them, of others it does both. *launches_out (may be NULL): kernels that it launches. */
double yki_states_bytes(const yki_plan *plan, const yki_program *program, const yki_states *states,
                        const yki_instruction *in, int64_t *launches_out);

#endif
