/* Runs on fake GPUs are the CPU's runs, whatever order streams are taken in: losses of layouts over several
 * devices, and over one that several ranks share. */
#include "train/jobs.h"

static const struct {
    const char *job, *overrides, *devices;
    double most; /* relative difference of losses */
} runs[] = {
    {"mlp", "", "cuda:0", 1e-5},
    {"mlp", "layout.dp=2; layout.zero=1", "cuda:0,cuda:1", 1e-5},
    {"mlp", "layout.pp=3; layout.microbatches=3; train.precision=bf16", "cuda:1,cuda:0,cuda:1", 2e-2},
    {"conv", "layout.dp=2; layout.microbatches=2", "cuda:0,cuda:0", 1e-5},
    {"batchnorm", "layout.dp=3; layout.zero=1", "cuda:0,cuda:1,cuda:0", 1e-5},
    {"gpt2", "layout.pp=2; layout.dp=2; layout.zero=1; layout.microbatches=4; layout.schedule=zb-h1",
     "cuda:0,cuda:1,cuda:0,cuda:1", 1e-5},
    {"gpt2", "layout.tp=2; layout.sp=true; layout.zero=3; layout.dp=2", "cuda:0,cuda:0,cuda:0,cuda:0", 1e-5},
    {"gpt2", "layout.tp=2; layout.dp=2; layout.zero=2; train.optimizer=muon", "cuda:0,cuda:1,cuda:2,cuda:3",
     1e-4},
    {"gpt2", "train.sequence=8; layout.cp=2; layout.cp_kind=ulysses", "cuda:0,cuda:1", 1e-5},
    {"llama", "train.sequence=9; layout.cp=3", "cuda:0,cuda:1,cuda:2", 1e-5},
    {"llama", "train.precision=bf16", "cuda:0", 2e-2},
    {"regress", "train.precision=bf16; layout.microbatches=2; layout.schedule=gpipe", "cuda:0", 2e-2},
};

static void test_the_runs_of_the_cpu(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        if (!is_taken(i)) continue;
        outcome here, there;
        char overrides[512], first[16];
        snprintf(overrides, sizeof overrides, "%s; train.steps=3", runs[i].overrides);
        run_job(runs[i].job, overrides, &here);
        snprintf(overrides, sizeof overrides, "%s; train.steps=3; layout.devices=[%s]", runs[i].overrides,
                 runs[i].devices);
        run_job(runs[i].job, overrides, &there);
        if (here.status != YOKE_OK) fail_msg("%s %s: %s", runs[i].job, runs[i].overrides, here.message);
        if (there.status != YOKE_OK) fail_msg("%s %s: %s", runs[i].job, overrides, there.message);
        assert_true(here.count > 1);
        assert_int_equal(here.count, there.count);
        for (int64_t k = 0; k < here.count; k++) {
            double off = fabs(here.losses[k] - there.losses[k]) / fabs(here.losses[k]);
            if (!(off <= runs[i].most))
                fail_msg("%s %s: step %lld has %.9g, on the CPU %.9g", runs[i].job, overrides, (long long)k,
                         there.losses[k], here.losses[k]);
        }
        snprintf(first, sizeof first, "%.6s", runs[i].devices);
        assert_string_equal(there.devices[0].name, first);
        for (int d = 0; d < there.ndevices; d++)
            assert_int_equal(there.devices[d].predicted_peak_bytes, there.devices[d].measured_peak_bytes);
    }
}

static void test_devices_that_are_not_there(void **state)
{
    (void)state;
    outcome out;
    run_job("mlp", "layout.devices=[cuda:7]", &out);
    assert_int_equal(out.status, YOKE_INVALID);
    assert_non_null(strstr(out.message, "there is no cuda:7"));
    yoke_job *job = open_job("mlp", "layout.dp=2; layout.devices=[cpu:0, cuda:0]");
    assert_null(job);
    assert_non_null(strstr(yoke_error_get()->message, "names cuda:0 beside cpu:0"));
}

static void test_devices_are_listed(void **state)
{
    (void)state;
    yoke_device_info infos[256];
    int count = yoke_devices(infos, 256), found = 0;
    for (int i = 0; i < count && i < 256; i++)
        if (strncmp(infos[i].name, "cuda:", 5) == 0) {
            found++;
            assert_non_null(strstr(infos[i].model, "Fake GPU"));
            assert_true(infos[i].memory_bytes == INT64_C(8) << 30);
        }
    assert_int_equal(found, 4);
    assert_int_equal(yoke_devices_missing(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_runs_of_the_cpu),
                                       cmocka_unit_test(test_devices_that_are_not_there),
                                       cmocka_unit_test(test_devices_are_listed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
