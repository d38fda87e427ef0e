/* Layouts as text: "dp=2,zero=1", and as flags. */
#include "yoke/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "job/job.h"
#include "job/read.h"
#include "job/value.h"

static const char section[] = "layout";

static bool is_layout(const yki_key *key)
{
    return strncmp(key->path, "layout.", 7) == 0;
}

void yoke_layout_default(yoke_layout *layout)
{
    if (layout) *layout = (yoke_layout)YOKE_LAYOUT_DEFAULT;
}

int yoke_layout_device(const yoke_layout *layout, int rank)
{
    bool listed = layout && layout->devices && rank >= 0 && rank < layout->ndevices;
    return listed ? layout->devices[rank] : rank;
}

const char *yki_device_kind_name(yoke_device_kind kind)
{
    static const char *const names[] = {[YOKE_CPU] = "cpu", [YOKE_CUDA] = "cuda"};
    return names[kind == YOKE_CUDA ? YOKE_CUDA : YOKE_CPU];
}

void yoke_layout_device_name(const yoke_layout *layout, int rank, char name[YOKE_DEVICE_NAME_BYTES])
{
    snprintf(name, YOKE_DEVICE_NAME_BYTES, "%s:%d",
             yki_device_kind_name(layout ? layout->device_kind : YOKE_CPU), yoke_layout_device(layout, rank));
}

bool yki_layout_is_counted(const yoke_layout *layout)
{
    bool counted = layout->device_kind == YOKE_CPU;
    for (int i = 0; i < layout->ndevices; i++) counted = counted && yoke_layout_device(layout, i) == i;
    return counted;
}

bool yki_layout_multiply_shards(yoke_layout *layout)
{
    int64_t dp = (int64_t)layout->dp_shard * layout->dp_replicate;
    if (dp > YOKE_MAX_DEVICES) return false;
    layout->dp = (int)dp;
    return true;
}

/* The data-parallel ranks that the devices leave, or 0 where they cannot be shared out. */
static int dp_left(const yoke_layout *layout)
{
    int replica = yki_devices_product(layout->tp, layout->pp, layout->cp, 1);
    return replica < 1 || layout->ndevices % replica ? 0 : layout->ndevices / replica;
}

static yoke_status settle_devices(const yki_reader *reader)
{
    static const char *const degrees[] = {"layout.dp", "layout.tp", "layout.pp", "layout.cp"};
    yoke_layout *layout = &reader->job->layout;
    const yki_yaml *devices = yki_yaml_find(reader->root, "layout.devices");
    const yki_yaml *shard = yki_yaml_find(reader->root, "layout.dp_shard");
    for (int i = 0; i < 4 && !devices; i++)
        if (yki_yaml_find(reader->root, degrees[i])) {
            layout->ndevices = 0;
            layout->devices = NULL;
            layout->device_kind = YOKE_CPU;
        }
    if (yki_yaml_find(reader->root, "layout.dp")) return YOKE_OK;
    if (shard && yki_yaml_find(reader->root, "layout.dp_replicate")) {
        if (!yki_layout_multiply_shards(layout))
            return yki_reader_fail(reader, shard, "layout.dp_shard",
                                   "%d x dp_replicate %d is more than %d devices", layout->dp_shard,
                                   layout->dp_replicate, YOKE_MAX_DEVICES);
    }
    if (!devices) return YOKE_OK;
    int dp = dp_left(layout);
    if (!dp)
        return yki_reader_fail(reader, devices, "layout.devices",
                               "%d devices cannot be shared by replicas of tp %d x pp %d x cp %d",
                               layout->ndevices, layout->tp, layout->pp, layout->cp);
    layout->dp = dp;
    return YOKE_OK;
}

yoke_status yoke_layout_parse(yoke_layout *layout, const char *text)
{
    YKI_NEED(layout, text);
    char shown[96], title[112];
    snprintf(title, sizeof title, "layout '%s'", yki_yaml_shown(shown, text));
    const char *const titles[] = {title};
    yki_reader reader = {.file = "", .noverrides = 1, .shown = titles, .job = malloc(sizeof *reader.job)};
    reader.root = yki_yaml_create(YKI_YAML_MAPPING, NULL, 0, 0);
    yoke_status status = reader.job && reader.root ? YOKE_OK : yki_fail_memory("a layout");
    if (status == YOKE_OK && !getcwd(reader.current, sizeof reader.current))
        status = yki_fail_errno("find", ".");
    if (status == YOKE_OK) {
        yki_job_init(reader.job);
        reader.job->layout = *layout;
        status = yki_reader_override_layout(&reader, text, 1);
    }
    if (status == YOKE_OK) status = yki_reader_check_keys(&reader);
    if (status == YOKE_OK) status = yki_reader_read(&reader, section, false);
    if (status == YOKE_OK) status = settle_devices(&reader);
    if (status == YOKE_OK) *layout = reader.job->layout;
    yki_yaml_destroy(reader.root);
    free(reader.job);
    return status;
}

