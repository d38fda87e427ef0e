/* Plans to be proved, and how they are damaged: what both tests of the proof share. */
#ifndef YKI_TESTS_PLAN_PROVED_H
#define YKI_TESTS_PLAN_PROVED_H

#include "plan/passes.h"
#include "plan/placed.h"
#include "plan/prove/uses.h"
#include "train/jobs.h"

typedef struct compiled {
    yoke_job *job;
    yoke_trainer *trainer;
    yki_plan *plan;
} compiled;

/* A job's plan, and nothing run; plan NULL: refused. */
static inline compiled compile(const char *model, const char *overrides, bool inference)
{
    compiled c = {.job = open_job(model, overrides)};
    yki_trainer_options options = {
        .job = c.job, .dry = true, .purpose = inference ? YKI_PURPOSE_EVAL : YKI_PURPOSE_TRAIN};
    if (c.job && yki_trainer_create(&c.trainer, &options) == YOKE_OK) c.plan = c.trainer->plan;
    return c;
}

static inline void release(compiled *c)
{
    finish_job(c->trainer, c->job);
    *c = (compiled){0};
}

/* Where a damage is done: an instruction of a program. */
typedef struct spot {
    yki_plan *plan;
    yki_program *program;
    yki_code *code;
    int at;
    yki_instruction *in;
} spot;

/* A program's code, each of its bodies. */
static inline yki_code *code_of(yki_plan *plan, int program, int chunk, yki_body body)
{
    return &plan->programs[program].parts[chunk].body[body];
}

static inline void take_out(spot s)
{
    memmove(s.in, s.in + 1, sizeof *s.in * (size_t)(s.code->count - s.at - 1));
    s.code->count--;
}

/* Another one after it, at `at` of the code as it is then. */
static inline void put_in(spot s, int at, yki_instruction in)
{
    yki_instruction *grown = yki_arena_alloc(&s.plan->arena, sizeof *grown * (size_t)(s.code->count + 1));
    memcpy(grown, s.code->instructions, sizeof *grown * (size_t)at);
    grown[at] = in;
    memcpy(grown + at + 1, s.code->instructions + at, sizeof *grown * (size_t)(s.code->count - at));
    s.code->instructions = grown;
    s.code->count++;
}

typedef bool chooses(const yki_instruction *in);

/* The nth instruction of a body that is such. */
static inline spot find_nth(yki_plan *plan, int program, yki_body body, chooses *is, int nth)
{
    spot s = {plan, &plan->programs[program], code_of(plan, program, 0, body), 0, NULL};
    for (; s.at < s.code->count; s.at++) {
        s.in = &s.code->instructions[s.at];
        if (is(s.in) && nth-- == 0) return s;
    }
    fail_msg("there is no such instruction to damage");
    return s;
}

static inline spot find_first(yki_plan *plan, int program, yki_body body, chooses *is)
{
    return find_nth(plan, program, body, is, 0);
}

