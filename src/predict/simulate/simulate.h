/* One step of a plan as events: what every class of ranks computes and moves, from the programs that it runs.
 * A class has two resources, what computes and the links of each level; what is under way on a level at the
 * same time shares it. */
#ifndef YKI_PREDICT_SIMULATE_SIMULATE_H
#define YKI_PREDICT_SIMULATE_SIMULATE_H

#include "predict/predict.h"
#include "predict/simulate/classes.h"
#include "yoke/simulate.h"

/* Of a class's time in kernels, alone and at the speed of its fellows. */
typedef struct yki_busy {
    double bodies, ends, again; /* in bodies, in ends; what of bodies is made a second time */
    double launches[2];         /* of both, in bodies and in ends: launching kernels */
    double flops_again;         /* products of what is made a second time */
} yki_busy;

void yki_busy_add(yki_busy *to, const yki_busy *more, double times);

/* What is taken away to see what it costs. */
typedef struct yki_what_if {
    bool free_axis[YKI_AXIS_COUNT]; /* what moves along it is there at once */
    bool balanced;                  /* every class computes as long as all do on average */
} yki_what_if;

typedef struct yki_simulated {
    double seconds;
    double computing;              /* of all ranks together: seconds inside kernels, as they ran */
    int64_t moved[YKI_AXIS_COUNT]; /* bytes that ranks receive */
    yki_busy mean;                 /* of a rank */
} yki_simulated;

/* --- lower.c: bodies as few steps --- */

typedef enum yki_step_kind {
    YKI_STEP_COMPUTE,
    YKI_STEP_START, /* of a movement along a group */
    YKI_STEP_WAIT,
    YKI_STEP_SEND,
    YKI_STEP_RECEIVE, /* waits for it */
    YKI_STEP_DRAIN,
    YKI_STEP_MEET, /* all ranks */
} yki_step_kind;

typedef struct yki_timed {
    yki_step_kind kind;
    bool once; /* left out but for the part's last weight gradients */
    bool gradient;
    int at; /* group; edge */
    int op; /* yki_move, of a group's */
    int request;
    int64_t bytes; /* of a group: what its members receive together; of a copy, what is copied */
    double seconds, again, launches, flops_again; /* compute */
    bool crosses;                                 /* all_to_all */
    bool twice;                                   /* all_reduce: round the ring and back */
    const yki_instruction *in;                    /* the last that it is of */
} yki_timed;

typedef struct yki_lowered {
    int64_t samples;
    int count;
    yki_timed *steps;
    yki_busy busy;
    struct yki_lowered *next; /* of the same body, for other numbers of samples */
} yki_lowered;

/* What every class computes and moves, body by body; made as it is asked for. */
typedef struct yki_works {
    yki_arena arena;
    const yki_plan *plan;
    const yki_costs *costs;
    const yki_classes *classes;
    bool apart;            /* each instruction is a step, or a start and a wait; else few are made of many */
    yki_lowered ***bodies; /* by class; by chunk and body, then the ends */
    const yki_lowered ***actions; /* by class, by action */
    yki_busy *busy;               /* by class: of a step */
} yki_works;

/* YOKE_SYSTEM: memory. The works borrow all that they are made of. */
yoke_status yki_works_of(const yki_plan *plan, const yki_costs *costs, const yki_classes *classes, bool apart,
                         yki_works *out);
void yki_works_release(yki_works *works);
/* Of an action of a class, by its number; of an end. NULL: memory. */
const yki_lowered *yki_work_of_action(yki_works *works, int class, int action);
/* Of a body of a chunk for so many samples. */
const yki_lowered *yki_work_of_body(yki_works *works, int class, int chunk, yki_body body, int64_t samples);
const yki_lowered *yki_work_of_end(yki_works *works, int class, yki_end end);

/* --- record.c --- */

/* What the first rank of each class did; of more classes than a reader can tell apart, of one class of each
 * stage. Waits that are over at once are none. */
