/* A schedule inside: its storage, and the table of families.
 *
 * Invariants of a yoke_schedule: the parts are valid (yki_parts_check); nparts * microbatches * 3 is at most
 * YKI_SCHEDULE_MAX_ACTIONS; every action's kind is one of the four, its chunk is one of its stage's, its
 * micro-batch is below `microbatches`. Whether the lists are complete and can run is yoke_schedule_check's
 * business. */
#ifndef YKI_SCHEDULE_SCHEDULE_H
#define YKI_SCHEDULE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

#include "yoke/schedule.h"

/* Bounds the memory that numbers from a file or a flag can ask for: a timeline of this many events is 1 GiB.
 */
#define YKI_SCHEDULE_MAX_ACTIONS (1 << 25)

struct yoke_schedule {
    yoke_parts parts; /* the schedule's own copies */
    int microbatches;
    int *first_part;   /* [nstages + 1], into part_at */
    int *part_at;      /* [nparts]: chunk k of stage s is part part_at[first_part[s] + k] */
    int *first_action; /* [nstages + 1], into actions */
    int *filled;       /* [nstages]: actions the stage has so far */
    int *line_of;      /* [nstages]: line of `file` the stage was read from, 0: none */
    int *storage;      /* all of the above and the parts' arrays */
    yoke_action *actions;
    char *file; /* where it was read from, "": generated */
};

/* Maps of parts to stages that schedules are made for. */
typedef enum yki_shape {
    YKI_SHAPE_LOOPED, /* part c on stage c % stages */
    YKI_SHAPE_VEE     /* stage s runs the parts s and 2 stages - 1 - s */
} yki_shape;

typedef struct yki_schedule_family {
    const char *name, *description;
    int actions_a_pass; /* of a part and micro-batch: 2 where the backward pass is one action, 3 where it is
                           split */
    int min_chunks, max_chunks; /* of yoke_schedule_create; max 0: any number */
    yki_shape shape;            /* what yoke_schedule_create lays its chunks out as */
    bool any_map;               /* create_over: runs over any map, not only those of its shape and chunks */
    /* What else the family asks of its numbers; NULL: nothing. */
    yoke_status (*require)(const yoke_parts *parts, int microbatches);
    /* Fills an empty schedule whose numbers were found good. */
    yoke_status (*generate)(yoke_schedule *schedule);
} yki_schedule_family;

extern const yki_schedule_family yki_schedule_gpipe, yki_schedule_1f1b, yki_schedule_interleaved,
    yki_schedule_zb_h1, yki_schedule_zb_h2, yki_schedule_zb_v;

/* The families in the order they are listed; NULL past the last. */
const yki_schedule_family *yki_schedule_family_get(int index);

/* YOKE_INVALID unless the map is whole: each part on a stage that exists, the chunks of each stage numbered
 * from 0 without gaps, no stage without a part, and numbers small enough. */
yoke_status yki_parts_check(const yoke_parts *parts, int microbatches);

/* Makes a schedule without actions over checked parts, with room for counts[s] actions on stage s. */
yoke_status yki_schedule_new(yoke_schedule **schedule_out, const yoke_parts *parts, int microbatches,
                             const int *counts, const char *file);

/* Appends to the list of a stage, which must have room. */
void yki_schedule_add(yoke_schedule *schedule, int stage, yoke_action_kind kind, int chunk, int microbatch);

/* How many parts a stage runs. */
static inline int yki_schedule_chunks(const yoke_schedule *schedule, int stage)
{
    return schedule->first_part[stage + 1] - schedule->first_part[stage];
}

/* The part that an action of `stage` is of. */
static inline int yki_schedule_part(const yoke_schedule *schedule, int stage, yoke_action action)
{
    return schedule->part_at[schedule->first_part[stage] + action.chunk];
}

/* Where the state of a part and micro-batch is kept in arrays of nparts * microbatches. */
static inline size_t yki_schedule_slot(const yoke_schedule *schedule, int part, int microbatch)
{
    return (size_t)part * (size_t)schedule->microbatches + (size_t)microbatch;
}

enum { YKI_ACTION_TEXT = 24 };
/* "F3", "BW0.1": the action as a schedule's text writes it. Returns buffer. */
char *yki_action_print(char buffer[YKI_ACTION_TEXT], yoke_action action);

/* "F", "B", "W", "BW". */
const char *yki_action_kind_name(int kind);

#endif
