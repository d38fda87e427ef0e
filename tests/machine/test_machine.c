/* Machine files: every key is read and printed, every unit; what a machine answers; the page names all keys.
 */
#include "machine_files.h"

#include "comma.h"
#include <math.h>

#include "predict/machine/keys.h"

static void the_contracts_file_is_read_whole(void **state)
{
    (void)state;
    yoke_machine *m;
    assert_int_equal(yoke_machine_load(RACKS, &m), YOKE_OK);
    assert_string_equal(m->name, "two racks of A100");
    assert_string_equal(m->device.name, "A100-SXM4-80GB");
    assert_true(m->device.memory_bytes == 80000000000);
    assert_true(m->device.reserve_bytes == 2147483648);
    const double rates[YOKE_MACHINE_PRECISIONS] = {0, 19.5e12, 156e12, 312e12, 0, 0};
    assert_memory_equal(m->device.rates, rates, sizeof rates);
    assert_true(m->device.bandwidth == 2039e9 && m->device.launch_s == 5e-6 && m->device.cores == 0);
    assert_int_equal(m->device.npoints, 2);
    assert_true(m->device.points[1].work == 1e11 && m->device.points[1].share == 0.72);
    assert_int_equal(m->nlevels, 2);
    assert_int_equal(m->ndevices, 128);
    const yoke_machine_level *nvlink = &m->levels[0], *ib = &m->levels[1];
    assert_string_equal(nvlink->name, "nvlink");
    assert_true(nvlink->count == 8 && nvlink->bandwidth == 300e9 && nvlink->latency_s == 3e-6);
    assert_true(nvlink->adapters == 0 && nvlink->oversubscription == 1);
    assert_true(ib->count == 16 && ib->bandwidth == 25e9 && ib->adapters == 8 && ib->oversubscription == 1);
    assert_true(m->contention == 0.1);
    assert_true(m->nstragglers == 1 && m->stragglers[0].device == 7 && m->stragglers[0].slower == 1.3);
    assert_true(m->nlinks == 1 && m->links[0].level == 1 && m->links[0].group == 3);
    assert_true(m->links[0].bandwidth == 12e9);
    assert_string_equal(m->measured_on, "2026-01-31");
    assert_string_equal(m->measured_by, "yoke 0.3");
    assert_string_equal(m->measured_command, "yoke bench");
    assert_reads_back(m);
    yoke_machine_destroy(m);
}

static void what_a_machine_leaves_out_has_its_default(void **state)
{
    (void)state;
    yoke_machine *m;
    assert_int_equal(read_machine("name: one\ndevice: {name: x, memory: 1kB, rates: {f32: 1 FLOP/s}, "
                                  "bandwidth: 8 b/s}\n",
                                  &m),
                     YOKE_OK);
    assert_true(m->ndevices == 1 && m->nlevels == 0 && m->contention == 0 && m->device.launch_s == 0);
    assert_true(m->device.reserve_bytes == 0 && m->device.bandwidth == 1 && !m->stragglers && !m->links);
    assert_string_equal(m->measured_on, "");
    assert_true(yoke_machine_efficiency(m, 1e9) == 1 && yoke_machine_shared_rate(m, 4) == 1);
    assert_reads_back(m);
    char *text = yoke_machine_print(m);
    assert_string_equal(text, "name: one\ndevice:\n  name: x\n  memory: 1 kB\n  bandwidth: 1 B/s\n  rates: "
                              "{f32: 1 FLOP/s}\n");
    free(text);
    yoke_machine_destroy(m);
}