/* Nothing where memory is out. */
static void hand_out(yki_text *text, char *out, int size)
{
    if (text->failed) yki_text_release(text);
    if (size > 0) snprintf(out, (size_t)size, "%s", text->data ? text->data : "");
    yki_text_release(text);
}

static yoke_status print(const yoke_layout *layout, bool whole, char *text, int size)
{
    yki_text out = {0};
    yoke_job *jobs = malloc(2 * sizeof *jobs);
    if (size > 0) *text = '\0';
    if (!jobs) return yki_fail_memory("a layout");
    yki_job_init(&jobs[0]);
    yki_job_init(&jobs[1]);
    jobs[0].layout = *layout;
    jobs[1].layout.dp = layout->ndevices ? dp_left(layout) : 1; /* what parsing takes where dp is not named */
    for (int i = 0; i < yki_job_nkeys; i++) {
        const yki_key *key = &yki_job_keys[i];
        yki_text value = {0}, usual = {0};
        if (!is_layout(key)) continue;
        yki_key_print(&value, key, &jobs[0]);
        yki_key_print(&usual, key, &jobs[1]);
        out.failed |= value.failed || usual.failed;
        bool none = key->kind == YKI_KEY_DEVICES && layout->ndevices == 0; /* null takes out what was there */
        if (value.data && usual.data && (whole || strcmp(value.data, usual.data) != 0))
            yki_text_append(&out, "%s%s=%s", out.length ? "," : "", key->path + sizeof section,
                            none ? "null" : value.data);
        yki_text_release(&value);
        yki_text_release(&usual);
    }
    free(jobs);
    bool failed = out.failed;
    hand_out(&out, text, size);
    return failed ? yki_fail_memory("a layout") : YOKE_OK;
}

yoke_status yki_layout_text(const yoke_layout *layout, char *text, int size)
{
    return print(layout, false, text, size);
}

void yoke_layout_print(const yoke_layout *layout, char *text, int size)
{
    if (!text || size < 1) return;
    text[0] = '\0';
    if (layout) print(layout, false, text, size);
}

void yoke_layout_print_whole(const yoke_layout *layout, char *text, int size)
{
    if (!text || size < 1) return;
    text[0] = '\0';
    if (layout) print(layout, true, text, size);
}

/* By yki_layout_key. */
static const char *const key_names[YKI_LAYOUT_KEYS] = {
    "layout.devices", "layout.dp",           "layout.tp",           "layout.pp",       "layout.cp",
    "layout.cp_kind", "layout.sp",           "layout.microbatches", "layout.schedule", "layout.chunks",
    "layout.zero",    "layout.dp_shard",     "layout.dp_replicate", "layout.bucket",   "layout.recompute",
    "layout.threads", "layout.device_memory"};

uint32_t yki_layout_named(yki_yaml *root)
{
    uint32_t named = 0;
    for (int i = 0; i < YKI_LAYOUT_KEYS; i++)
        if (yki_yaml_find(root, key_names[i])) named |= UINT32_C(1) << i;
    return named;
}

/* Flags under way. */
typedef struct flags {
    yki_text out;
    uint32_t named;
} flags;

/* Whether a key is given: begins its flag. */
static bool give(flags *f, yki_layout_key key, bool differs, const char *flag)
{
    if (!differs && !(f->named & UINT32_C(1) << key)) return false;
    yki_text_append(&f->out, "%s%s", f->out.length ? " " : "", flag);
    return true;
}

static void give_number(flags *f, yki_layout_key key, int64_t value, int64_t usual, const char *flag)
{
    if (give(f, key, value != usual, flag)) yki_text_append(&f->out, "%lld", (long long)value);
}

