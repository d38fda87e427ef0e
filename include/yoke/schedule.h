/* Pipeline schedules: action lists per stage, as data. They print as text, read back, and one checker serves all. */
#ifndef YOKE_SCHEDULE_H
#define YOKE_SCHEDULE_H

#include <stdint.h>

#include "yoke/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* F forward; B gradient of the input; W gradient of the weights; BW both as one. */
typedef enum yoke_action_kind { YOKE_ACTION_F, YOKE_ACTION_B, YOKE_ACTION_W, YOKE_ACTION_BW } yoke_action_kind;

typedef struct yoke_action {
    uint8_t kind; /* yoke_action_kind */
    int16_t chunk; /* number of the chunk among those of its stage, from 0 */
    int32_t microbatch;
} yoke_action;

/* Which stage runs which part of the model. Part c of nparts (in the order of the forward pass) is the local chunk
 * `chunk_of[c]` of stage `stage_of[c]`. */
typedef struct yoke_parts {
    int nstages, nparts;
    const int *stage_of, *chunk_of;
} yoke_parts;

typedef struct yoke_schedule yoke_schedule;

/* Makes schedule `name` (gpipe, 1f1b, interleaved, zb-h1, zb-h2, zb-v). chunks: parts per stage.
 * YOKE_INVALID: an unknown name (the sentence lists the known ones) or numbers the schedule cannot run with. */
YOKE_API yoke_status yoke_schedule_create(yoke_schedule **schedule_out, const char *name, int stages,
                                          int microbatches, int chunks);
/* The same over given parts: 1f1b and gpipe run over any map of parts to stages, back and forth too. */
YOKE_API yoke_status yoke_schedule_create_over(yoke_schedule **schedule_out, const char *name,
                                               const yoke_parts *parts, int microbatches);
/* Reads a schedule's text: a line per stage of actions `F0 B0 W0 BW1 F0.1` (kind, micro-batch, chunk after a dot);
 * '#' starts a comment. `file` is named in errors. The result is not checked for completeness. */
YOKE_API yoke_status yoke_schedule_parse(yoke_schedule **schedule_out, const char *text, const char *file,
                                         const yoke_parts *parts, int microbatches);
/* As parse, from a file. */
YOKE_API yoke_status yoke_schedule_read(yoke_schedule **schedule_out, const char *path, const yoke_parts *parts,
                                        int microbatches);
YOKE_API void yoke_schedule_destroy(yoke_schedule *schedule);

/* Proves that a schedule runs: every part runs every micro-batch forward once and backward once (BW, or B and W), each
 * action after what it needs, and no circle of stages waiting for each other. YOKE_INVALID names stage and action. */
YOKE_API yoke_status yoke_schedule_check(const yoke_schedule *schedule);

/* The text; allocated, freed by the caller with free(). NULL when memory is out. */
YOKE_API char *yoke_schedule_print(const yoke_schedule *schedule);

YOKE_API int yoke_schedule_stages(const yoke_schedule *schedule);
YOKE_API int yoke_schedule_microbatches(const yoke_schedule *schedule);
YOKE_API const yoke_parts *yoke_schedule_parts(const yoke_schedule *schedule);
/* The actions of a stage in order; borrowed. */
YOKE_API const yoke_action *yoke_schedule_actions(const yoke_schedule *schedule, int stage, int *count_out);

/* Durations of one part's actions, any unit, all micro-batches alike; transfer: from part to part of another stage. */
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
    double bubble_rate; /* (cost - work) / cost, cost: longest span of one stage, work: its own actions */
    double idle_share;  /* 1 - busy time of all stages / (makespan * stages) */
} yoke_timeline;

/* Simulates a checked schedule as events: an action starts when its stage is free and its inputs have come; transfers
 * occupy neither stage. times: one entry for all parts (ntimes 1) or one a part. The timeline's events are freed by
 * yoke_timeline_release. Source of the bubble rate: Qi et al., Zero Bubble Pipeline Parallelism, ICLR 2024. */
YOKE_API yoke_status yoke_schedule_simulate(const yoke_schedule *schedule, const yoke_times *times, int ntimes,
                                            yoke_timeline *timeline_out);
YOKE_API void yoke_timeline_release(yoke_timeline *timeline);

/* Drawings of a timeline: as text of `columns` columns (colour: 1 uses ANSI colours), and as an SVG document.
 * Allocated, freed by the caller with free(). NULL when memory is out. */
YOKE_API char *yoke_timeline_draw(const yoke_schedule *schedule, const yoke_timeline *timeline, int columns, int colour);
YOKE_API char *yoke_timeline_svg(const yoke_schedule *schedule, const yoke_timeline *timeline);

#ifdef __cplusplus
}
#endif
#endif
