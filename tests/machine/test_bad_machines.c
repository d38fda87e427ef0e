/* Bad machine files: each is refused with a sentence, the line and the key at fault. */
#include "machine_files.h"

typedef struct bad_machine {
    const char *from,
        *to;          /* the change of the contract's file that makes it bad; from NULL: `to` is the file */
    const char *says; /* part of the sentence */
    int line;
    const char *key;
} bad_machine;

/* One that is right, but for what follows on line 2. */
#define DEVICE "name: m\ndevice: {name: d, memory: 1GB, bandwidth: 1 GB/s, "
#define GOOD   DEVICE "rates: {f32: 1 TFLOP/s}}\n"

static const bad_machine bad_machines[] = {
    /* YAML and keys */
    {NULL, "", "is empty", 0, ""},
    {NULL, "- a\n", "must be a mapping with name, device and levels, not a list", 1, ""},
    {"memory: 80GB", "memory: [80GB", "not valid YAML", 6, ""},
    {"  reserve: 2GiB", "  memory: 2GiB", "key 'memory' is given twice, first in line 4", 5, ""},
    {"contention:", "contenton:", "unknown key 'contenton' in a machine; did you mean 'contention'?", 15,
     "contenton"},
    {"reserve:", "resevre:", "unknown key 'resevre' in device; did you mean 'reserve'?", 5, "device.resevre"},
    {"latency: 3 us", "lat: 3 us", "unknown key 'lat' in a level", 13, "levels.0.lat"},
    {"share: 0.72", "shares: 0.72", "did you mean 'share'?", 11, "device.efficiency.1.shares"},
    {"contention: 0.1", "adapters: 8", "unknown key 'adapters' in a machine; it is a key of a level", 15,
     "adapters"},
    {"tf32: 156", "tf33: 156", "unknown key 'tf33' in rates; did you mean 'tf32'?", 6, "device.rates.tf33"},
    {"by: yoke 0.3", "bye: yoke 0.3", "unknown key 'bye' in measured; did you mean 'by'?", 19,
     "measured.bye"},
    {"slower: 1.3", "bandwidth: 1 GB/s", "unknown key 'bandwidth' in an exception of a device", 17,
     "exceptions.0.bandwidth"},
    {"name: two racks of A100", "", "'name' is missing", 2, "name"},
    {"  memory: 80GB", "", "'memory' is missing", 2, "device.memory"},
    {"  bandwidth: 2039 GB/s", "", "'bandwidth' is missing", 2, "device.bandwidth"},
    {"count: 8, ", "", "'count' is missing", 13, "levels.0.count"},
    {"latency: 6 us, ", "", "'latency' is missing", 14, "levels.1.latency"},
    {"{work: 1e9, ", "{", "'work' is missing", 10, "device.efficiency.0.work"},
    {", slower: 1.3", "", "'slower' is missing", 17, "exceptions.0.slower"},
    {"group: 3, ", "", "'group' is missing", 18, "exceptions.1.group"},
    {"on: 2026-01-31, ", "", "'on' is missing", 19, "measured.on"},
    {NULL, "name: m\n", "'device' is missing", 1, "device"},
    {NULL, DEVICE "}\n", "'rates' is missing", 2, "device.rates"},
    {NULL, "name: m\ndevice: x\n", "must be a mapping with name, memory, rates and bandwidth, not 'x'", 2,
     "device"},
    /* tables of measurements */
    {"measured:", "kernels: [{name: liner, type: f32, shape: R1 K1 N1, threads: 1, time: 1 us}]\nmeasured:",
     "there is no kernel 'liner'; did you mean 'linear'?", 19, "kernels.0.name"},
    {"measured:", "kernels: [{name: linear, type: f33, shape: R1 K1 N1, threads: 1, time: 1 us}]\nmeasured:",
     "there is no precision 'f33'; did you mean 'f32'?", 19, "kernels.0.type"},
    {"measured:", "kernels: [{name: linear, type: f32, shape: R1 N1 K1, threads: 1, time: 1 us}]\nmeasured:",
     "must be a number after each of the letters R K N, as the kernel linear has them, not 'R1 N1 K1'", 19,
     "kernels.0.shape"},
    {"measured:", "kernels: [{name: linear, type: f32, shape: R1 K1 N1, threads: 0, time: 1 us}]\nmeasured:",
     "must be at least 1, not 0", 19, "kernels.0.threads"},
    {"measured:", "kernels: [{name: linear, type: f32, shape: R1 K1 N1, threads: 1, time: 1}]\nmeasured:",
     "1 has no unit", 19, "kernels.0.time"},
    {"measured:", "kernels: [{name: linear, type: f32, threads: 1, time: 1 us}]\nmeasured:",
     "'shape' is missing", 19, "kernels.0.shape"},
    {"measured:", "moves: [{op: all_reduc, level: nvlink, ranks: 2, bytes: 1, time: 1 us}]\nmeasured:",
     "there is no movement 'all_reduc'; did you mean 'all_reduce'?", 19, "moves.0.op"},
    {"measured:", "moves: [{op: all_reduce, level: link, ranks: 2, bytes: 1, time: 1 us}]\nmeasured:",
     "must be the name of a level: nvlink or infiniband, not 'link'", 19, "moves.0.level"},
    {"measured:", "moves: [{op: all_reduce, level: nvlink, ranks: 1, bytes: 1, time: 1 us}]\nmeasured:",
     "must be at least 2, not 1", 19, "moves.0.ranks"},
    /* texts */
    {"two racks of A100", "", "has no value", 1, "name"},
    {"two racks of A100", "\"\"", "must be a text, not an empty one", 1, "name"},
    {"two racks of A100", "[a]", "must be a text, not a list", 1, "name"},
    {"two racks of A100", "{a: b}", "must be a text, not a mapping", 1, "name"},
    {"two racks of A100", "\"a\\tb\"", "without control characters", 1, "name"},
    {"two racks of A100", "\"a\\x7f\"", "without control characters", 1, "name"},
    {"two racks of A100", "\"\\u0085\"", "without control characters", 1, "name"},
    {"A100-SXM4-80GB", "0123456789012345678901234567890123456789012345678901234567890123",
     "is a text of more than 63 bytes", 3, "device.name"},
    {"2026-01-31", "yesterday", "must be a date like 2026-01-31, not 'yesterday'", 19, "measured.on"},
    {"2026-01-31", "2026-13-31", "must be a date", 19, "measured.on"},
    {"2026-01-31", "2026-00-31", "must be a date", 19, "measured.on"},
    {"2026-01-31", "2026-01-00", "must be a date", 19, "measured.on"},
    {"2026-01-31", "2026-01-32", "must be a date", 19, "measured.on"},
    {"2026-01-31", "2026/01/31", "must be a date", 19, "measured.on"},
    {"2026-01-31", "[2026]", "must be a date like 2026-01-31, not a list", 19, "measured.on"},
    /* sizes */
    {"memory: 80GB", "memory: [80GB]", "must be a size like 80GB or 2GiB, not a list", 4, "device.memory"},
    {"memory: 80GB", "memory: 80G", "is ambiguous: '80G'; write 80GB (thousands) or 80GiB (1024s)", 4,
     "device.memory"},
    {"memory: 80GB", "memory: much", "must be a size like 80GB or 2GiB, not 'much'", 4, "device.memory"},
    {"memory: 80GB", "memory: -1GB", "must be a size", 4, "device.memory"},
    {"memory: 80GB", "memory: 0", "must be above 0, not 0", 4, "device.memory"},
    {"memory: 80GB", "memory: 9999999999 TB", "is out of range: 9999999999 TB", 4, "device.memory"},
    {"memory: 80GB", "memory: 99999TiB", "must be at most 9007199254740992, not 99999TiB", 4,
     "device.memory"},
    {"reserve: 2GiB", "reserve: 80GB", "leaves nothing of the memory", 5, "device.reserve"},
    /* numbers with units */
    {"2039 GB/s", "2039", "must be a bandwidth like 300 GB/s (bytes) or 400 Gb/s (bits): 2039 has no unit", 7,
     "device.bandwidth"},
    {"2039 GB/s", "2039 GB", "must be a bandwidth like 300 GB/s (bytes) or 400 Gb/s (bits), not '2039 GB'", 7,
     "device.bandwidth"},
    {"2039 GB/s", "2039 gb/s", "not '2039 gb/s'", 7, "device.bandwidth"},
    {"2039 GB/s", "2039 TFLOP/s", "must be a bandwidth", 7, "device.bandwidth"},
    {"2039 GB/s", "fast", "must be a bandwidth", 7, "device.bandwidth"},
    {"2039 GB/s", "0x10 GB/s", "must be a bandwidth", 7, "device.bandwidth"},
    {"2039 GB/s", "nan GB/s", "must be a bandwidth", 7, "device.bandwidth"},
    {"2039 GB/s", "[1, 2]", "must be a bandwidth like 300 GB/s (bytes) or 400 Gb/s (bits), not a list", 7,
     "device.bandwidth"},
    {"2039 GB/s", "0 GB/s", "must be above 0, not 0 GB/s", 7, "device.bandwidth"},
    {"2039 GB/s", "-3 GB/s", "must be above 0, not -3 GB/s", 7, "device.bandwidth"},
    {"2039 GB/s", "1e-400 GB/s", "must be above 0", 7, "device.bandwidth"},
    {"2039 GB/s", "1e300 GB/s", "is out of range: 1e300 GB/s", 7, "device.bandwidth"},
    {"2039 GB/s", "1e999 Gb/s", "is out of range: 1e999 Gb/s", 7, "device.bandwidth"},
    {"5 us", "5 TFLOP/s", "must be a time like 5 us, not '5 TFLOP/s'", 8, "device.launch"},
    {"5 us", "-5 us", "must be at least 0, not -5 us", 8, "device.launch"},
    {"5 us", "5", "must be a time like 5 us: 5 has no unit", 8, "device.launch"},
    {"312 TFLOP/s", "312", "must be a rate like 312 TFLOP/s: 312 has no unit", 6, "device.rates.bf16"},
    {"312 TFLOP/s", "0 TFLOP/s", "must be above 0", 6, "device.rates.bf16"},
    {"{bf16: 312 TFLOP/s, tf32: 156 TFLOP/s, f32: 19.5 TFLOP/s}", "{}", "a rate of at least one precision", 6,
     "device.rates"},
    {"{bf16: 312 TFLOP/s, tf32: 156 TFLOP/s, f32: 19.5 TFLOP/s}", "312 TFLOP/s",
     "must be rates by precision, like {bf16: 312 TFLOP/s, f32: 19.5 TFLOP/s}, not '312 TFLOP/s'", 6,
     "device.rates"},
    /* numbers */
    {"share: 0.35", "share: 0", "must be above 0, not 0", 10, "device.efficiency.0.share"},
    {"share: 0.35", "share: 1.01", "must be at most 1, not 1.01", 10, "device.efficiency.0.share"},
    {"share: 0.35", "share: 35 %", "must be a number, not '35 %'", 10, "device.efficiency.0.share"},
    {"share: 0.35", "share: \"0.35\"", "must be a number", 10, "device.efficiency.0.share"},
    {"share: 0.35", "share: {a: 1}", "must be a number, not a mapping", 10, "device.efficiency.0.share"},
    {"work: 1e9", "work: 0", "must be above 0", 10, "device.efficiency.0.work"},
    {"work: 1e9", "work: 1e999", "is out of range: 1e999", 10, "device.efficiency.0.work"},
    {"work: 1e9", "work: 100e9", "1e11 is given twice", 11, "device.efficiency.1.work"},
    {"efficiency:", "efficiency: 0.5 #", "not valid YAML", 10, ""},
    {"contention: 0.1", "contention: 1", "must be below 1, not 1", 15, "contention"},
    {"contention: 0.1", "contention: -0.1", "must be at least 0, not -0.1", 15, "contention"},
    {"oversubscription: 1", "oversubscription: 0.5", "must be at least 1, not 0.5", 14,
     "levels.1.oversubscription"},
    {"slower: 1.3", "slower: 0.9", "must be at least 1, not 0.9", 17, "exceptions.0.slower"},
    {NULL, DEVICE "efficiency: 0.5, rates: {f32: 1 TFLOP/s}}\n", "must be a list of points like", 2,
     "device.efficiency"},
    {NULL, DEVICE "efficiency: [3], rates: {f32: 1 TFLOP/s}}\n",
     "must be a point, like {work: 1e9, share: 0.35}, not '3'", 2, "device.efficiency.0"},
    /* counts */
    {"count: 8", "count: 0", "must be at least 1, not 0", 13, "levels.0.count"},
    {"count: 8", "count: 1.5", "must be a whole number, not '1.5'", 13, "levels.0.count"},
    {"count: 8", "count: \"8\"", "must be a whole number", 13, "levels.0.count"},
    {"count: 8", "count: [8]", "must be a whole number, not a list", 13, "levels.0.count"},
    {"count: 8", "count: 99999999999999999999", "is out of range: 99999999999999999999", 13,
     "levels.0.count"},
    {"count: 8", "count: 16777217", "must be at most 16777216, not 16777217", 13, "levels.0.count"},
    {"count: 8", "count: 1048577", "makes 16777232 devices, more than 16777216", 14, "levels.1.count"},
    {"adapters: 8", "adapters: 0", "must be at least 1, not 0", 14, "levels.1.adapters"},
    {"name: infiniband", "name: nvlink", "another level has the name 'nvlink'", 14, "levels.1.name"},
    {NULL, GOOD "levels: 8\n", "must be a list of levels, innermost first, not '8'", 3, "levels"},
    {NULL, GOOD "levels:\n- 8\n", "must be a level, like {name: nvlink,", 4, "levels.0"},
    {NULL, GOOD "levels: [1, 2, 3, 4, 5, 6, 7, 8, 9]\n", "has more than 8 entries", 3, "levels"},
    /* devices that share cores */
    {"  efficiency:", "  cores: 0\n  efficiency:", "must be at least 1", 9, "device.cores"},
    {"  efficiency:", "  shared_rate: {2: 0.5}\n  efficiency:", "needs cores", 9, "device.shared_rate"},
    {"  efficiency:", "  cores: 2\n  shared_rate: 0.5\n  efficiency:",
     "must be rates by how many devices work", 10, "device.shared_rate"},
    {"  efficiency:", "  cores: 2\n  shared_rate: {1: 0.5}\n  efficiency:", "from 2 to 65536, not '1'", 10,
     "device.shared_rate.1"},
    {"  efficiency:", "  cores: 2\n  shared_rate: {65537: 0.5}\n  efficiency:", "from 2 to 65536", 10,
     "device.shared_rate.65537"},
    {"  efficiency:", "  cores: 2\n  shared_rate: {two: 0.5}\n  efficiency:", "not 'two'", 10,
     "device.shared_rate.two"},
    {"  efficiency:", "  cores: 2\n  shared_rate: {2: 0.5, 02: 0.6}\n  efficiency:", "02 is given twice", 10,
     "device.shared_rate.02"},
    {"  efficiency:", "  cores: 2\n  shared_rate: {2: 1.5}\n  efficiency:", "must be at most 1, not 1.5", 10,
     "device.shared_rate.2"},
    /* exceptions */
    {"device: 7,", "device: 128,", "there is no device 128: the last one is 127", 17, "exceptions.0.device"},
    {"device: 7,", "device: -1,", "must be at least 0, not -1", 17, "exceptions.0.device"},
    {"{level: infiniband, group: 3, bandwidth: 12 GB/s}", "{device: 7, slower: 2}",
     "device 7 has another exception", 18, "exceptions.1.device"},
    {"{device: 7, slower: 1.3}", "{level: infiniband, group: 3, bandwidth: 1 GB/s}",
     "group 3 of level infiniband has another exception", 18, "exceptions.1.group"},
    {"level: infiniband, group: 3", "level: infinband, group: 3",
     "must be the name of a level: nvlink or infiniband, not 'infinband'", 18, "exceptions.1.level"},
    {"level: infiniband, group: 3", "level: [a], group: 3",
     "must be the name of a level: nvlink or infiniband, not a list", 18, "exceptions.1.level"},
    {"group: 3", "group: 16", "there is no group 16 at level infiniband: the last one is 15", 18,
     "exceptions.1.group"},
    {"level: infiniband, group: 3", "level: nvlink, group: 128",
     "there is no group 128 at level nvlink: the last one is 127", 18, "exceptions.1.group"},
    {"bandwidth: 12 GB/s", "bandwidth: 0 GB/s", "must be above 0", 18, "exceptions.1.bandwidth"},
    {"{device: 7, slower: 1.3}", "{slower: 1.3}", "must say either of a device how much slower it is", 17,
     "exceptions.0"},
    {"{device: 7, slower: 1.3}", "{device: 7, level: nvlink}", "must say either of a device", 17,
     "exceptions.0"},
    {"{device: 7, slower: 1.3}", "7", "must say either of a device", 17, "exceptions.0"},
    {NULL, GOOD "exceptions: none\n", "must be a list of exceptions like", 3, "exceptions"},
    {NULL, GOOD "exceptions: [{level: x, group: 0, bandwidth: 1 B/s}]\n", "there are no levels", 3,
     "exceptions.0.level"},
};