static void a_machine_prints_as_people_write_it(void **state)
{
    (void)state;
    yoke_machine *m = machine_with("adapters: 8, oversubscription: 1", "oversubscription: 1.5");
    char *text = yoke_machine_print(m);
    assert_string_equal(
        text, "name: \"two racks of A100\"\n"
              "device:\n"
              "  name: A100-SXM4-80GB\n"
              "  memory: 80 GB\n"
              "  reserve: 2 GiB\n"
              "  bandwidth: 2039 GB/s\n"
              "  launch: 5 us\n"
              "  rates: {f32: 19.5 TFLOP/s, tf32: 156 TFLOP/s, bf16: 312 TFLOP/s}\n"
              "  efficiency:\n"
              "    - {work: 1e+09, share: 0.35}\n"
              "    - {work: 1e+11, share: 0.72}\n"
              "levels:\n"
              "  - {name: nvlink, count: 8, bandwidth: 300 GB/s, latency: 3 us}\n"
              "  - {name: infiniband, count: 16, bandwidth: 25 GB/s, latency: 6 us, oversubscription: 1.5}\n"
              "contention: 0.1\n"
              "exceptions:\n"
              "  - {device: 7, slower: 1.3}\n"
              "  - {level: infiniband, group: 3, bandwidth: 12 GB/s}\n"
              "measured: {on: \"2026-01-31\", by: \"yoke 0.3\", command: \"yoke bench\"}\n");
    free(text);
    yoke_machine_destroy(m);
}

static void units_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double bytes_per_s;
    } cases[] = {
        {"400 Gb/s", 50e9},
        {"400Gb/s", 50e9},
        {"400 GB/s", 400e9},
        {"2 GiB/s", 2147483648.0},
        {"1.5 TB/s", 1.5e12},
        {"1 TiB/s", 0x1p40},
        {"100 MB/s", 1e8},
        {"1 MiB/s", 1048576},
        {"100 Mb/s", 12500000},
        {"3 kB/s", 3000},
        {"3 KiB/s", 3072},
        {"8 kb/s", 1000},
        {"8 Kib/s", 1024},
        {"8 Mib/s", 1048576},
        {"8 Gib/s", 0x1p30},
        {"2 Tb/s", 250e9},
        {"8 Tib/s", 0x1p40},
        {"12 b/s", 1.5},
        {"0.125 B/s", 0.125},
        {"1e3 MB/s", 1e9},
        {"\"25 GB/s\"", 25e9},
        {"1e-300 B/s", 1e-300},
        {"123456789.125 B/s", 123456789.125},
        {"0.3333333333333333 TB/s", 0.3333333333333333e12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yoke_machine *m = machine_with("2039 GB/s", cases[i].text);
        if (m->device.bandwidth != cases[i].bytes_per_s) fail_msg("%s is not right", cases[i].text);
        assert_reads_back(m);
        yoke_machine_destroy(m);
    }
    static const struct {
        const char *text;
        double s;
    } times[] = {{"7 us", 7e-6}, {"0.5ms", 5e-4}, {"13 ns", 13e-9},
                 {"1 s", 1},     {"0 s", 0},      {"1.1 us", 1.1e-6}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        yoke_machine *m = machine_with("5 us", times[i].text);
        if (m->device.launch_s != times[i].s) fail_msg("%s is not right", times[i].text);
        assert_reads_back(m);
        yoke_machine_destroy(m);
    }
    yoke_machine *m =
        machine_with("312 TFLOP/s", "2.25 PFLOP/s, f16: 3 GFLOP/s, f8: 4 kFLOP/s, f64: 5 MFLOP/s");
    assert_true(m->device.rates[3] == 2.25e15 && m->device.rates[4] == 3e9 && m->device.rates[5] == 4e3);
    assert_true(m->device.rates[0] == 5e6);
    assert_reads_back(m);
    yoke_machine_destroy(m);
}

static void devices_of_a_cpu_share_its_cores(void **state)
{
    (void)state;
    yoke_machine *m =
        machine_with("  efficiency", "  cores: 4\n  shared_rate: {4: 0.3, 2: 0.7}\n  efficiency");
    assert_int_equal(m->device.cores, 4);
    assert_int_equal(m->device.nshared, 2);
    assert_int_equal(m->device.shared[0].devices, 2);
    assert_true(yoke_machine_shared_rate(m, 1) == 1 && yoke_machine_shared_rate(m, 0) == 1);
    assert_true(yoke_machine_shared_rate(m, 2) == 0.7);
    assert_true(fabs(yoke_machine_shared_rate(m, 3) - 0.5) < 1e-12);
    assert_true(yoke_machine_shared_rate(m, 4) == 0.3);
    assert_true(fabs(yoke_machine_shared_rate(m, 8) - 0.15) < 1e-12); /* together what four did */
    assert_reads_back(m);
    yoke_machine_destroy(m);
}