typedef struct yki_record {
    const yki_works *works;
    yoke_ran *ran;
    int count, room;
    int *open; /* by class: which of `ran` goes on, or one of these */
    bool failed;
} yki_record;
enum { YKI_RECORD_NOTHING = -1, YKI_RECORD_LEFT_OUT = -2 };

/* false: memory. What was begun is to be ended. */
bool yki_record_begin(yki_record *record, const yki_works *works);
/* The class goes on to that action of its program, or to the ends that follow them, or has ended. NULL
 * records nothing, here and below. */
void yki_record_turn(yki_record *record, int class, int action, double now);
/* Within it, it has waited for a movement. */
void yki_record_wait(yki_record *record, int class, double from, double now);
/* By start, but for waits of under a thousandth of `seconds`. Owns: the caller; NULL where there is nothing.
 */
yoke_ran *yki_record_end(yki_record *record, double seconds, int *count_out);
/* What a plan is simulated from. It refers to itself: it is not to be moved. */
typedef struct yki_prepared {
    yki_costs costs;
    yki_classes classes;
    yki_works works;
} yki_prepared;

/* slow: stragglers are as slow as the machine says. apart: as of works. YOKE_INVALID: a rate that the machine
 * does not say; YOKE_SYSTEM: memory. */
yoke_status yki_prepare(const yoke_machine *machine, const yki_plan *plan, bool slow, bool apart,
                        yki_prepared *out);
void yki_prepared_release(yki_prepared *prepared);

/* --- report.c --- */

/* A step as one simulation shows it. */
typedef struct yki_step {
    double seconds;
    double
        computing;  /* the share of it that ranks spend in the kernels of passes, what is made again aside */
    double waiting; /* and outside of kernels and launches */
    int64_t peak_bytes; /* of the device that holds most */
    yoke_bytes bytes;   /* of that device */
} yki_step;

/* Options as they are there: a device has the machine's memory but for its reserve, or layout.device_memory.
 */
yki_plan_options yki_options_there(const yki_plan_options *options, const yoke_machine *machine);
/* A step under the options' layout, with stragglers. As yoke_simulate. */
yoke_status yki_simulated_step(const yki_plan_options *options, const yoke_machine *machine,
                               yki_step *step_out);
/* What a simulation owns. */
void yki_simulation_release(yoke_simulation *simulation);
/* yoke_simulate, of a job that is read already; `out` is zeroed, and released by the caller, after a failure
 * too. */
yoke_status yki_simulate_job(const yki_plan_options *options, const yoke_job *job,
                             const yoke_machine *machine, yoke_simulation *out);

/* --- tape.c --- */

/* One class's rows. */
typedef struct yki_tape {
    yki_seen *rows;
    int count, room, in, of; /* in, of: the rows under way of an instruction, of an action or end; -1: none */
    int64_t received;        /* bytes, of one of its ranks */
} yki_tape;

yki_tape *yki_tapes_create(int count); /* NULL: memory */
void yki_tapes_destroy(yki_tape *tapes, int count);
/* An action (NULL: an end) begins; an instruction of it does, where it is not under way, and that before it
 * ends; the action ends. False: memory. */
bool yki_tape_begin(yki_tape *tape, const yoke_action *action, yki_end end, int64_t samples, double now);
bool yki_tape_instruction(yki_tape *tape, const yki_instruction *in, double now);
void yki_tape_end(yki_tape *tape, double now);

/* --- engine.c --- */

/* record: begun, of the same works; NULL: none is kept. YOKE_SYSTEM: memory. */
yoke_status yki_simulate_recorded(yki_works *works, const yki_what_if *what_if, yki_record *record,
                                  yki_simulated *out);
/* Of a movement's start: until all members have it, where its links carry nothing else. */
double yki_movement_seconds(const yki_costs *costs, const yki_meeting *meeting, const yki_timed *step);

/* YOKE_SYSTEM: memory. */
yoke_status yki_simulate(yki_works *works, const yki_what_if *what_if, yki_simulated *out);
/* tapes: one a class, of works whose instructions are apart. */
yoke_status yki_simulate_taped(yki_works *works, const yki_what_if *what_if, yki_tape *tapes,
                               yki_simulated *out);

#endif
