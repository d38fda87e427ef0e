/* Event files of TensorBoard: records of a length, data and a checksum of each; the data are messages of
 * protobuf, of which these few fields are written by hand. Formats: tensorflow's record_writer.h,
 * event.proto, summary.proto. */
#include <dirent.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"
#include "report/recorder.h"
#include "train/trainer.h"

/* CRC-32C (Castagnoli), bit by bit: a record is a few hundred bytes. */
static uint32_t crc32c(const uint8_t *bytes, size_t count)
{
    uint32_t crc = ~UINT32_C(0);
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static uint32_t masked_crc(const uint8_t *bytes, size_t count)
{
    uint32_t crc = crc32c(bytes, count);
    return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

typedef struct message {
    uint8_t bytes[512];
    size_t length;
} message;

static void put_little(message *m, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) m->bytes[m->length++] = (uint8_t)(value >> 8 * i);
}

static void put_varint(message *m, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) m->bytes[m->length++] = (uint8_t)(value | 0x80);
    m->bytes[m->length++] = (uint8_t)value;
}

/* protobuf's wire types */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static void put_tag(message *m, int field, int type)
{
    put_varint(m, (uint64_t)(field << 3 | type));
}

static void put_bytes(message *m, int field, const void *bytes, size_t count)
{
    put_tag(m, field, BYTES);
    put_varint(m, count);
    memcpy(m->bytes + m->length, bytes, count);
    m->length += count;
}

/* Event.wall_time and Event.step */
static message event_at(int64_t step)
{
    message m = {.length = 0};
    double now = yki_wall_seconds();
    uint64_t bits;
    memcpy(&bits, &now, sizeof bits);
    put_tag(&m, 1, FIXED64);
    put_little(&m, bits, 8);
    if (step > 0) { /* protobuf leaves out a 0 */
        put_tag(&m, 2, VARINT);
        put_varint(&m, (uint64_t)step);
    }
    return m;
}

/* Summary.value: Value.tag and Value.simple_value */
static void put_scalar(message *summary, const char *name, double scalar)
{
    message m = {.length = 0};
    float value = (float)scalar;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_bytes(&m, 1, name, strlen(name));
    put_tag(&m, 2, FIXED32);
    put_little(&m, bits, 4);
    put_bytes(summary, 1, m.bytes, m.length);
}

static void write_record(yoke_recorder *recorder, const message *data)
{
    message record = {.length = 0};
    put_little(&record, data->length, 8);
    put_little(&record, masked_crc(record.bytes, 8), 4);
    memcpy(record.bytes + record.length, data->bytes, data->length);
    record.length += data->length;
    put_little(&record, masked_crc(data->bytes, data->length), 4);
    yki_recorder_write(recorder, record.bytes, record.length);
}

typedef struct scalar {
    const char *name;
    double value;
} scalar;

static void write_scalars(yoke_recorder *recorder, int64_t at, const scalar *scalars, size_t count)
{
    message event = event_at(at), summary = {.length = 0};
    for (size_t i = 0; i < count; i++)
        if (isfinite(scalars[i].value)) put_scalar(&summary, scalars[i].name, scalars[i].value);
    put_bytes(&event, 5, summary.bytes, summary.length);
    write_record(recorder, &event);
}

static void step(void *context, const yoke_step_report *r)
{
    const scalar scalars[] = {{"loss", r->loss},
                              {"lr", r->lr},
                              {"gradient_norm", r->gradient_norm},
                              {"samples_per_s", r->samples_per_s},
                              {"tokens_per_s", r->tokens_per_s > 0 ? r->tokens_per_s : NAN},
                              {"share_of_peak", r->share_of_peak}};
    write_scalars(context, r->step, scalars, sizeof scalars / sizeof *scalars);
}

/* Where a run begins, anew or again: TensorBoard drops what earlier files have of this step and later ones.
 */
static void write_start(yoke_recorder *recorder, int64_t at)
{
    const uint8_t start[] = {1 << 3 | VARINT, 1}; /* SessionLog.status: START */
    message m = event_at(at);
    put_bytes(&m, 7, start, sizeof start);
    write_record(recorder, &m);
}

static void event(void *context, const yoke_run_event *e)
{
    const yoke_held_out *found = e->evaluation;
    yoke_recorder *recorder = context;
    if (e->kind == YOKE_RUN_RESUMED || (e->kind == YOKE_RUN_STARTED && e->step == 0 && recorder->anew))
        write_start(recorder, e->step);
    if (!found) return;
    const scalar scalars[] = {{"held_out_loss", found->loss},
                              {"held_out_accuracy", found->accuracy},
                              {"held_out_perplexity", found->perplexity}};
    write_scalars(context, e->step, scalars, sizeof scalars / sizeof *scalars);
}

/* A number for the file's name, which readers sort by: the seconds since 1970, or more where an earlier file
 * of the folder has as many. */
static long long file_number(const char *dir, bool *others_out)
{
    static const char before[] = "events.out.tfevents.";
    long long number = (long long)yki_wall_seconds();
    DIR *listing = opendir(dir);
    for (struct dirent *found; listing && (found = readdir(listing));) {
        if (strncmp(found->d_name, before, sizeof before - 1) != 0) continue;
        *others_out = true;
        long long other = strtoll(found->d_name + sizeof before - 1, NULL, 10);
        if (other >= number && other < 9999999999) number = other + 1;
    }
    if (listing) closedir(listing);
    return number;
}

yoke_status yoke_tensorboard_open(yoke_recorder **recorder_out, yoke_trainer *trainer, const char *dir)
{
    YKI_NEED(recorder_out, trainer, dir);
    static atomic_int files; /* of this process: names must differ within a second */
    static const char version[] = "brain.Event:2";
    const yoke_watcher watcher = {.step = step, .event = event};
    char path[1300], name[160], host[65] = "";
    bool others = false;
    YKI_TRY(yki_disk_make_folders(dir));
    gethostname(host, sizeof host - 1);
    long long number = file_number(dir, &others);
    snprintf(name, sizeof name, "events.out.tfevents.%010lld.%.64s.%d.%d", number,
             host[0] ? host : "localhost", (int)getpid(), atomic_fetch_add(&files, 1));
    YKI_TRY(yki_path_join(path, sizeof path, dir, name));
    YKI_TRY(yki_recorder_open(recorder_out, trainer, "TensorBoard's events", path, &watcher));
    (*recorder_out)->anew = others;
    message first = event_at(0);
    put_bytes(&first, 3, version, sizeof version - 1);
    write_record(*recorder_out, &first);
    return YOKE_OK;
}
