/* Layouts as text: "dp=2,zero=1", and as flags. */
#include "yoke/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
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

/* The data-parallel ranks that the devices leave, or 0 where they cannot be shared out. */
static int dp_left(const yoke_layout *layout)
{
    int64_t replica = (int64_t)layout->tp * layout->pp * layout->cp;
    return replica < 1 || layout->ndevices % replica ? 0 : (int)(layout->ndevices / replica);
}

static yoke_status settle_devices(const yki_reader *reader)
{
    static const char *const degrees[] = {"layout.dp", "layout.tp", "layout.pp", "layout.cp"};
    yoke_layout *layout = &reader->job->layout;
    const yki_yaml *devices = yki_yaml_find(reader->root, "layout.devices");
    for (int i = 0; i < 4 && !devices; i++)
        if (yki_yaml_find(reader->root, degrees[i])) layout->ndevices = 0;
    if (yki_yaml_find(reader->root, "layout.dp")) return YOKE_OK;
    if (yki_yaml_find(reader->root, "layout.dp_shard") && yki_yaml_find(reader->root, "layout.dp_replicate"))
        layout->dp = layout->dp_shard * layout->dp_replicate;
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

yoke_status yki_layout_text(const yoke_layout *layout, char *text, int size)
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
        if (value.data && usual.data && strcmp(value.data, usual.data) != 0)
            yki_text_append(&out, "%s%s=%s", out.length ? "," : "", key->path + sizeof section, value.data);
        yki_text_release(&value);
        yki_text_release(&usual);
    }
    free(jobs);
    bool failed = out.failed;
    hand_out(&out, text, size);
    return failed ? yki_fail_memory("a layout") : YOKE_OK;
}

void yoke_layout_print(const yoke_layout *layout, char *text, int size)
{
    if (!text || size < 1) return;
    text[0] = '\0';
    if (!layout) return;
    yki_layout_text(layout, text, size);
}

void yoke_layout_flags(const yoke_layout *layout, char *text, int size)
{
    if (!text || size < 1) return;
    text[0] = '\0';
    if (!layout) return;
    static const char *const recomputes[] = {"none", "selective", "full"};
    yki_text out = {0};
    yki_text_append(&out, "--dp %d --tp %d --pp %d --cp %d --microbatches %d --schedule ", layout->dp,
                    layout->tp, layout->pp, layout->cp, layout->microbatches);
    yki_text_append(&out, strpbrk(layout->schedule, " \t*?$&;|<>()") ? "'%s'" : "%s", layout->schedule);
    if (layout->chunks > 1) yki_text_append(&out, " --chunks %d", layout->chunks);
    if (layout->zero > 0) yki_text_append(&out, " --zero %d", layout->zero);
    if (layout->dp_shard) yki_text_append(&out, " --set layout.dp_shard=%d", layout->dp_shard);
    if (layout->dp_replicate) yki_text_append(&out, " --set layout.dp_replicate=%d", layout->dp_replicate);
    if (layout->bucket_bytes)
        yki_text_append(&out, " --set layout.bucket=%lld", (long long)layout->bucket_bytes);
    if (layout->recompute != YOKE_RECOMPUTE_NONE)
        yki_text_append(&out, " --recompute %s", recomputes[layout->recompute]);
    for (int i = 0; i < layout->nrecompute; i++)
        yki_text_append(&out, "%s%s", i ? "," : " --recompute ", recomputes[layout->recompute_of[i]]);
    if (layout->cp_kind == YOKE_CP_ULYSSES) yki_text_append(&out, " --set layout.cp_kind=ulysses");
    if (layout->sp) yki_text_append(&out, " --set layout.sp=true");
    if (layout->threads) yki_text_append(&out, " --set layout.threads=%d", layout->threads);
    if (layout->device_memory_bytes)
        yki_text_append(&out, " --device-memory %lld", (long long)layout->device_memory_bytes);
    bool counted = true;
    for (int i = 0; i < layout->ndevices; i++) counted = counted && layout->devices[i] == i;
    for (int i = 0; !counted && i < layout->ndevices; i++)
        yki_text_append(&out, "%scpu:%d", i ? "," : " --devices ", layout->devices[i]);
    hand_out(&out, text, size);
}
