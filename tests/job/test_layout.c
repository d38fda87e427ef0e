/* Layouts as text and as flags. */
#include "job_files.h"

#include <limits.h>

#include "job/job.h"

static yoke_layout parse(const char *text)
{
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    if (yoke_layout_parse(&layout, text) != YOKE_OK) fail_msg("%s: %s", text, yoke_error_get()->message);
    return layout;
}

static void text_reads_back(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "dp=2",
        "dp=2,zero=1",
        "dp=2,tp=2,pp=2,microbatches=4",
        "pp=4,microbatches=8,schedule=gpipe,chunks=2",
        "tp=4,sp=true,recompute=full",
        "pp=3,recompute=[full,none,selective]",
        "pp=3,recompute=full,none,full,microbatches=2",
        "recompute=[none]",
        "cp=2,threads=3,device_memory=512MiB",
        "devices=2",
        "devices=4,tp=2",
        "devices=[cpu:3,cpu:1],dp=1,tp=2",
        "devices=2,dp=1",
        "device_memory=1000",
        "dp=1024",
        "dp=32,tp=8,pp=64,microbatches=512,zero=1",
        "dp=1048576",
        "devices=[cpu:70000,cpu:1048575]",
        "pp=2,schedule=" MLP,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[512], again[512];
        yoke_layout layout = parse(texts[i]);
        yoke_layout_print(&layout, text, sizeof text);
        yoke_layout back = parse(text);
        yoke_layout_print(&back, again, sizeof again);
        assert_string_equal(text, again);
        assert_memory_equal(&layout, &back, sizeof layout);
        assert_int_equal(strlen(text) == 0, i == 0);
    }
    yoke_layout layout = parse(" zero = 1 , dp=2,");
    char text[64], cut[4];
    yoke_layout_print(&layout, text, sizeof text);
    assert_string_equal(text, "dp=2,zero=1");
    yoke_layout_print(&layout, cut, sizeof cut);
    assert_string_equal(cut, "dp=");
}

/* Read over any other layout, every key of it is gone. */
static void whole_text_replaces_a_layout(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "dp=2,zero=1,bucket=3MiB,dp_shard=1,dp_replicate=2",
        "pp=3,recompute=[full,none,selective],microbatches=4,schedule=zb-h1",
        "tp=4,sp=true,recompute=full,threads=3,device_memory=512MiB",
        "cp=2,cp_kind=ulysses,schedule=interleaved,chunks=2",
        "devices=[cpu:3,cpu:1],dp=1,tp=2",
        "devices=2",
        "pp=2,schedule=" MLP,
    };
    enum { TEXTS = sizeof texts / sizeof *texts };
    for (int i = 0; i < TEXTS; i++)
        for (int over = 0; over < TEXTS; over++) {
            char text[1024];
            yoke_layout layout = parse(texts[i]), before = parse(texts[over]);
            yoke_layout_print_whole(&layout, text, sizeof text);
            if (yoke_layout_parse(&before, text) != YOKE_OK)
                fail_msg("%s: %s", text, yoke_error_get()->message);
            char again[1024];
            yoke_layout_print_whole(&before, again, sizeof again);
            assert_string_equal(text, again);
            assert_int_equal(before.ndevices, layout.ndevices);
        }
}

static void text_changes_what_it_names(void **state)
{
    (void)state;
    yoke_layout layout = parse("devices=[cpu:5,cpu:4],zero=2,microbatches=3");
    assert_true(layout.dp == 2 && layout.ndevices == 2 && yoke_layout_device(&layout, 0) == 5 &&
                layout.zero == 2);
    assert_int_equal(yoke_layout_parse(&layout, "zero=1"), YOKE_OK);
    assert_true(layout.dp == 2 && layout.ndevices == 2 && layout.zero == 1 && layout.microbatches == 3);
    assert_int_equal(yoke_layout_parse(&layout, "tp=2"), YOKE_OK); /* a degree: the list is void */
    assert_true(layout.dp == 2 && layout.tp == 2 && layout.ndevices == 0);
    assert_int_equal(yoke_layout_parse(&layout, "devices=cpu:0,cpu:1,cpu:2,cpu:3,zero=0"), YOKE_OK);
    assert_true(layout.dp == 2 && layout.ndevices == 4 && yoke_layout_device(&layout, 3) == 3 &&
                layout.zero == 0);
    assert_null(layout.devices); /* counted from cpu:0 on is no list */
}