/* "3MiB", as people write sizes, where it is the same to the byte. */
static void give_bytes(flags *f, yki_layout_key key, int64_t bytes, const char *flag)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    if (!give(f, key, bytes != 0, flag)) return;
    for (; bytes > 0 && bytes % 1024 == 0 && unit < 4; unit++) bytes /= 1024;
    yki_text_append(&f->out, "%lld%s", (long long)bytes, units[unit]);
}

static void give_recompute(flags *f, const yoke_layout *layout)
{
    static const char *const names[] = {"none", "selective", "full"};
    bool some = layout->recompute != YOKE_RECOMPUTE_NONE || layout->nrecompute > 0;
    if (!give(f, YKI_LAYOUT_RECOMPUTE, some, "--recompute ")) return;
    if (layout->nrecompute == 0) yki_text_append(&f->out, "%s", names[layout->recompute]);
    for (int i = 0; i < layout->nrecompute; i++)
        yki_text_append(&f->out, "%s%s", i ? "," : "", names[layout->recompute_of[i]]);
}

static void give_devices(flags *f, const yoke_layout *layout)
{
    char name[YOKE_DEVICE_NAME_BYTES];
    bool counted = yki_layout_is_counted(layout);
    for (int i = 0; !counted && i < layout->ndevices; i++) {
        yoke_layout_device_name(layout, i, name);
        yki_text_append(&f->out, "%s%s", i ? "," : f->out.length ? " --devices " : "--devices ", name);
    }
}

static void give_all(flags *f, const yoke_layout *layout)
{
    const char *schedule = layout->schedule;
    give_number(f, YKI_LAYOUT_DP, layout->dp, 1, "--dp ");
    give_number(f, YKI_LAYOUT_TP, layout->tp, 1, "--tp ");
    give_number(f, YKI_LAYOUT_PP, layout->pp, 1, "--pp ");
    give_number(f, YKI_LAYOUT_CP, layout->cp, 1, "--cp ");
    give_number(f, YKI_LAYOUT_MICROBATCHES, layout->microbatches, 1, "--microbatches ");
    if (give(f, YKI_LAYOUT_SCHEDULE, strcmp(schedule, "1f1b") != 0, "--schedule "))
        yki_text_append(&f->out, strpbrk(schedule, " \t*?$&;|<>()") ? "'%s'" : "%s", schedule);
    give_number(f, YKI_LAYOUT_CHUNKS, layout->chunks, 1, "--chunks ");
    give_number(f, YKI_LAYOUT_ZERO, layout->zero, 0, "--zero ");
    give_number(f, YKI_LAYOUT_DP_SHARD, layout->dp_shard, 0, "--set layout.dp_shard=");
    give_number(f, YKI_LAYOUT_DP_REPLICATE, layout->dp_replicate, 0, "--set layout.dp_replicate=");
    give_bytes(f, YKI_LAYOUT_BUCKET, layout->bucket_bytes, "--set layout.bucket=");
    give_recompute(f, layout);
    if (give(f, YKI_LAYOUT_CP_KIND, layout->cp_kind == YOKE_CP_ULYSSES, "--set layout.cp_kind="))
        yki_text_append(&f->out, layout->cp_kind == YOKE_CP_ULYSSES ? "ulysses" : "ring");
    if (give(f, YKI_LAYOUT_SP, layout->sp, "--set layout.sp="))
        yki_text_append(&f->out, layout->sp ? "true" : "false");
    give_number(f, YKI_LAYOUT_THREADS, layout->threads, 0, "--threads ");
    give_bytes(f, YKI_LAYOUT_MEMORY, layout->device_memory_bytes, "--device-memory ");
    give_devices(f, layout);
}

void yoke_layout_flags(const yoke_layout *layout, char *text, int size)
{
    flags f = {0};
    if (!text || size < 1) return;
    text[0] = '\0';
    if (!layout) return;
    give_all(&f, layout);
    hand_out(&f.out, text, size);
}

void yki_layout_flags(const yoke_layout *layout, uint32_t named, char *text, int size)
{
    enum { DEVICES = 1 << YKI_LAYOUT_DEVICES, DP = 1 << YKI_LAYOUT_DP };
    flags f = {.named = named};
    if (named & DEVICES) f.named |= DP; /* a degree discards the file's devices */
    give_all(&f, layout);
    if (f.out.length == 0) yki_text_append(&f.out, "--dp 1");
    hand_out(&f.out, text, size);
}
