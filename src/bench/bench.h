/* bench: this machine measured as programs use it. Kernels are timed inside steps of small jobs, where their
 * operands are as warm or as cold as they are when one trains; movements by themselves, between threads that
 * do nothing else. */
#ifndef YKI_BENCH_BENCH_H
#define YKI_BENCH_BENCH_H

#include "yoke/bench.h"

/* What steps of a job took. */
typedef struct yki_bench_row {
    yoke_machine_kernel shape; /* without its time */
    double ns;                 /* of a launch: the median */
    double each;               /* launches in a step, over ranks */
} yki_bench_row;

typedef struct yki_bench_steps {
    int nrows;
    yki_bench_row *rows;   /* owned */
    double kernel_s;       /* of a rank, in kernels, in a step: medians */
    double kernel_mean_s;  /* the same of means */
    double launch_s;       /* from one kernel's end to the next one's start: the median */
    double beside_s;       /* of a step, before its first instruction and behind its last */
    double step_s, spread; /* the median step; half of all are within so much of it, relative */
} yki_bench_steps;

/* A job to be run. */
typedef struct yki_bench_job {
    const char *text; /* NULL: `path` */
    const char *path;
    int noverrides;
    const char *const *overrides;
} yki_bench_job;

/* Runs some steps, for about so long, under a layout's text with so many threads a device; batch_times: as
 * many times the job's batch. */
yoke_status yki_bench_run(const yki_bench_job *job, const char *layout, int threads, int batch_times,
                          double seconds, yki_bench_steps *out);
void yki_bench_steps_release(yki_bench_steps *steps);

/* Bytes/s that a device reads and writes as it copies. */
yoke_status yki_bench_memory(double *bytes_s_out);
/* Movements between `ranks` ranks of this process, or, with 0, between all processes, one rank in each:
 * appended to the machine's. `most`: bytes. */
yoke_status yki_bench_moves(yoke_machine *machine, int ranks, int64_t most, double seconds);
/* The share of a product's rate that is lost while data moves. */
yoke_status yki_bench_contention(double *share_out);

#endif