static inline bool is_axis_start(const yki_instruction *in)
{
    return in->kind == YKI_DO_MOVE && in->phase == YKI_PHASE_START;
}
static inline bool is_reduce(const yki_instruction *in)
{
    return is_axis_start(in) && in->op == YKI_OP_MOVE + YKI_MOVE_ALL_REDUCE;
}
static inline bool is_gather(const yki_instruction *in)
{
    return is_axis_start(in) && in->op == YKI_OP_MOVE + YKI_MOVE_ALL_GATHER;
}
static inline bool is_exchange(const yki_instruction *in)
{
    return is_axis_start(in) && in->op == YKI_OP_MOVE + YKI_MOVE_ALL_TO_ALL;
}
static inline bool is_wait(const yki_instruction *in)
{
    return in->phase == YKI_PHASE_WAIT;
}
static inline bool is_axis_wait(const yki_instruction *in)
{
    return is_wait(in) && in->kind == YKI_DO_MOVE;
}
static inline bool is_send(const yki_instruction *in)
{
    return in->kind == YKI_DO_COPY && in->as.copy.sends && in->noperands > 0;
}
static inline bool is_receive(const yki_instruction *in)
{
    return in->kind == YKI_DO_COPY && !in->as.copy.sends && in->phase == YKI_PHASE_START;
}
static inline bool is_pieces(const yki_instruction *in)
{
    return in->kind == YKI_DO_MOVE_STATES && !yki_runs_once(in) && in->phase == YKI_PHASE_START;
}
static inline bool is_bucket(const yki_instruction *in)
{
    return yki_runs_once(in) && in->phase == YKI_PHASE_START;
}
static inline bool is_kernel(const yki_instruction *in)
{
    return in->kind == YKI_DO_KERNEL;
}
/* The last operand is an output of its own memory, the first an input. */
static inline bool has_output(const yki_instruction *in)
{
    return is_kernel(in) && in->noperands > in->as.kernel.ninputs && in->as.kernel.ninputs > 0 &&
           in->operands[0].space == YKI_SPACE_TEMP &&
           in->operands[in->as.kernel.ninputs].space == YKI_SPACE_TEMP &&
           in->operands[0].offset != in->operands[in->as.kernel.ninputs].offset;
}
static inline bool writes_stash(const yki_instruction *in)
{
    return is_kernel(in) && in->noperands > in->as.kernel.ninputs &&
           in->operands[in->as.kernel.ninputs].space == YKI_SPACE_STASH;
}
static inline bool reads_two(const yki_instruction *in)
{
    return is_kernel(in) && in->as.kernel.ninputs > 1 && in->operands[0].space == YKI_SPACE_TEMP &&
           in->operands[1].space == YKI_SPACE_STASH;
}
static inline bool reads_weight(const yki_instruction *in)
{
    return is_kernel(in) && in->as.kernel.ninputs > 1 && in->operands[1].space == YKI_SPACE_WEIGHT;
}
static inline bool is_product(const yki_instruction *in)
{
    return in->op == YKI_KERNEL_LINEAR;
}
static inline bool writes_gradient(const yki_instruction *in)
{
    return is_kernel(in) && in->noperands > in->as.kernel.ninputs &&
           in->operands[in->as.kernel.ninputs].space == YKI_SPACE_GRADIENT;
}
static inline bool writes_norm(const yki_instruction *in)
{
    return in->op == YKI_KERNEL_LAYERNORM_DW;
}
static inline bool writes_two(const yki_instruction *in)
{
    return is_kernel(in) && in->noperands > in->as.kernel.ninputs + 1 &&
           in->operands[in->as.kernel.ninputs].space == YKI_SPACE_STASH &&
           in->operands[in->as.kernel.ninputs + 1].space == YKI_SPACE_STASH;
}
static inline bool reads_stash_w(const yki_instruction *in)
{
    return is_kernel(in) && in->as.kernel.ninputs > 0 && in->operands[0].space == YKI_SPACE_STASH_W;
}

static inline void swap_with_next(spot s)
{
    yki_instruction in = s.in[0];
    s.in[0] = s.in[1];
    s.in[1] = in;
}

static inline yki_operand *own_operands(yki_plan *plan, yki_instruction *in)
{
    yki_operand *own = yki_arena_alloc(&plan->arena, sizeof *own * (size_t)in->noperands);
    memcpy(own, in->operands, sizeof *own * (size_t)in->noperands);
    return in->operands = own;
}

static inline int *own_slots(yki_plan *plan, const int *slot)
{
    int *own = yki_arena_alloc(&plan->arena, sizeof *own * (size_t)plan->microbatches);
    memcpy(own, slot, sizeof *own * (size_t)plan->microbatches);
    return own;
}

/* A damage, and words of the sentence that refuses it, besides its frame. */
struct damage {
    const char *what, *model, *overrides;
    void (*damage)(yki_plan *plan);
    const char *words[3];
};

static inline bool is_refused(const struct damage *d)
{
    compiled c = compile(d->model, d->overrides, false);
    if (!c.plan) fail_msg("%s: %s", d->what, yoke_error_get()->message);
    d->damage(c.plan);
    yoke_status status = yki_plan_prove(c.plan);
    const char *said = status == YOKE_OK ? "not refused" : yoke_error_get()->message;
    bool right = status == YOKE_CHECK_FAILED && strstr(said, "; please report this") &&
                 strstr(said, "the compiler made a program that does not hold: stage ") &&
                 strstr(said, "lane ");
    for (int i = 0; i < 3; i++) right &= !d->words[i] || strstr(said, d->words[i]);
    if (!right) print_error("%s: %s\n", d->what, said);
    release(&c);
    return right;
}

/* Every damage is tried, and those that are not refused are printed. */
static inline void all_are_refused(const struct damage *list, size_t count)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++) wrong += !is_refused(&list[i]);
    assert_int_equal(wrong, 0);
}

#endif
