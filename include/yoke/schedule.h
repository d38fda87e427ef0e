/* Pipeline schedules: action lists per stage, as data. They print as text, read back, and one checker serves
 * all. */
#ifndef YOKE_SCHEDULE_H
#define YOKE_SCHEDULE_H

#include <stdint.h>

#include "yoke/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* F forward; B gradient of the input; W gradient of the weights; BW both as one. */
typedef enum yoke_action_kind {
    YOKE_ACTION_F,
    YOKE_ACTION_B,
    YOKE_ACTION_W,
    YOKE_ACTION_BW
} yoke_action_kind;

typedef struct yoke_action {
    uint8_t kind;  /* yoke_action_kind */
    int16_t chunk; /* number of the chunk among those of its stage, from 0 */
    int32_t microbatch;
} yoke_action;

/* Which stage runs which part of the model. Part c of nparts (in the order of the forward pass) is the local
 * chunk `chunk_of[c]` of stage `stage_of[c]`. */
typedef struct yoke_parts {
    int nstages, nparts;
    const int *stage_of, *chunk_of;
} yoke_parts;

typedef struct yoke_schedule yoke_schedule;

/* The name of schedule number `index`, from 0, and in *description_out (may be NULL) a line on what it is;
 * NULL past the last. Static storage. */
YOKE_API const char *yoke_schedule_name(int index, const char **description_out);

/* Makes schedule `name` (gpipe, 1f1b, interleaved, zb-h1, zb-h2, zb-v). chunks: parts per stage, dealt out in
 * turn (part c is chunk c / stages of stage c % stages); zb-v has two in the shape of a V (stage s runs the
 * parts s and 2 stages - 1 - s) and takes chunks 1 or 2 for that; zb-h1 and zb-h2 have one. The parts made
 * are in yoke_schedule_parts. Any number of micro-batches from 1 does, but interleaved needs a multiple of
 * the stages. YOKE_INVALID: an unknown name (the sentence lists the known ones) or numbers the schedule
 * cannot run with. Sources: Huang et al., NeurIPS 2019 (gpipe); Narayanan et al., SC'21 (1f1b, interleaved);
 * Qi et al., ICLR 2024 (zb). */
YOKE_API yoke_status yoke_schedule_create(yoke_schedule **schedule_out, const char *name, int stages,
                                          int microbatches, int chunks);
/* The same over given parts (copied): 1f1b and gpipe run over any map of parts to stages, back and forth too,
 * and any number of parts a stage; the others over the maps that yoke_schedule_create makes. YOKE_INVALID:
 * also a map that is not whole (a stage without a part, a chunk number missing or taken twice). */
YOKE_API yoke_status yoke_schedule_create_over(yoke_schedule **schedule_out, const char *name,
                                               const yoke_parts *parts, int microbatches);
/* Reads a schedule's text: a line per stage of actions `F0 B0 W0 BW1 F0.1` (kind, micro-batch, chunk after a
 * dot). A '#' starts a comment, and lines without actions are skipped. `file` is named in errors. The result
 * is not checked for completeness. YOKE_INVALID: another number of lines than of stages, a word that is no
 * action, a micro-batch or chunk that does not exist. */
YOKE_API yoke_status yoke_schedule_parse(yoke_schedule **schedule_out, const char *text, const char *file,
                                         const yoke_parts *parts, int microbatches);
/* As parse, from a file of at most 64 MiB; YOKE_INVALID also if it cannot be opened or holds a NUL byte. */
YOKE_API yoke_status yoke_schedule_read(yoke_schedule **schedule_out, const char *path,
                                        const yoke_parts *parts, int microbatches);
YOKE_API void yoke_schedule_destroy(yoke_schedule *schedule);

/* Proves that a schedule runs: every part runs every micro-batch forward once and backward once (BW, or B and
 * W), each action after what it needs, and no circle of stages waiting for each other. YOKE_INVALID names
 * stage and action. */
YOKE_API yoke_status yoke_schedule_check(const yoke_schedule *schedule);

/* The text; allocated, freed by the caller with free(). NULL when memory is out. */
YOKE_API char *yoke_schedule_print(const yoke_schedule *schedule);

YOKE_API int yoke_schedule_stages(const yoke_schedule *schedule);
YOKE_API int yoke_schedule_microbatches(const yoke_schedule *schedule);
YOKE_API const yoke_parts *yoke_schedule_parts(const yoke_schedule *schedule);
/* The actions of a stage in order; borrowed. */
YOKE_API const yoke_action *yoke_schedule_actions(const yoke_schedule *schedule, int stage, int *count_out);

/* Durations of one part's actions, any unit, finite and not negative, all micro-batches alike; transfer: from
 * this part to a part of another stage, either way. BW takes input_gradient + weight_gradient. */
typedef struct yoke_times {
    double forward, input_gradient, weight_gradient, transfer;
} yoke_times;

typedef struct yoke_event {
    yoke_action action;
    int32_t stage;
    double start, end;
} yoke_event;

typedef struct yoke_timeline {
    int nevents;
    yoke_event *events; /* by stage, then in order */
    double makespan;    /* first start to last end, over all stages */
    double bubble_rate; /* (cost - work) / cost, cost: longest span of one stage, work: its own actions; 0 if
                           cost is 0 */
    double idle_share;  /* 1 - busy time of all stages / (makespan * stages); 0 if makespan is 0 */
} yoke_timeline;

/* Simulates a checked schedule as events: an action starts when its stage is free and its inputs have come;
 * transfers occupy neither stage. times: one entry for all parts (ntimes 1) or one a part. The timeline's
 * events are freed by yoke_timeline_release. YOKE_INVALID: another number of times, a time that is none, or a
 * schedule that cannot run. Linear in the number of actions. Source of the bubble rate: Qi et al., Zero
 * Bubble Pipeline Parallelism, ICLR 2024. */
YOKE_API yoke_status yoke_schedule_simulate(const yoke_schedule *schedule, const yoke_times *times,
                                            int ntimes, yoke_timeline *timeline_out);
YOKE_API void yoke_timeline_release(yoke_timeline *timeline);

/* Drawings of a timeline that was simulated from `schedule`: as text of at most `columns` columns, a row per
 * stage (colour: 1 uses ANSI colours), and as an SVG document. Allocated, freed by the caller with free().
 * NULL when memory is out. */
YOKE_API char *yoke_timeline_draw(const yoke_schedule *schedule, const yoke_timeline *timeline, int columns,
                                  int colour);
YOKE_API char *yoke_timeline_svg(const yoke_schedule *schedule, const yoke_timeline *timeline);

#ifdef __cplusplus
}
#endif
#endif
