/* The tables of keys and units. */
#include "predict/machine/keys.h"

/* clang-format off */
#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define MACHINE(member)     FIELD(yoke_machine, member)
#define DEVICE(member)      FIELD(yoke_machine_device, member)
#define LEVEL(member)       FIELD(yoke_machine_level, member)
#define RATE(i)             .offset = (i) * sizeof(double), .size = sizeof(double), .above = true
#define POSITIVE            .above = true
#define MANY                9007199254740992.0 /* 2^53: every whole number up to it is a double */

static const yki_machine_key root[] = {
    {"name", YKI_MACHINE_TEXT, MACHINE(name), .needed = true},
    {"device", YKI_MACHINE_INNER, .needed = true},
    {"levels", YKI_MACHINE_INNER, .needed = false},
    {"contention", YKI_MACHINE_NUMBER, MACHINE(contention), .most = 1, .below = true},
    {"exceptions", YKI_MACHINE_INNER, .needed = false},
    {"kernels", YKI_MACHINE_INNER, .needed = false},
    {"moves", YKI_MACHINE_INNER, .needed = false},
    {"measured", YKI_MACHINE_INNER, .needed = false},
    {0}};

static const yki_machine_key device[] = {
    {"name", YKI_MACHINE_TEXT, DEVICE(name), .needed = true},
    {"memory", YKI_MACHINE_BYTES, DEVICE(memory_bytes), POSITIVE, .most = MANY, .needed = true},
    {"reserve", YKI_MACHINE_BYTES, DEVICE(reserve_bytes), .most = MANY},
    {"rates", YKI_MACHINE_INNER, .needed = true},
    {"bandwidth", YKI_MACHINE_BANDWIDTH, DEVICE(bandwidth), POSITIVE, .needed = true},
    {"launch", YKI_MACHINE_SECONDS, DEVICE(launch_s)},
    {"step", YKI_MACHINE_SECONDS, DEVICE(step_s)},
    {"cores", YKI_MACHINE_COUNT, DEVICE(cores), .least = 1, .most = 65536},
    {"shared_rate", YKI_MACHINE_INNER, .needed = false},
    {"efficiency", YKI_MACHINE_INNER, .needed = false},
    {0}};

static const yki_machine_key rates[] = {
    {"f64", YKI_MACHINE_RATE, RATE(0)}, {"f32", YKI_MACHINE_RATE, RATE(1)}, {"tf32", YKI_MACHINE_RATE, RATE(2)},
    {"bf16", YKI_MACHINE_RATE, RATE(3)}, {"f16", YKI_MACHINE_RATE, RATE(4)}, {"f8", YKI_MACHINE_RATE, RATE(5)},
    {0}};
_Static_assert(sizeof rates / sizeof *rates == YOKE_MACHINE_PRECISIONS + 1, "one key a precision");

static const yki_machine_key point[] = {
    {"work", YKI_MACHINE_NUMBER, FIELD(yoke_machine_point, work), POSITIVE, .needed = true},
    {"share", YKI_MACHINE_NUMBER, FIELD(yoke_machine_point, share), POSITIVE, .most = 1, .needed = true},
    {0}};

static const yki_machine_key level[] = {
    {"name", YKI_MACHINE_TEXT, LEVEL(name), .needed = true},
    {"count", YKI_MACHINE_COUNT, LEVEL(count), .least = 1, .most = YOKE_MACHINE_DEVICES, .needed = true},
    {"bandwidth", YKI_MACHINE_BANDWIDTH, LEVEL(bandwidth), POSITIVE, .needed = true},
    {"latency", YKI_MACHINE_SECONDS, LEVEL(latency_s), .needed = true},
    {"adapters", YKI_MACHINE_COUNT, LEVEL(adapters), .least = 1, .most = YOKE_MACHINE_DEVICES},
    {"oversubscription", YKI_MACHINE_NUMBER, LEVEL(oversubscription), .least = 1, .standard = 1},
    {0}};

static const yki_machine_key straggler[] = {
    {"device", YKI_MACHINE_COUNT, FIELD(yoke_machine_straggler, device), .most = YOKE_MACHINE_DEVICES, .needed = true},
    {"slower", YKI_MACHINE_NUMBER, FIELD(yoke_machine_straggler, slower), .least = 1, .needed = true},
    {0}};

static const yki_machine_key link[] = {
    {"level", YKI_MACHINE_INNER, .needed = true},
    {"group", YKI_MACHINE_COUNT, FIELD(yoke_machine_link, group), .most = YOKE_MACHINE_DEVICES, .needed = true},
    {"bandwidth", YKI_MACHINE_BANDWIDTH, FIELD(yoke_machine_link, bandwidth), POSITIVE, .needed = true},
    {0}};

static const yki_machine_key kernel[] = {
    {"name", YKI_MACHINE_INNER, .needed = true},
    {"type", YKI_MACHINE_INNER, .needed = true},
    {"threads", YKI_MACHINE_COUNT, FIELD(yoke_machine_kernel, threads), .least = 1, .most = 65536, .needed = true},
    {"shape", YKI_MACHINE_INNER, .needed = true},
    {"time", YKI_MACHINE_SECONDS, FIELD(yoke_machine_kernel, seconds), POSITIVE, .needed = true},
    {0}};