static bool is_refused_in_place(const char *text, const bad_machine *bad)
{
    yoke_machine *machine;
    if (read_machine(text, &machine) != YOKE_INVALID) {
        yoke_machine_destroy(machine);
        print_error("not refused: %s\n", bad->to);
        return false;
    }
    const yoke_error *e = yoke_error_get();
    bool good = strstr(e->message, bad->says) && e->line == bad->line && strcmp(e->key, bad->key) == 0 &&
                strcmp(e->file, "m.yaml") == 0 && !strchr(e->message, '\n');
    if (!good) print_error("%s: says %s:%d: %s: %s\n", bad->to, e->file, e->line, e->key, e->message);
    return good;
}

static void bad_machines_are_refused_in_place(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof bad_machines / sizeof *bad_machines; i++) {
        const bad_machine *bad = &bad_machines[i];
        char *text = bad->from ? changed(bad->from, bad->to) : strdup(bad->to);
        assert_non_null(text);
        wrong += !is_refused_in_place(text, bad);
        free(text);
    }
    assert_int_equal(wrong, 0);
}

/* GOOD with a list of so many entries. */
static char *many(const char *before, const char *entry, int count, const char *after)
{
    char *text = malloc(strlen(before) + (size_t)count * (strlen(entry) + 12) + strlen(after) + 1),
         *end = text;
    assert_non_null(text);
    end += sprintf(end, "%s", before);
    for (int i = 0; i < count; i++) end += sprintf(end, entry, i + 2);
    sprintf(end, "%s", after);
    return text;
}