static void recompute_is_of_all_stages_or_of_each(void **state)
{
    (void)state;
    yoke_layout layout = parse("recompute=selective");
    assert_true(layout.recompute == YOKE_RECOMPUTE_SELECTIVE && layout.nrecompute == 0);
    assert_int_equal(yoke_layout_parse(&layout, "recompute=[full, none]"), YOKE_OK);
    assert_true(layout.recompute == YOKE_RECOMPUTE_NONE && layout.nrecompute == 2);
    assert_true(layout.recompute_of[0] == YOKE_RECOMPUTE_FULL &&
                layout.recompute_of[1] == YOKE_RECOMPUTE_NONE);
    assert_int_equal(yoke_layout_parse(&layout, "recompute=none, full ,selective,pp=3"), YOKE_OK);
    assert_true(layout.nrecompute == 3 && layout.pp == 3);
    assert_true(layout.recompute_of[1] == YOKE_RECOMPUTE_FULL &&
                layout.recompute_of[2] == YOKE_RECOMPUTE_SELECTIVE);
    assert_int_equal(yoke_layout_parse(&layout, "recompute=full"), YOKE_OK);
    assert_true(layout.recompute == YOKE_RECOMPUTE_FULL && layout.nrecompute == 0);
    assert_null(layout.recompute_of);
}

static void bad_text_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says, *key;
    } cases[] = {
        {"dp=0", "at least 1", "layout.dp"},
        {"dp=2000000", "at most 1048576", "layout.dp"},
        {"dp_shard=1048576,dp_replicate=2", "1048576 x dp_replicate 2 is more than 1048576 devices",
         "layout.dp_shard"},
        {"devices=[cpu:1048576]", "the last one is cpu:1048575", "layout.devices"},
        {"devices=[cpu:5,cpu:4,cpu:5]", "names cpu:5 twice", "layout.devices"},
        {"devices=1048577", "from 1 to 1048576", "layout.devices"},
        {"dp", "must be like dp=2,zero=1", "layout"},
        {"=2", "must be like dp=2,zero=1", "layout"},
        {"dpp=2", "unknown key 'dpp' in layout; did you mean 'dp'?", "layout.dpp"},
        {"zero=4", "at most 3", "layout.zero"},
        {"schedule=nope", "unknown schedule 'nope': neither gpipe, 1f1b", "layout.schedule"},
        {"recompute=some", "none, selective or full", "layout.recompute"},
        {"recompute=[full, some]", "none, selective or full for each stage, not 'some'", "layout.recompute"},
        {"recompute=full,,none", "for each stage, not ''", "layout.recompute"},
        {"recompute=[[full]]", "none, selective or full, not a list", "layout.recompute"},
        {"recompute={a: full}", "a list of them like [full, none]", "layout.recompute"},
        {"recompute=[]", "a list of them like [full, none]", "layout.recompute"},
        {"sp=maybe", "true or false", "layout.sp"},
        {"devices=3,tp=2", "3 devices cannot be shared", "layout.devices"},
        {"devices=[cpu:0, cuda:1]", "names cuda:1", "layout.devices"},
        {"devices=[cpu:0", "not valid YAML", "layout.devices"},
        {"device_memory=1M", "ambiguous", "layout.device_memory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yoke_layout layout = YOKE_LAYOUT_DEFAULT, before = layout;
        assert_int_equal(yoke_layout_parse(&layout, cases[i].text), YOKE_INVALID);
        const yoke_error *e = yoke_error_get();
        if (!strstr(e->message, cases[i].says) || !strstr(e->message, cases[i].text) ||
            strcmp(e->key, cases[i].key) != 0)
            fail_msg("%s: says: %s: %s", cases[i].text, e->key, e->message);
        assert_memory_equal(&layout, &before, sizeof layout);
    }
}

static void flags_are_the_shortest(void **state)
{
    (void)state;
    static const struct {
        const char *layout, *flags;
    } cases[] = {
        {"", ""},
        {"dp=2,zero=3,device_memory=3MiB", "--dp 2 --zero 3 --device-memory 3MiB"},
        {"dp=2,microbatches=4", "--dp 2 --microbatches 4"},
        {"pp=2,schedule=interleaved,chunks=2,zero=1,recompute=full,sp=true,threads=2,device_memory=1kB,"
         "devices=[cpu:1,cpu:0]",
         "--pp 2 --schedule interleaved --chunks 2 --zero 1 --recompute full --set layout.sp=true --threads "
         "2 "
         "--device-memory 1000 --devices cpu:1,cpu:0"},
        {"pp=2,recompute=full,none", "--pp 2 --recompute full,none"},
        {"device_memory=1GiB,bucket=1536", "--set layout.bucket=1536 --device-memory 1GiB"},
        {"device_memory=1025", "--device-memory 1025"},
        {"cp=2,cp_kind=ulysses,dp_shard=1,dp_replicate=2,dp=2",
         "--dp 2 --cp 2 --set layout.dp_shard=1 --set layout.dp_replicate=2 --set layout.cp_kind=ulysses"},
    };
    char flags[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yoke_layout layout = parse(cases[i].layout);
        yoke_layout_flags(&layout, flags, sizeof flags);
        assert_string_equal(flags, cases[i].flags);
    }
}

