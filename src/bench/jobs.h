/* Jobs whose steps are measured where the caller names none: small ones of each family, of several widths and
 * lengths, so that what a program launches is never far from what was measured. */
#ifndef YKI_BENCH_JOBS_H
#define YKI_BENCH_JOBS_H

/* What the model allows, as bits; a job that is measured quickly is `QUICK`. */
enum { YKI_BENCH_TP = 1, YKI_BENCH_CP = 2, YKI_BENCH_QUICK = 4 };

typedef struct yki_bench_sample {
    const char *text;
    int allows;
} yki_bench_sample;

extern const yki_bench_sample yki_bench_samples[]; /* text NULL at the end */

#endif
