/* Group norm in the plan: cut by whole groups where tensor parallelism may, else gathered; and what it
 * refuses. That layouts agree with one device is the matrix's, and with PyTorch the golden values'. */
#include "train/by_hand.h"

/* Gathers along tp in the forward pass of the first rank. */
static int gathers(const char *overrides)
{
    yoke_job *job;
    yoke_trainer *trainer = start_job("groupnorm", overrides, &job);
    const yki_code *code = &yki_plan_program(trainer->plan, 0)->parts[0].body[YKI_BODY_F];
    int count = 0;
    for (int i = 0; i < code->count; i++)
        count += code->instructions[i].op == YKI_OP_MOVE + YKI_MOVE_ALL_GATHER &&
                 code->instructions[i].phase == YKI_PHASE_START;
    finish_job(trainer, job);
    return count;
}

/* Six channels over two ranks: 2 groups are one each, and what stands before the next product stays cut; 1
 * and 3 are not. Over three ranks so are 3 and 6 groups, and 2 are not. */
static void whole_groups_stay_where_they_are(void **state)
{
    (void)state;
    int cut = gathers("layout.tp=2; model.layers.1.groups=2"),
        whole = gathers("layout.tp=2; model.layers.1.groups=3");
    assert_int_equal(gathers("layout.tp=2; model.layers.1.groups=6"), cut);
    assert_int_equal(gathers("layout.tp=2; model.layers.1.groups=1"), whole);
    cut = gathers("layout.tp=3; model.layers.1.groups=3"),
    whole = gathers("layout.tp=3; model.layers.1.groups=2");
    assert_int_equal(gathers("layout.tp=3; model.layers.1.groups=6"), cut);
    assert_int_equal(gathers("layout.tp=3; model.layers.1.groups=1"), whole);
}

static void gathered_and_cut_are_one_run(void **state)
{
    (void)state;
    static const char *const layouts[] = {"layout.tp=2", "layout.tp=3",
                                          "layout.tp=4; layout.dp=2; layout.zero=3",
                                          "layout.tp=2; layout.pp=2; layout.microbatches=2"};
    for (int groups = 1; groups <= 6; groups++)
        for (int i = 0; i < 4 && 6 % groups == 0; i++) {
            char one[64], many[160];
            snprintf(one, sizeof one, "model.layers.1.groups=%d", groups);
            snprintf(many, sizeof many, "%s; %s", one, layouts[i]);
            outcome a, b;
            assert_int_equal(run_job("groupnorm", one, &a), YOKE_OK);
            assert_int_equal(run_job("groupnorm", many, &b), YOKE_OK);
            assert_true(worst_difference(&b, &a) < 1e-5);
        }
}

/* Of sequences the first dim is the positions. */
static void positions_may_be_channels(void **state)
{
    (void)state;
    static const char norms[] =
        "model.layers.1={type: groupnorm, groups: 3}; model.layers.5={type: groupnorm, groups: 2}";
    static const char *const layouts[] = {
        "layout.tp=2", "layout.tp=2; layout.sp=true", "layout.tp=3; layout.sp=true",
        "layout.dp=2; layout.pp=2; layout.microbatches=3; layout.recompute=full"};
    outcome one, many;
    assert_int_equal(run_job("batchnorm_tokens", norms, &one), YOKE_OK);
    for (int i = 0; i < 4; i++) {
        char all[256];
        snprintf(all, sizeof all, "%s; %s", norms, layouts[i]);
        if (run_job("batchnorm_tokens", all, &many) != YOKE_OK) fail_msg("%s: %s", layouts[i], many.message);
        if (!(worst_difference(&many, &one) < 1e-5))
            fail_msg("%s: %g", layouts[i], worst_difference(&many, &one));
    }
}

static void what_it_cannot_norm_is_refused(void **state)
{
    (void)state;
    static const struct {
        int ndim;
        int64_t channels, groups;
        const char *says;
    } cases[] = {
        {4, 4, 2, "[channels]"},
        {1, 8, 3, "its input has 8 channels, which 3 groups cannot share evenly; choose a divisor of 8"},
        {3, 8, 16, "which 16 groups cannot share"},
        {1, 8, 0, "groups is 0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yoke_model *model = new_model();
        yoke_groupnorm(model, input_of(model, cases[i].ndim, cases[i].channels, 2, 2), cases[i].groups, 0,
                       true);
        assert_int_equal(yoke_model_status(model), YOKE_INVALID);
        assert_true(nothing_missing(cases[i].says));
        yoke_model_destroy(model);
    }
    yoke_job *job = open_job("batchnorm_tokens", "layout.cp=2; model.layers.1={type: groupnorm, groups: 2}");
    assert_non_null(job);
    assert_null(make_trainer(job));
    assert_true(nothing_missing("cp 2: layer '1' sees several tokens"));
    yoke_job_destroy(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_groups_stay_where_they_are),
        cmocka_unit_test(gathered_and_cut_are_one_run),
        cmocka_unit_test(positions_may_be_channels),
        cmocka_unit_test(what_it_cannot_norm_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
