/* What things take on a described machine: a kernel on a device, a movement over the links that a group of
 * ranks spans. Rank r is the machine's device r. */
#ifndef YKI_PREDICT_SIMULATE_COST_H
#define YKI_PREDICT_SIMULATE_COST_H

#include "plan/plan.h"
#include "predict/measured.h"
#include "yoke/machine.h"

typedef struct yki_costs {
    const yoke_machine *machine;
    double product[2];               /* FLOP/s at the peak, of f32 and bf16 */
    int threads;                     /* of a device, where cores are shared; else 1 */
    int precision[2];                /* the machine's numbers of f32 and bf16 */
    int first[YKI_KERNEL_COUNT + 1]; /* of a kernel's rows among those that were measured */
} yki_costs;

/* What products of a plan's precision reach. YOKE_INVALID: the machine does not say. */
yoke_status yki_costs_of(const yoke_machine *machine, const yki_plan *plan, yki_costs *costs_out);

/* Seconds of a launch, the launch itself not among them. */
double yki_kernel_seconds(const yki_costs *costs, const yki_launch *launch);
/* The same as it was measured (measured.c), of a shape by the letters of the kernel's signature; 0: it was
 * not. bf16: one of its operands is. */
double yki_measured_kernel(const yki_costs *costs, yki_kernel kernel, bool bf16, const int64_t *dims);

/* What links a movement takes, of the outermost level that it crosses: seconds until its first byte has come,
 * and bytes/s that come to each member then, where its devices' links carry nothing else. */
typedef struct yki_route {
    int level;        /* -1: none, there is one member */
    int nlevels;      /* that are crossed */
    double latency_s; /* of one step at each level that is crossed, times as many as a ring or a tree takes */
    double bytes_s;
    double crossing; /* of all_to_all: bytes/s that come to each member */
} yki_route;

/* The route of a group's movements: `size` ranks. */
yki_route yki_route_of(const yki_costs *costs, const int *ranks, int size);
/* Seconds of a movement (a yki_move) as it was measured, of which every member receives so many bytes; 0:
 * none was, over links of one level. */
double yki_measured_move(const yki_costs *costs, int op, const yki_route *route, int ranks, double bytes);

#endif
