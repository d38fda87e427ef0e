/* Measuring this machine as programs use it: `yoke bench`. What comes of it is a machine (yoke/machine.h)
 * with tables of measurements, which predictions take their times from. */
#ifndef YOKE_BENCH_H
#define YOKE_BENCH_H

#include "yoke/export.h"
#include "yoke/job.h"
#include "yoke/machine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is measured. */
typedef enum yoke_bench_part {
    YOKE_BENCH_PRODUCTS = 1, /* kernels that multiply: products, convolutions, attention */
    YOKE_BENCH_MEMORY = 2,
    YOKE_BENCH_KERNELS = 4, /* all others */
    YOKE_BENCH_COLLECTIVES = 8,
    YOKE_BENCH_ALL = 15,
} yoke_bench_part;

typedef struct yoke_bench_options {
    const char *job;           /* a job's file, whose shapes are measured; NULL: a ladder of small jobs */
    bool quick;                /* under 10 seconds; else under a minute */
    int parts;                 /* yoke_bench_part's, or 0: all */
    const yoke_machine *known; /* of which parts that are not measured are taken; NULL: nothing is known */
    /* Called as it goes on, with a share from 0 to 1; NULL: nobody looks. */
    void (*progress)(void *context, double share, const char *what);
    void *context;
} yoke_bench_options;

/* How far the measurements are to be trusted. */
typedef struct yoke_bench_noise {
    double spread; /* of repeats of the same step: half of them lie within so much of the median, relative */
    double cores_taken; /* the share of the cores that others took meanwhile; NaN: not known */
    double seconds;     /* that it took */
    bool noisy;         /* not to be trusted: one of the two is above a twentieth, the spread above a tenth */
} yoke_bench_noise;

/* Measures, on the devices that train would use. Under a launcher that started several processes all of them
 * call this, and movements are measured between them. Owns: the caller; yoke_machine_destroy. YOKE_INVALID:
 * the job is none; otherwise as yoke_trainer_create_from_job, yoke_trainer_run. */
YOKE_API yoke_status yoke_bench(const yoke_bench_options *options, yoke_machine **machine_out,
                                yoke_bench_noise *noise_out);

/* Writes the machine to `path` (NULL: where `--machine here` looks; its folder is made), as YAML, in whole or
 * not at all. path_out: where. YOKE_SYSTEM: the file cannot be written. */
YOKE_API yoke_status yoke_bench_write(const yoke_machine *machine, const char *path, char path_out[1200]);

#ifdef __cplusplus
}
#endif
#endif
