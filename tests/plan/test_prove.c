/* The compiler proves its programs: what it makes of any layout holds; and no instruction of a program may be
 * damaged without its being refused. test_prove_damages.c has the ways in which programs can be damaged. */
#include "folder.h"
#include "plan/proved.h"
#include "train/matrix.h"
#include "train/random_schedule.h"

/* --- what holds --- */

static int proved, refused;

static void check_holds(const char *model, const char *overrides)
{
    for (int inference = 0; inference < 2; inference++) {
        compiled c = compile(model, overrides, inference);
        if (c.plan && yki_plan_prove(c.plan) == YOKE_OK)
            proved++;
        else if (c.plan || strstr(yoke_error_get()->message, "does not hold"))
            fail_msg("%s [%s]: %s", model, overrides, yoke_error_get()->message);
        else
            refused++;
        release(&c);
    }
}

/* Rows of the matrix of test_matrix.c, more of them: none is run. */
static void test_matrix(void **state)
{
    (void)state;
    enum { CASES = 1500 };
    uint64_t seed = 17;
    proved = refused = 0;
    for (int i = 0; i < CASES;) {
        char overrides[1024];
        row r = draw_row(&seed);
        if (!is_a_case(&r)) continue;
        describe(&r, false, overrides, sizeof overrides);
        check_holds(value(&r, MODEL), overrides);
        i++;
    }
    print_message("%d plans proved, %d refused\n", proved, refused);
    assert_true(proved > 19 * CASES / 10);
}

/* Models that the matrix does not have, and layouts over more devices than it runs. */
static void test_larger(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"batchnorm", "layout.dp=2; layout.tp=2; layout.pp=2; layout.microbatches=3; layout.schedule=zb-h1"},
        {"batchnorm", "layout.dp=3; layout.zero=2; layout.recompute=full"},
        {"batchnorm_tokens", "layout.dp=2; layout.tp=3; layout.zero=2; layout.microbatches=2"},
        {"gpt2", "train.batch=64; layout.dp=8; layout.dp_shard=4; layout.zero=3; layout.tp=4; layout.cp=3; "
                 "layout.pp=5; layout.microbatches=8; layout.sp=true; layout.recompute=selective"},
        {"gpt2", "train.batch=64; layout.pp=5; layout.microbatches=64; layout.schedule=zb-h2; layout.tp=12"},
        {"gpt2", "model.layers=30; train.batch=32; layout.pp=8; layout.chunks=4; layout.microbatches=32; "
                 "layout.schedule=interleaved; layout.tp=2; layout.recompute=full"},
        {"gpt2",
         "model.layers=30; train.batch=64; layout.pp=16; layout.microbatches=32; layout.schedule=zb-v; "
         "layout.cp=4; layout.cp_kind=ulysses; layout.dp=2; layout.zero=1"},
        {"llama", "train.batch=16; layout.cp=4; layout.tp=6; layout.dp=4; layout.zero=3; layout.sp=true; "
                  "train.precision=bf16"},
        {"llama_tied", "train.batch=16; layout.pp=4; layout.dp=4; layout.zero=2; layout.microbatches=4; "
                       "layout.schedule=zb-h1; train.precision=bf16"},
    };
    proved = refused = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check_holds(rows[i][0], rows[i][1]);
    print_message("%d plans proved, %d refused\n", proved, refused);
    assert_int_equal(refused, 0);
}

/* Any schedule of a file, of which parts may have B and W and BW. */
static void test_schedules(void **state)
{
    (void)state;
    static const char *const layouts[][2] = {
        {"mlp", "train.batch=24; layout.pp=4; layout.microbatches=8"},
        {"mlp", "train.batch=24; layout.pp=3; layout.chunks=3; layout.microbatches=6; layout.tp=2"},
        {"gpt2", "train.batch=24; layout.pp=5; layout.microbatches=8; layout.dp=2; layout.zero=2"},
        {"gpt2", "train.batch=24; layout.pp=3; layout.microbatches=4; layout.tp=2; layout.recompute=full"},
        {"batchnorm", "train.batch=24; layout.pp=3; layout.microbatches=6; layout.dp=2"},
        {"devices", "train.batch=24; layout.microbatches=8"}};
    const char *path = in_folder("schedule.txt");
    uint64_t seed = 23;
    proved = refused = 0;
    for (size_t k = 0; k < sizeof layouts / sizeof *layouts; k++) {
        compiled c = compile(layouts[k][0], layouts[k][1], false);
        assert_non_null(c.plan);
        for (int i = 0; i < 20; i++) {
            char overrides[256];
            char *text = random_schedule(&c.plan->parts, c.plan->microbatches, (int)(draw(&seed) % 101),
                                         (int)(draw(&seed) % 101), &seed);
            write_text(path, text);
            snprintf(overrides, sizeof overrides, "%s; layout.schedule=%s", layouts[k][1], path);
            check_holds(layouts[k][0], overrides);
            free(text);
        }
        release(&c);
    }
    print_message("%d plans proved, %d refused\n", proved, refused);
    assert_int_equal(refused, 0);
}

