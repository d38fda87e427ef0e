/* The proof of a plan's programs. It looks at what they do and at which tensors that is done to, and at
 * nothing that earlier passes knew when they chose offsets, slots and waits.
 * prove.c: the pass and its sentence; arena.c: what lies in a device's memory; uses.h, uses.c: what an
 * instruction does; contents.c: what memory holds while a micro-batch passes; signatures.c: kernels'
 * operands; sums.c: what becomes of gradients in a step; made.c: what updates make of matrices; order.c: that
 * ranks move the same in one order; turns.c: that slots are free. */
#ifndef YKI_PLAN_PROVE_PROVE_H
#define YKI_PLAN_PROVE_PROVE_H

#include "plan/placed.h"

/* What the bodies of a program do to the gradient of a parameter, or to what is added to a buffer. */
typedef struct yki_gradient_use {
    int chunk;         /* that writes it; -1: none, -2: several */
    int first, begins; /* the first action that writes it; the one that overwrites it; -1: none */
    int body;          /* the last that has written it, as contents.c counts them */
    bool at_rest;      /* no movement of the body that is gone through reduces it */
} yki_gradient_use;

/* A movement of a body that runs once in a step: where it is. */
typedef struct yki_once {
    int chunk, at;
    yki_body body;
} yki_once;

/* A tensor that the step's update has made, and where it lies in temporary memory. */
typedef struct yki_lying {
    int64_t start, end;
    int made; /* the program's */
    bool raw; /* brought together, and nothing else */
} yki_lying;

/* Instructions of one kernel that have its signature's operands, and which of them was met last. */
enum { YKI_EXAMPLES = 6 };
typedef struct yki_examples {
    const yki_instruction *of[YKI_EXAMPLES];
    int count, last;
} yki_examples;

/* Numbers that instructions have for themselves: stretches of them, in order, and none meets another. */
typedef struct yki_stretch {
    int first, end;
} yki_stretch;
typedef struct yki_claims {
    yki_stretch *list;
    int nlist, clist;
} yki_claims;

typedef struct yki_prover {
    const yki_plan *plan;
    yki_arena *arena; /* the plan's; what the proof takes it gives back */
    /* where the proof is */
    const yki_program *program;
    int chunk;           /* -1: nowhere in particular, as the next ones */
    yki_body body;       /* YKI_BODY_COUNT */
    const yki_code *end; /* of a step; NULL */
    int at;              /* an instruction */
    /* of the program: by its parameters and buffers; by chunk */
    yki_gradient_use *gradients;
    int cgradients;
    int *needs, *done, cneeds, cdone;
    bool *moving;
    int cmoving;
    yki_once *once;
    int nonce, conce;
    yki_lying *lying; /* at the step's end */
    int nlying, clying;
    yki_claims kernels, pieces, segments;
    yki_examples *right; /* by kernel */
} yki_prover;

/* Says that a program does not hold, where, and in which of its tensors (NULL: none). YOKE_CHECK_FAILED. */
yoke_status yki_fault(const yki_prover *p, const yki_operand *operand, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
/* The same of a parameter's gradient. */
yoke_status yki_gradient_fault(const yki_prover *p, int parameter, const char *what) __attribute__((cold));

void yki_prover_leave(yki_prover *p);
/* Zeroed memory of a table that is used again. */
void yki_prover_renew(yki_prover *p, void *array, int *capacity, int count, size_t bytes);

static inline const yki_part_program *yki_prover_part(const yki_prover *p)
{
    return &p->program->parts[p->chunk];
}
/* The tensors that a part's instructions are about. */
static inline const yki_placed *yki_prover_placed(const yki_prover *p)
{
    return &p->plan->placed[p->program->lane_class][yki_prover_part(p)->part];
}
static inline const yki_code *yki_prover_code(const yki_prover *p)
{
    return p->end ? p->end : &yki_prover_part(p)->body[p->body];
}

/* An instruction has numbers for itself, [first, first + count) of `limit`; false: they are none, or others'.
 */
bool yki_claim_apart(yki_prover *p, yki_claims *claims, int first, int count, int limit);
/* They follow those before, as a rule. */
static inline bool yki_claim(yki_prover *p, yki_claims *claims, int first, int count, int limit)
{
    yki_stretch *last = claims->nlist > 0 ? &claims->list[claims->nlist - 1] : NULL;
    if (!last || last->end != first || count < 0 || count > limit - first)
        return yki_claim_apart(p, claims, first, count, limit);
    last->end += count;
    return true;
}

/* The place of the first replica's rank of a lane and stage. */
static inline void yki_lane_place(const yki_plan *plan, int lane, int stage, int place[YKI_AXIS_COUNT])
{
    int tp = plan->mesh.degree[YKI_AXIS_TP];
    place[YKI_AXIS_TP] = lane % tp;
    place[YKI_AXIS_CP] = lane / tp;
    place[YKI_AXIS_DP] = 0;
    place[YKI_AXIS_PP] = stage;
}

/* Parameters and buffers of a program. */
static inline int yki_kept_count(const yki_program *program)
{
    return program->nparameters + program->nbuffers;
}

/* What lies in a device's memory: none overlaps another. */
yoke_status yki_prove_arena(yki_prover *p);
/* The bodies of every part of all programs: operands within their spaces, movements begun and waited for
 * once, nothing read but what was written there; what a stage sends its peer receives. */
yoke_status yki_prove_contents(yki_prover *p);
/* A kernel's operands are those of its signature. */
yoke_status yki_prove_signature(yki_prover *p, const yki_instruction *in);
/* Of a program whose bodies are proved: each gradient is written before it is read, and summed once over each
 * group that has parts of it; what bodies begin once in a step ends; each weight is updated once. */
yoke_status yki_prove_sums(yki_prover *p);
/* Of the ends of one program: an instruction reads what another one has made, and says whether that is raw;
 * an instruction makes its output. */
void yki_made_begin(yki_prover *p);
yoke_status yki_made_read(yki_prover *p, const yki_operand *operand, bool *raw_out);
yoke_status yki_made_write(yki_prover *p, const yki_instruction *in, const yki_operand *operand, bool raw);
/* Members of a group begin the same movements in the same order. */
yoke_status yki_prove_order(yki_prover *p);
/* Whoever takes a slot finds it free. */
yoke_status yki_prove_turns(yki_prover *p);

#endif