/* A layout is a value: lists that were read twice are one, and those of a layout that is gone stay. */
static void lists_are_kept(void **state)
{
    (void)state;
    static char text[16 * 5000];
    int length = snprintf(text, sizeof text, "devices=[cpu:0");
    for (int i = 1; i < 5000; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, ",cpu:%d", (i * 7) % 5000);
    snprintf(text + length, sizeof text - (size_t)length, "]");
    yoke_layout a = parse(text), b = parse(text), c = parse("devices=2"), d = a;
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(yoke_layout_parse(&a, "devices=[cpu:1,cpu:0]"), YOKE_OK);
    assert_true(a.devices != d.devices && d.ndevices == 5000 && d.dp == 5000);
    for (int i = 0; i < 5000; i++) assert_int_equal(yoke_layout_device(&d, i), (i * 7) % 5000);
    assert_int_equal(yoke_layout_device(&a, 0), 1);
    assert_int_equal(yoke_layout_device(&a, 2), 2); /* which it does not name */
    assert_int_equal(yoke_layout_device(&a, -1), -1);
    assert_int_equal(yoke_layout_device(&c, 1), 1);
    assert_int_equal(yoke_layout_device(NULL, 3), 3);
    assert_true(sizeof a < 512);
}

/* What a job names is given, though it is the default: its file says something else. */
static void flags_override_what_a_job_names(void **state)
{
    (void)state;
    char flags[256];
    yoke_layout layout = parse("dp=2");
    yki_layout_flags(&layout, 0, flags, sizeof flags);
    assert_string_equal(flags, "--dp 2");
    yki_layout_flags(&layout, 1 << YKI_LAYOUT_TP | 1 << YKI_LAYOUT_RECOMPUTE | 1 << YKI_LAYOUT_SP, flags,
                     sizeof flags);
    assert_string_equal(flags, "--dp 2 --tp 1 --recompute none --set layout.sp=false");
    layout = parse("");
    yki_layout_flags(&layout, 1 << YKI_LAYOUT_DEVICES, flags, sizeof flags);
    assert_string_equal(flags, "--dp 1"); /* a degree discards the devices */
    yki_layout_flags(&layout, 0, flags, sizeof flags);
    assert_string_equal(flags, "--dp 1");
}

/* Layouts that are filled in by a program are checked as those of files are. */
static void degrees_below_one_are_refused(void **state)
{
    (void)state;
    static const struct {
        int dp, tp, pp, cp, ndevices;
    } bad[] = {{-1, 1, 1, 1, 0}, {1, 0, 1, 1, 0}, {1, 1, 0, 1, 0}, {1, 1, 1, 0, 0}, {1, 1, 1, 1, -1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        yoke_job *job = calloc(1, sizeof *job);
        assert_non_null(job);
        job->layout = (yoke_layout)YOKE_LAYOUT_DEFAULT;
        job->layout.dp = bad[i].dp;
        job->layout.tp = bad[i].tp;
        job->layout.pp = bad[i].pp;
        job->layout.cp = bad[i].cp;
        job->layout.ndevices = bad[i].ndevices;
        assert_int_equal(yki_job_resolve_devices(job), YOKE_INVALID);
        assert_non_null(strstr(yoke_error_get()->message, "must each be at least 1"));
        free(job);
    }
    /* more devices than can be counted, however large the product */
    static const int many[][3] = {{1 << 20, 2, 1}, {1 << 20, 1 << 20, 1 << 20}, {INT_MAX, INT_MAX, INT_MAX}};
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        yoke_job *job = calloc(1, sizeof *job);
        assert_non_null(job);
        job->layout = (yoke_layout)YOKE_LAYOUT_DEFAULT;
        job->layout.dp = many[i][0], job->layout.tp = many[i][1], job->layout.pp = many[i][2];
        assert_int_equal(yki_job_resolve_devices(job), YOKE_INVALID);
        assert_non_null(strstr(yoke_error_get()->message, "is more than 1048576 devices"));
        assert_true(yoke_job_devices(job, NULL) > YOKE_MAX_DEVICES);
        free(job);
    }
    yoke_layout layout = parse("dp_shard=2"), none = parse("devices=2");
    char text[64] = "abc";
    none.tp = 0;
    yoke_layout_print(&none, text, sizeof text);
    assert_string_equal(text, "devices=2,dp=2,tp=0");
    strcpy(text, "abc");
    yoke_layout_print(&layout, text, 0);
    assert_string_equal(text, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_reads_back),
        cmocka_unit_test(whole_text_replaces_a_layout),
        cmocka_unit_test(text_changes_what_it_names),
        cmocka_unit_test(recompute_is_of_all_stages_or_of_each),
        cmocka_unit_test(bad_text_is_refused_and_changes_nothing),
        cmocka_unit_test(flags_are_the_shortest),
        cmocka_unit_test(lists_are_kept),
        cmocka_unit_test(flags_override_what_a_job_names),
        cmocka_unit_test(degrees_below_one_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