/* Each instruction of a plan in turn: what it reads a little further on, and a movement's ends left out and
 * doubled. Whatever the place, it is refused there or where it shows. */
static int tried;

static void must_be_refused(const spot *s, const char *what)
{
    if (yki_plan_prove(s->plan) != YOKE_CHECK_FAILED)
        fail_msg("%s of stage %d, lane %d, instruction %d is not refused", what, s->program->stage,
                 s->program->lane, s->at);
    tried++;
}

static void damage_reads(const spot *s)
{
    for (int k = 0; k < yki_reads(s->in) && s->in->phase != YKI_PHASE_WAIT; k++) {
        yki_operand *operand = (yki_operand *)(uintptr_t)yki_read(s->in, k), kept = *operand;
        yki_view view = yki_operand_view(operand, s->plan->largest);
        if (operand->space == YKI_SPACE_NONE || operand->space == YKI_SPACE_WEIGHT ||
            yki_view_elems(&view) == 0)
            continue;
        operand->offset += 64;
        must_be_refused(s, "an operand moved");
        *operand = kept;
    }
}

static void damage_movement(spot s)
{
    yki_code kept = *s.code;
    yki_instruction *first = malloc(sizeof *first * (size_t)(kept.count + 1));
    assert_non_null(first);
    memcpy(first, kept.instructions, sizeof *first * (size_t)kept.count);
    s.code->instructions = first;
    s.in = first + s.at;
    take_out(s);
    must_be_refused(&s, "a movement left out");
    *s.code = kept;
    s.in = kept.instructions + s.at;
    put_in(s, s.at, *s.in);
    must_be_refused(&s, "a movement doubled");
    *s.code = kept;
    free(first);
}

static void damage_body(yki_plan *plan, yki_program *program, yki_code *code)
{
    for (int i = 0; i < code->count; i++) {
        spot s = {plan, program, code, i, &code->instructions[i]};
        damage_reads(&s);
        if (yki_moves(s.in)) damage_movement(s);
    }
}

/* Whole matrices: movements, what they and kernels read, and kernels left out. */
static void damage_end(yki_plan *plan, yki_program *program)
{
    yki_code *code = &program->ends[YKI_END_UPDATE];
    for (int i = 0; i < code->count; i++) {
        spot s = {plan, program, code, i, &code->instructions[i]};
        if (s.in->kind != YKI_DO_KERNEL && s.in->kind != YKI_DO_MOVE) continue;
        for (int k = 0; k < yki_inputs(s.in); k++) {
            yki_operand *operand = &s.in->operands[k], kept = *operand;
            if (operand->space != YKI_SPACE_TEMP) continue;
            operand->offset += 64;
            must_be_refused(&s, "an operand moved");
            *operand = kept;
            operand->value++;
            must_be_refused(&s, "an operand of another name");
            *operand = kept;
        }
        damage_movement(s);
    }
}

static void test_every_instruction(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"gpt2", "layout.tp=2; layout.sp=true; layout.pp=2; layout.microbatches=3; layout.schedule=zb-h1"},
        {"gpt2", "layout.cp=2; layout.recompute=full"},
        {"llama", "layout.cp=2; layout.cp_kind=ulysses; layout.tp=2; layout.dp=2; layout.zero=3"},
        {"gpt2", "layout.dp=2; layout.zero=2; layout.pp=3; layout.microbatches=4; train.precision=bf16"},
        {"batchnorm", "layout.dp=2; layout.tp=2"},
        {"mlp", "train.optimizer=muon; layout.dp=2; layout.tp=2; layout.zero=2"},
        {"llama", "train.optimizer=muon; layout.dp=2; layout.tp=6; layout.zero=1"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        compiled c = compile(rows[i][0], rows[i][1], false);
        assert_non_null(c.plan);
        for (int p = 0; p < c.plan->parts.nstages * c.plan->nlane_classes; p++) {
            for (int chunk = 0; chunk < c.plan->programs[p].nparts; chunk++)
                for (int body = 0; body < YKI_BODY_COUNT; body++)
                    damage_body(c.plan, &c.plan->programs[p], code_of(c.plan, p, chunk, (yki_body)body));
            damage_end(c.plan, &c.plan->programs[p]);
        }
        assert_int_equal(yki_plan_prove(c.plan), YOKE_OK);
        release(&c);
    }
    print_message("%d damages refused\n", tried);
    assert_true(tried > 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_larger),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_every_instruction),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
