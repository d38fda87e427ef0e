/* What --machine names: presets by name and shape, files, what was measured here. */
#include "machine_files.h"

#include <sys/stat.h>

#include "folder.h"

typedef struct figures {
    const char *name;
    int64_t memory, count;             /* bytes, devices of a node */
    double f32, f16, bf16, tf32, f8;   /* TFLOP/s */
    double bandwidth, inside, adapter; /* GB/s */
    double share;                      /* of the peak, of a product of 100 GFLOP */
} figures;

/* As the data sheets say them, links per direction; shares as bench/published.py fitted them. */
static const figures published[] = {
    {"v100-32gb-dgx2", 32, 16, 15.7, 125, 0, 0, 0, 900, 150, 12.5, 1},
    {"a100-40gb-sxm", 40, 8, 19.5, 312, 312, 156, 0, 1555, 300, 25, 0.53},
    {"a100-80gb-sxm", 80, 8, 19.5, 312, 312, 156, 0, 2039, 300, 25, 0.48},
    {"h100-sxm", 80, 8, 66.9, 989.4, 989.4, 494.7, 1978.9, 3350, 450, 50, 0.31},
    {"h200-sxm", 141, 8, 66.9, 989.4, 989.4, 494.7, 1978.9, 4800, 450, 50, 0.31},
    {"b200-sxm", 180, 8, 75, 2250, 2250, 1125, 4500, 8000, 900, 50, 1},
};
enum { COUNT = sizeof published / sizeof *published };

static yoke_machine *found(const char *text)
{
    yoke_machine *machine;
    if (yoke_machine_find(text, &machine) != YOKE_OK) fail_msg("%s: %s", text, yoke_error_get()->message);
    return machine;
}

static void refused(const char *text, const char *says)
{
    yoke_machine *machine;
    assert_int_equal(yoke_machine_find(text, &machine), YOKE_INVALID);
    if (!strstr(yoke_error_get()->message, says)) fail_msg("%s: says %s", text, yoke_error_get()->message);
}

static void has_rate(const yoke_machine *m, const char *precision, double teraflops)
{
    double rate = 0;
    assert_int_equal(yoke_machine_rate(m, precision, &rate), teraflops ? YOKE_OK : YOKE_INVALID);
    if (rate != teraflops * 1e12) fail_msg("%s has %g of %s", m->name, rate, precision);
}

static void presets_have_the_published_figures(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        const figures *p = &published[i];
        assert_string_equal(yoke_machine_preset(i), p->name);
        char text[64];
        snprintf(text, sizeof text, "%s:%lldx2", p->name, (long long)p->count);
        yoke_machine *m = found(text);
        assert_string_equal(m->name, text);
        assert_true(m->device.memory_bytes == p->memory * 1000000000 &&
                    m->device.bandwidth == p->bandwidth * 1e9);
        has_rate(m, "f32", p->f32);
        has_rate(m, "f16", p->f16);
        has_rate(m, "bf16", p->bf16);
        has_rate(m, "tf32", p->tf32);
        has_rate(m, "f8", p->f8);
        assert_int_equal(m->nlevels, 2);
        assert_true(m->levels[0].count == p->count && m->levels[0].bandwidth == p->inside * 1e9);
        assert_true(m->levels[1].count == 2 && m->levels[1].bandwidth == p->adapter * 1e9);
        assert_int_equal(m->levels[1].adapters, 8);
        assert_int_equal(m->ndevices, 2 * p->count);
        assert_true(yoke_machine_efficiency(m, 1e11) == p->share);
        assert_reads_back(m);
        yoke_machine_destroy(m);
    }
    assert_null(yoke_machine_preset(COUNT));
    assert_null(yoke_machine_preset(-1));
}

/* Every figure of a preset has its source beside it: a comment in its line or the one above. */
static void presets_name_their_sources(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "memory:", "rates:", "bandwidth: ", "efficiency:", "{name:", "contention:"};
    for (int i = 0; i < COUNT; i++) {
        char *text = strdup(yki_machine_preset_text(i)), *rest = text, *line;
        bool above = false;
        assert_non_null(text);
        while ((line = strsep(&rest, "\n"))) {
            const char *start = line + strspn(line, " -");
            for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
                if (strncmp(start, keys[k], strlen(keys[k])) == 0 && !above && !strchr(line, '#'))
                    fail_msg("%s: no source of %s", yoke_machine_preset(i), line);
            above = *start == '#';
        }
        free(text);
    }
}