static void lists_have_an_end(void **state)
{
    (void)state;
    static const struct {
        const char *before, *entry;
        int most;
        const char *after;
    } lists[] = {
        {DEVICE "rates: {f32: 1 TFLOP/s}, efficiency: [", "{work: %d, share: 1}, ", YOKE_MACHINE_POINTS,
         "]}\n"},
        {DEVICE "rates: {f32: 1 TFLOP/s}, cores: 2, shared_rate: {", "%d: 1, ", YOKE_MACHINE_POINTS, "}}\n"},
        {GOOD "levels: [{name: a, count: 9999, bandwidth: 1 B/s, latency: 1 s}]\nexceptions: [",
         "{device: %d, slower: 2}, ", YOKE_MACHINE_EXCEPTIONS, "]\n"},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (int more = 0; more < 2; more++) {
            char *text = many(lists[i].before, lists[i].entry, lists[i].most + more, lists[i].after);
            yoke_machine *machine;
            assert_int_equal(read_machine(text, &machine), more ? YOKE_INVALID : YOKE_OK);
            if (more) assert_non_null(strstr(yoke_error_get()->message, "has more than"));
            yoke_machine_destroy(machine);
            free(text);
        }
}

static void files_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    yoke_machine *machine = NULL;
    assert_int_equal(yoke_machine_load("/nonexistent/m.yaml", &machine), YOKE_INVALID);
    assert_string_equal(yoke_error_get()->file, "/nonexistent/m.yaml");
    assert_int_equal(yoke_machine_load("/", &machine), YOKE_INVALID);
    assert_null(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_machines_are_refused_in_place),
        cmocka_unit_test(lists_have_an_end),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