static const yki_machine_key move[] = {
    {"op", YKI_MACHINE_INNER, .needed = true},
    {"level", YKI_MACHINE_INNER, .needed = true},
    {"ranks", YKI_MACHINE_COUNT, FIELD(yoke_machine_move, ranks), .least = 2, .most = YOKE_MACHINE_DEVICES, .needed = true},
    {"bytes", YKI_MACHINE_COUNT, FIELD(yoke_machine_move, bytes), .least = 1, .most = MANY, .needed = true},
    {"time", YKI_MACHINE_SECONDS, FIELD(yoke_machine_move, seconds), POSITIVE, .needed = true},
    {0}};

static const yki_machine_key measured[] = {
    {"on", YKI_MACHINE_DATE, MACHINE(measured_on), .needed = true},
    {"by", YKI_MACHINE_TEXT, MACHINE(measured_by), .needed = true},
    {"command", YKI_MACHINE_TEXT, MACHINE(measured_command)},
    {0}};

const yki_machine_section
    yki_machine_root = {"a machine", "a mapping with name, device and levels", root},
    yki_machine_device_keys = {"device", "a mapping with name, memory, rates and bandwidth", device},
    yki_machine_rate_keys = {"rates", "rates by precision, like {bf16: 312 TFLOP/s, f32: 19.5 TFLOP/s}", rates},
    yki_machine_point_keys = {"a point of efficiency", "a point, like {work: 1e9, share: 0.35}", point},
    yki_machine_level_keys = {"a level", "a level, like {name: nvlink, count: 8, bandwidth: 300 GB/s, latency: 3 us}", level},
    yki_machine_straggler_keys = {"an exception of a device", "", straggler},
    yki_machine_link_keys = {"an exception of a level", "", link},
    yki_machine_kernel_keys = {"a measured kernel", "a kernel, like {name: linear, type: f32, threads: 1, shape: R1024 K128 N384, time: 2 ms}", kernel},
    yki_machine_move_keys = {"a measured movement", "a movement, like {op: all_reduce, level: local, ranks: 2, bytes: 65536, time: 30 us}", move},
    yki_machine_measured_keys = {"measured", "a mapping with on and by, like {on: 2026-01-31, by: yoke 0.3}", measured};

static const yki_unit bytes[] = {
    {"B", 1, 1}, {"kB", 1e3, 1}, {"KiB", 0x1p10, 1}, {"MB", 1e6, 1}, {"MiB", 0x1p20, 1},
    {"GB", 1e9, 1}, {"GiB", 0x1p30, 1}, {"TB", 1e12, 1}, {"TiB", 0x1p40, 1}, {0}};
static const yki_unit flops[] = {
    {"FLOP/s", 1, 1}, {"kFLOP/s", 1e3, 1}, {"MFLOP/s", 1e6, 1}, {"GFLOP/s", 1e9, 1}, {"TFLOP/s", 1e12, 1},
    {"PFLOP/s", 1e15, 1}, {0}};
static const yki_unit bandwidths[] = {
    {"B/s", 1, 1}, {"kB/s", 1e3, 1}, {"KiB/s", 0x1p10, 1}, {"MB/s", 1e6, 1}, {"MiB/s", 0x1p20, 1}, {"GB/s", 1e9, 1},
    {"GiB/s", 0x1p30, 1}, {"TB/s", 1e12, 1}, {"TiB/s", 0x1p40, 1}, {0}};
const yki_unit yki_machine_bits[] = {
    {"b/s", 1, 8}, {"kb/s", 1e3, 8}, {"Kib/s", 0x1p10, 8}, {"Mb/s", 1e6, 8}, {"Mib/s", 0x1p20, 8}, {"Gb/s", 1e9, 8},
    {"Gib/s", 0x1p30, 8}, {"Tb/s", 1e12, 8}, {"Tib/s", 0x1p40, 8}, {0}};
static const yki_unit times[] = {{"ns", 1, 1e9}, {"us", 1, 1e6}, {"ms", 1, 1e3}, {"s", 1, 1}, {0}};

static const struct {
    const yki_unit *units;
    const char *such;
} kinds[] = {
    [YKI_MACHINE_BYTES] = {bytes, "a size like 80GB or 2GiB"},
    [YKI_MACHINE_RATE] = {flops, "a rate like 312 TFLOP/s"},
    [YKI_MACHINE_BANDWIDTH] = {bandwidths, "a bandwidth like 300 GB/s (bytes) or 400 Gb/s (bits)"},
    [YKI_MACHINE_SECONDS] = {times, "a time like 5 us"},
    [YKI_MACHINE_INNER] = {0},
};
/* clang-format on */

const yki_unit *yki_machine_units(yki_machine_kind kind)
{
    return kinds[kind].units;
}

const char *yki_machine_such(yki_machine_kind kind)
{
    return kinds[kind].such;
}

const char *yoke_machine_precision(int i)
{
    return i >= 0 && i < YOKE_MACHINE_PRECISIONS ? rates[i].name : NULL;
}