static void a_name_alone_is_one_node(void **state)
{
    (void)state;
    static const char *const one[] = {"h100-sxm", "h100-sxm:8x1"};
    for (int i = 0; i < 2; i++) {
        yoke_machine *m = found(one[i]);
        assert_string_equal(m->name, one[i]);
        assert_int_equal(m->nlevels, 1);
        assert_int_equal(m->ndevices, 8);
        assert_reads_back(m);
        yoke_machine_destroy(m);
    }
    yoke_machine *m = found("h100-sxm:8x1280");
    assert_true(m->ndevices == 10240 && m->levels[1].count == 1280);
    yoke_machine_destroy(m);
    m = found("v100-32gb-dgx2:4x25"); /* half an adapter a device */
    assert_true(m->ndevices == 100 && m->levels[1].adapters == 2 && m->levels[0].count == 4);
    yoke_machine_destroy(m);
    m = found("v100-32gb-dgx2:1x3");
    assert_int_equal(m->levels[1].adapters, 1);
    assert_reads_back(m);
    yoke_machine_destroy(m);
}

static void shapes_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "h100-sxm:",     "h100-sxm:8",     "h100-sxm:8x",    "h100-sxm:x8",
        "h100-sxm:0x8",  "h100-sxm:8x0",   "h100-sxm:8X8",   "h100-sxm:-1x8",
        "h100-sxm:8x-8", "h100-sxm:8x8x8", "h100-sxm:8.5x8", "h100-sxm:999999999999999999999999999x8"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(bad[i], "after the name there must be PERNODExNODES, like h100-sxm:8x16");
    refused("h100-sxm:8x2097153", "has more than 16777216 devices");
    refused("h100-sxm:99999999x1", "has more than 16777216 devices");
    refused("h10-sxm", "did you mean 'h100-sxm'? presets are v100-32gb-dgx2, a100-40gb-sxm, ");
    refused("h10-sxm:8x2", "did you mean 'h100-sxm'?");
    refused("my-cluster.yaml",
            "there is no machine 'my-cluster.yaml': it is no file, and no preset; presets are");
    refused("a\x07", "there is no machine 'a\\x07'");
    refused("", "there is no machine ''");
}

static void a_file_is_read(void **state)
{
    (void)state;
    yoke_machine *m = found(RACKS);
    assert_int_equal(m->ndevices, 128);
    yoke_machine_destroy(m);
}

/* Where XDG_DATA_HOME says, or below HOME; one that is relative counts as none. */
static void here_is_what_was_measured(void **state)
{
    (void)state;
    char path[200];
    setenv("XDG_DATA_HOME", "relative", 1);
    setenv("HOME", folder, 1);
    refused("here", "this machine has not been measured");
    snprintf(path, sizeof path, "%s/.local/share/yoke/machine.yaml", folder);
    assert_string_equal(yoke_error_get()->file, path);
    setenv("XDG_DATA_HOME", folder, 1);
    refused("here", "this machine has not been measured");
    snprintf(path, sizeof path, "%s/yoke/machine.yaml", folder);
    assert_string_equal(yoke_error_get()->file, path);
    char *text = read_all(RACKS);
    snprintf(path, sizeof path, "%s/yoke", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/yoke/machine.yaml", folder);
    assert_int_equal(yki_disk_create(path, text, strlen(text)), YOKE_OK);
    yoke_machine *m = found("here");
    assert_string_equal(m->name, "two racks of A100");
    yoke_machine_destroy(m);
    assert_int_equal(yki_disk_create(path, "name: x\n", 8), YOKE_OK);
    refused("here", "'device' is missing");
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    refused("here", "neither XDG_DATA_HOME nor HOME is set");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_have_the_published_figures),
        cmocka_unit_test(presets_name_their_sources),
        cmocka_unit_test(a_name_alone_is_one_node),
        cmocka_unit_test(shapes_that_are_none_are_refused),
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(here_is_what_was_measured),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
