/* The layout to train a job under on a described machine: what there is to choose from is bounded, the best
 * compiled and simulated, and the fastest that fits taken. Nothing runs, and no data is read. */
#ifndef YOKE_PLANNING_H
#define YOKE_PLANNING_H

#include "yoke/simulate.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A layout that was simulated, or found not to fit. */
typedef struct yoke_planned_row {
    yoke_layout layout;
    char text[512]; /* of it, for `--layout` of train and simulate with the same job */
    bool fits;
    double step_s;      /* NaN where it does not fit */
    int64_t peak_bytes; /* of the device that holds most; 0 where it does not fit */
    yoke_bytes bytes;   /* of that device, by kind */
    char limit[256];    /* what its time goes to most, or what it lacks */
} yoke_planned_row;

typedef struct yoke_planned {
    int nrows;
    yoke_planned_row *rows; /* owned; fastest first, the first is the choice */
    int64_t considered;     /* layouts that were enumerated */
    int simulated;
    bool proved; /* no layout that was considered can be faster than the choice, by its bound */
    double search_s;
    int64_t limit_bytes; /* what a device may hold */
    bool measured;       /* the machine's figures were measured on it */
    double error_bound;  /* of predicted times: 0.05 where they were measured, else 0.2 */
} yoke_planned;

/* Chooses among layouts of up to `devices` of the machine's devices (0: all). The job's layout says what a
 * device may hold, and its threads; its degrees are not looked at. At most `top` rows, 0: 5. YOKE_INVALID:
 * the job, the machine's rates, numbers out of range; YOKE_DOES_NOT_FIT: no layout fits, with what the one
 * that needs least lacks, and what would fit on more devices. Owns: the caller; yoke_planned_destroy. */
YOKE_API yoke_status yoke_plan_job(const yoke_job *job, const yoke_machine *machine, int devices, int top,
                                   yoke_planned **planned_out);

/* NULL is nothing. */
YOKE_API void yoke_planned_destroy(yoke_planned *planned);

/* --- why --- */

/* The devices used in one way alone. */
typedef struct yoke_strategy {
    const char *name; /* "one device", "data", "sharded data", "pipeline", "tensor"; static */
    bool possible;    /* false: `limit` says why not, and nothing else is said */
    yoke_layout layout;
    char text[512]; /* of it, as of a planned row; never "" */
    int devices;    /* as many as it can use of those there are */
    bool fits;      /* false: the figures are those of devices with room for it */
    double step_s;
    int64_t peak_bytes, moved_bytes; /* of the device that holds most; that all receive in a step */
    yoke_bytes bytes;
    char limit[256];
} yoke_strategy;

/* Where the choice changes: at `value` layout `to` is the fastest that fits, of those that were compared;
 * just before it, coming from what the job or the machine has, `from` is. */
typedef struct yoke_break_even {
    /* what is changed, all else as it is: a key of the job (train.batch, model.layers, model.width, with
     * model.hidden in proportion where a model has it), of the machine (device.memory in bytes,
     * levels.NAME.bandwidth in bytes/s), or `devices` (those of the machine's outermost level grow in number;
     * the layouts grow along dp, or along the only axis they have) */
    char parameter[96];
    double now, value;
    char from[512], to[512]; /* as texts of planned rows; never "" */
    char sentence[700];
} yoke_break_even;

typedef struct yoke_reasons {
    int nstrategies;
    yoke_strategy strategies[5];
    int nbreak_even;
    yoke_break_even break_even[24];
    int nsentences;
    char sentences[40][900];
    int simulated; /* layouts, on changed jobs and machines too */
} yoke_reasons;

/* Why the plan chose as it did: what one device cannot take, what each strategy alone would hold, move and
 * cost, and where the choice would change, found by bisection between a sixteenth and sixteen times of what
 * there is. All of it is simulated; at most some 1500 steps are. job, machine and devices as they were given
 * to yoke_plan_job. Errors as there. Owns: the caller; yoke_reasons_destroy. */
YOKE_API yoke_status yoke_plan_why(const yoke_job *job, const yoke_machine *machine, int devices,
                                   const yoke_planned *planned, yoke_reasons **reasons_out);

/* NULL is nothing. */
YOKE_API void yoke_reasons_destroy(yoke_reasons *reasons);

/* This host as a machine of so many CPU devices: what `yoke bench` wrote here, else its cores, its memory,
 * and a product that is timed for the job's precision; the rest is a guess, and `measured_on` stays "".
 * YOKE_INVALID: the number, or the job. Owns: the caller; yoke_machine_destroy. */
YOKE_API yoke_status yoke_machine_of_host(const yoke_job *job, int devices, yoke_machine **machine_out);

#ifdef __cplusplus
}
#endif
#endif
