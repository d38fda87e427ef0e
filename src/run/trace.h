/* What each rank did when: every instruction of the steps recorded, in a ring of whole steps that is made
 * before the first. Recording writes a row and reads two clocks; with it off an instruction costs a test of
 * one pointer. Here rows are only kept; src/report writes them out. */
#ifndef YKI_RUN_TRACE_H
#define YKI_RUN_TRACE_H

#include "plan/plan.h"

typedef struct yki_rank yki_rank;

typedef enum yki_traced_kind { YKI_TRACED_ACTION, YKI_TRACED_END, YKI_TRACED_INSTRUCTION } yki_traced_kind;

/* An action, or an end of the step (yki_end), stands before its instructions; an action's end, 0 until then,
 * is filled in when it has ended. Times are those of yki_now_ns. */
typedef struct yki_traced {
    double start_ns, end_ns;
    union {
        const yoke_action *action;
        const yki_instruction *instruction;
        int64_t number; /* of an end; of either of the others, on its way to another process */
    } of;
    int64_t amount; /* action: samples. Else payload bytes that the rank has received since it was made */
    yki_traced_kind kind;
} yki_traced;

typedef struct yki_traced_step {
    int64_t step;
    double start_ns, end_ns;
    int64_t received; /* as amount, when it began */
    int count;
    bool complete; /* it came to its end: all is there */
    yki_traced *rows;
} yki_traced_step;

/* One rank's ring. Steps recorded lie at [i % nsteps]; the last `nsteps` of them are there. */
typedef struct yki_trace {
    int64_t first, last; /* steps to record, from 0 and both of them */
    int64_t recorded;    /* how many were, those overwritten too */
    int64_t lost_rows;   /* in those overwritten */
    int nsteps, nrows;   /* of the ring; of one step at most */
    yki_traced_step *steps;
    yki_traced *rows;
} yki_trace;

/* trace.c */
/* An empty ring; its steps have no rows yet. NULL: out of memory. */
yki_trace *yki_trace_create(int64_t nsteps, int64_t rows);
void yki_trace_destroy(yki_trace *trace);
/* The i-th step that a ring holds, the oldest first; NULL past the last. */
const yki_traced_step *yki_trace_step(const yki_trace *trace, int64_t i);
void yki_trace_begin_step(yki_rank *rank);
void yki_trace_end_step(yki_rank *rank);
/* A row that starts when the rank's queue comes here. */
yki_traced *yki_trace_add(yki_rank *rank, yki_traced_kind kind);
/* The row of an instruction, which counts once it has ended. */
yki_traced *yki_trace_instruction(yki_rank *rank, const yki_instruction *in);
void yki_trace_end_row(yki_rank *rank, yki_traced *row);

#endif