/* Half way in the logarithm is half way in the share; outside, the ends hold. */
static void efficiency_is_linear_in_the_logarithm_of_work(void **state)
{
    (void)state;
    yoke_machine *m = machine_with("- {work: 1e9, share: 0.35}",
                                   "- {work: 1e13, share: 0.8}\n    - {work: 1e9, share: 0.35}");
    const double at[][2] = {{1, 0.35},   {1e9, 0.35}, {1e10, (0.35 + 0.72) / 2}, {1e11, 0.72}, {1e12, 0.76},
                            {1e13, 0.8}, {1e20, 0.8}};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        if (fabs(yoke_machine_efficiency(m, at[i][0]) - at[i][1]) > 1e-12) fail_msg("at %g", at[i][0]);
    assert_reads_back(m);
    yoke_machine_destroy(m);
}

static void a_rate_that_is_missing_is_named(void **state)
{
    (void)state;
    yoke_machine *m = machine_with("contention", "contention");
    double rate = 0;
    assert_int_equal(yoke_machine_rate(m, "tf32", &rate), YOKE_OK);
    assert_true(rate == 156e12);
    assert_int_equal(yoke_machine_rate(m, "f16", &rate), YOKE_INVALID);
    assert_string_equal(yoke_error_get()->message,
                        "machine 'two racks of A100' says no rate of A100-SXM4-80GB for f16 "
                        "products: its device.rates has f32, tf32, bf16");
    assert_int_equal(yoke_machine_rate(m, "f99", &rate), YOKE_INVALID);
    yoke_machine_destroy(m);
    yoke_machine_destroy(NULL);
}

/* In any order; each sorted, and printed that way. */
static void exceptions_are_sorted(void **state)
{
    (void)state;
    yoke_machine *m =
        machine_with("- {device: 7, slower: 1.3}",
                     "- {device: 127, slower: 2}\n  - {level: nvlink, group: 127, bandwidth: 1 GB/s}\n"
                     "  - {level: infiniband, group: 0, bandwidth: 1 GB/s}\n  - {device: 0, slower: 1}\n"
                     "  - {level: nvlink, group: 5, bandwidth: 1 GB/s}");
    assert_int_equal(m->nstragglers, 2);
    assert_int_equal(m->nlinks, 4);
    assert_true(m->stragglers[0].device == 0 && m->stragglers[1].device == 127);
    assert_true(m->links[0].level == 0 && m->links[0].group == 5 && m->links[1].group == 127);
    assert_true(m->links[2].level == 1 && m->links[2].group == 0 && m->links[3].group == 3);
    assert_reads_back(m);
    yoke_machine_destroy(m);
}

/* Figures whose digits do not fit a unit evenly, and texts that must be quoted. */
static void tables_of_measurements_are_read(void **state)
{
    (void)state;
    yoke_machine *m = machine_with(
        "measured:",
        "kernels:\n"
        "  - {name: linear, type: f32, shape: R1024 K128 N384, threads: 1, time: 2 ms}\n"
        "  - {name: attention, type: bf16, shape: n2 T64 H4 d16, threads: 2, time: 150 us}\n"
        "  - {name: linear, type: f32, shape: R256 K128 N384, threads: 1, time: 0.6 ms}\n"
        "moves: [{op: all_reduce, level: nvlink, ranks: 2, bytes: 65536, time: 30 us}]\nmeasured:");
    assert_true(m->nkernels == 3 && m->nmoves == 1);
    const yoke_machine_kernel *first = &m->kernels[0];
    assert_string_equal(yoke_machine_kernel_name(first->kernel), "linear");
    assert_string_equal(yoke_machine_kernel_letters(first->kernel), "RKN");
    assert_true(first->dims[0] == 256 && first->dims[1] == 128 && first->dims[2] == 384); /* sorted */
    assert_true(first->seconds == 0.6e-3 && m->kernels[1].seconds == 2e-3);
    int64_t mnk[3];
    assert_true(yoke_machine_kernel_flops(first, mnk) == 2.0 * 256 * 128 * 384);
    assert_true(mnk[0] == 256 && mnk[1] == 384 && mnk[2] == 128);
    assert_true(yoke_machine_kernel_bytes(first) == 4.0 * (256 * 128 + 384 * 128 + 384 + 256 * 384));
    assert_true(yoke_machine_kernel_flops(&m->kernels[2], mnk) == 4.0 * 2 * 64 * 64 * 4 * 16 && mnk[0] == 0);
    assert_string_equal(yoke_machine_move_name(m->moves[0].op), "all_reduce");
    assert_true(m->moves[0].level == 0 && m->moves[0].bytes == 65536 && m->moves[0].seconds == 30e-6);
    assert_reads_back(m);
    yoke_machine_destroy(m);
}

