/* What things take on a described machine: a kernel on a device, a movement over the links that a group of
 * ranks spans. Rank r is the machine's device r. */
#ifndef YKI_PREDICT_SIMULATE_COST_H
#define YKI_PREDICT_SIMULATE_COST_H

#include "plan/plan.h"
#include "yoke/machine.h"

typedef struct yki_costs {
    const yoke_machine *machine;
    double product[2]; /* FLOP/s at the peak, of f32 and bf16 */
} yki_costs;

/* What products of a plan's precision reach. YOKE_INVALID: the machine does not say. */
yoke_status yki_costs_of(const yoke_machine *machine, const yki_plan *plan, yki_costs *costs_out);

/* Seconds of a launch, the launch itself not among them. */
double yki_kernel_seconds(const yki_costs *costs, const yki_launch *launch);

/* What links a movement takes, of the outermost level that it crosses: seconds until its first byte has come,
 * and bytes/s that come to each member then, where its devices' links carry nothing else. */
typedef struct yki_route {
    int level;        /* -1: none, there is one member */
    double latency_s; /* of one step at each level that is crossed, times as many as a ring or a tree takes */
    double bytes_s;
    double crossing; /* of all_to_all: bytes/s that come to each member */
} yki_route;

/* The route of a group's movements: `size` ranks. */
yki_route yki_route_of(const yki_costs *costs, const int *ranks, int size);

#endif