static void any_machine_reads_back(void **state)
{
    (void)state;
    yoke_machine *m = machine_with("two racks of A100", "\"a: \\\"b\\\" #c \\u00e4, {x}\"");
    for (int i = 0; i < 2000; i++) {
        m->device.bandwidth = exp(0.37 * (i - 1000) / 3) * (1 + i * 0x1p-40);
        m->device.launch_s = fabs(sin(i)) * pow(10, i % 12 - 9);
        m->device.memory_bytes = 1 + (int64_t)(exp(0.0175 * i) * 3);
        m->device.reserve_bytes = m->device.memory_bytes / 3;
        m->device.rates[3] = 1e12 * (i + 1) / 7;
        m->contention = i / 2001.0;
        assert_reads_back(m);
    }
    yoke_machine_destroy(m);
}

static void any_locale_reads_the_same(void **state)
{
    (void)state;
    take_decimal_comma();
    yoke_machine *m = machine_with("5 us", "1.5 us");
    assert_true(m->device.launch_s == 1.5e-6);
    assert_reads_back(m);
    yoke_machine_destroy(m);
    setlocale(LC_NUMERIC, "C");
}

static void the_page_names_every_key(void **state)
{
    (void)state;
    static const yki_machine_section *const sections[] = {
        &yki_machine_root,         &yki_machine_device_keys, &yki_machine_rate_keys,
        &yki_machine_point_keys,   &yki_machine_level_keys,  &yki_machine_straggler_keys,
        &yki_machine_link_keys,    &yki_machine_kernel_keys, &yki_machine_move_keys,
        &yki_machine_measured_keys};
    char *page = read_all(YKI_MACHINE_FILES "/../../docs/machine-file.md"), word[64];
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        for (const yki_machine_key *key = sections[i]->keys; key->name; key++) {
            snprintf(word, sizeof word, "`%s`", key->name);
            if (!strstr(page, word)) fail_msg("docs/machine-file.md has no %s", word);
        }
    for (int i = 0; yoke_machine_preset(i); i++)
        if (!strstr(page, yoke_machine_preset(i)))
            fail_msg("docs/machine-file.md has no %s", yoke_machine_preset(i));
    free(page);
}

/* The file that the page shows. */
static void the_pages_machine_is_read(void **state)
{
    (void)state;
    char *page = read_all(YKI_MACHINE_FILES "/../../docs/machine-file.md");
    char *text = strstr(page, "```yaml\n");
    assert_non_null(text);
    text += strlen("```yaml\n");
    *strstr(text, "```") = '\0';
    yoke_machine *m;
    if (read_machine(text, &m) != YOKE_OK)
        fail_msg("%d: %s", yoke_error_get()->line, yoke_error_get()->message);
    assert_true(m->ndevices == 128 && m->levels[1].bandwidth == 25e9);
    yoke_machine_destroy(m);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contracts_file_is_read_whole),
        cmocka_unit_test(what_a_machine_leaves_out_has_its_default),
        cmocka_unit_test(a_machine_prints_as_people_write_it),
        cmocka_unit_test(units_are_told_apart),
        cmocka_unit_test(devices_of_a_cpu_share_its_cores),
        cmocka_unit_test(efficiency_is_linear_in_the_logarithm_of_work),
        cmocka_unit_test(a_rate_that_is_missing_is_named),
        cmocka_unit_test(exceptions_are_sorted),
        cmocka_unit_test(tables_of_measurements_are_read),
        cmocka_unit_test(any_machine_reads_back),
        cmocka_unit_test(any_locale_reads_the_same),
        cmocka_unit_test(the_page_names_every_key),
        cmocka_unit_test(the_pages_machine_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
