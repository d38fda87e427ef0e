/* Writing safetensors: declare, begin, write in any order, finish.
 *
 * The bytes go to PATH.partial-PID, which takes the name PATH when all of it is on the disk; a killed writer
 * never leaves a file that could be taken for a whole one. After begin the entries do not change, so that
 * threads may write at once: each pwrite goes to its own place, and what they share is a counter of bytes.
 * Deliberately absent: shards. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"
#include "checkpoint/safetensors.h"

typedef struct entry {
    char *name;
    char dtype[12];
    int bits, ndim;
    int64_t dims[YKI_SAFETENSORS_MAX_DIMS];
    size_t bytes, place; /* place: in the file */
    _Atomic size_t written;
} entry;

struct yki_safetensors_writer {
    char *path, *partial;
    int fd;
    bool begun;
    size_t nentries, room, file_bytes;
    entry *entries;   /* after begin: in the order of the file */
    entry **by_name;  /* after begin: sorted by name */
    json_t *metadata; /* strings */
};

static void destroy(yki_safetensors_writer *writer)
{
    for (size_t i = 0; i < writer->nentries; i++) free(writer->entries[i].name);
    json_decref(writer->metadata);
    free(writer->entries);
    free(writer->by_name);
    free(writer->partial);
    free(writer->path);
    free(writer);
}

void yki_safetensors_abandon(yki_safetensors_writer *writer)
{
    if (!writer) return;
    if (writer->fd >= 0) {
        close(writer->fd);
        unlink(writer->partial);
    }
    destroy(writer);
}

yoke_status yki_safetensors_writer_create(const char *path, yki_safetensors_writer **writer_out)
{
    yki_safetensors_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return yki_fail_memory("a safetensors writer");
    writer->fd = -1;
    writer->path = strdup(path);
    writer->metadata = json_object();
    yki_text name = {0};
    yki_text_append(&name, "%s.partial-%ld", path, (long)getpid());
    writer->partial = yki_text_take(&name);
    yoke_status status = YOKE_OK;
    if (!writer->path || !writer->partial || !writer->metadata)
        status = yki_fail_memory("a safetensors writer");
    else if (yki_path_is_folder(path))
        status = yki_fail_at(YOKE_INVALID, path, 0, "", "is a folder where a file is to be written");
    else {
        writer->fd = open(writer->partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (writer->fd < 0) {
            bool path_at_fault =
                errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ENAMETOOLONG;
            status = yki_fail_at(path_at_fault ? YOKE_INVALID : YOKE_SYSTEM, path, 0, "",
                                 "cannot create it: %s", strerror(errno));
        }
    }
    if (status != YOKE_OK) {
        yki_safetensors_abandon(writer);
        return status;
    }
    *writer_out = writer;
    return YOKE_OK;
}

yoke_status yki_safetensors_declare(yki_safetensors_writer *writer, const char *name, const char *dtype,
                                    int ndim, const int64_t *dims)
{
    char quoted[YKI_QUOTE_BYTES];
    yki_quote(quoted, name);
    int bits = yki_safetensors_bits(dtype);
    if (writer->begun)
        return yki_fail_at(YOKE_INVALID, writer->path, 0, "",
                           "tensor %s is declared after the header was written", quoted);
    if (strcmp(name, "__metadata__") == 0 || yki_utf8_prefix(name, strlen(name)) < strlen(name))
        return yki_fail_at(YOKE_INVALID, writer->path, 0, "", "no tensor can have the name %s", quoted);
    if (bits == 0 || ndim < 0 || ndim > YKI_SAFETENSORS_MAX_DIMS)
        return yki_fail_at(YOKE_INVALID, writer->path, 0, "",
                           "tensor %s cannot be written with dtype %.20s and %d dims", quoted, dtype, ndim);
    entry made = {.bits = bits, .ndim = ndim};
    int64_t total_bits = bits;
    bool overflow = false;
    for (int i = 0; i < ndim; i++) {
        made.dims[i] = dims[i];
        overflow |= dims[i] < 0 || __builtin_mul_overflow(total_bits, dims[i], &total_bits);
    }
    if (overflow || total_bits % 8 != 0)
        return yki_fail_at(YOKE_INVALID, writer->path, 0, "", "tensor %s has a shape that no file can hold",
                           quoted);
    if (writer->nentries == writer->room) {
        size_t room = writer->room ? 2 * writer->room : 32;
        entry *grown = realloc(writer->entries, room * sizeof *grown);
        if (!grown) return yki_fail_memory("tensor descriptions");
        writer->entries = grown;
        writer->room = room;
    }
    made.bytes = (size_t)(total_bits / 8);
    snprintf(made.dtype, sizeof made.dtype, "%s", dtype);
    if (!(made.name = strdup(name))) return yki_fail_memory("tensor names");
    writer->entries[writer->nentries++] = made;
    return YOKE_OK;
}

yoke_status yki_safetensors_metadata_set(yki_safetensors_writer *writer, const char *key, const char *value)
{
    if (writer->begun)
        return yki_fail_at(YOKE_INVALID, writer->path, 0, "",
                           "metadata '%s' is set after the header was written", key);
    if (yki_utf8_prefix(key, strlen(key)) < strlen(key) ||
        yki_utf8_prefix(value, strlen(value)) < strlen(value))
        return yki_fail_at(YOKE_INVALID, writer->path, 0, "", "metadata must be UTF-8");
    if (json_object_set_new(writer->metadata, key, json_string(value)) != 0)
        return yki_fail_memory("metadata");
    return YOKE_OK;
}

/* Wide elements first, so that every tensor is aligned to its element; then by name. */
static int compare_places(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->bits != y->bits) return x->bits > y->bits ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(entry *const *)a)->name, (*(entry *const *)b)->name);
}

static void append_string(yki_text *header, const char *text)
{
    json_t *string = json_string(text);
    char *quoted = string ? yki_json_dump(string, JSON_ENCODE_ANY) : NULL;
    if (quoted)
        yki_text_append(header, "%s", quoted);
    else
        header->failed = true;
    free(quoted);
    json_decref(string);
}

/* The header's JSON, padded with spaces so that the data begins at a multiple of 8. */
static void print_header(const yki_safetensors_writer *writer, yki_text *header)
{
    const char *key;
    json_t *value;
    const char *comma = "";
    yki_text_append(header, "{\"__metadata__\":{");
    json_object_foreach(writer->metadata, key, value)
    {
        yki_text_append(header, "%s", comma);
        append_string(header, key);
        yki_text_append(header, ":");
        append_string(header, json_string_value(value));
        comma = ",";
    }
    yki_text_append(header, "}");
    size_t at = 0;
    for (size_t i = 0; i < writer->nentries; i++) {
        const entry *e = &writer->entries[i];
        yki_text_append(header, ",");
        append_string(header, e->name);
        yki_text_append(header, ":{\"dtype\":\"%s\",\"shape\":[", e->dtype);
        for (int d = 0; d < e->ndim; d++)
            yki_text_append(header, "%s%lld", d ? "," : "", (long long)e->dims[d]);
        yki_text_append(header, "],\"data_offsets\":[%zu,%zu]}", at, at + e->bytes);
        at += e->bytes;
    }
    yki_text_append(header, "}");
    while (!header->failed && header->length % 8 != 0) yki_text_append(header, " ");
}

/* Sorts the entries both ways, refuses a name twice, and adds up the bytes of data. */
static yoke_status arrange(yki_safetensors_writer *writer, size_t *data_bytes)
{
    size_t count = writer->nentries;
    if (!(writer->by_name = malloc((count + 1) * sizeof *writer->by_name)))
        return yki_fail_memory("tensor descriptions");
    if (count > 0) qsort(writer->entries, count, sizeof *writer->entries, compare_places);
    for (size_t i = 0; i < count; i++) writer->by_name[i] = &writer->entries[i];
    if (count > 0) qsort(writer->by_name, count, sizeof *writer->by_name, compare_names);
    *data_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        char quoted[YKI_QUOTE_BYTES];
        if (i > 0 && strcmp(writer->by_name[i - 1]->name, writer->by_name[i]->name) == 0)
            return yki_fail_at(YOKE_INVALID, writer->path, 0, "", "tensor %s is declared twice",
                               yki_quote(quoted, writer->by_name[i]->name));
        if (__builtin_add_overflow(*data_bytes, writer->entries[i].bytes, data_bytes) ||
            *data_bytes > INT64_MAX / 2)
            return yki_fail_at(YOKE_INVALID, writer->path, 0, "", "its tensors are too large for one file");
    }
    return YOKE_OK;
}

yoke_status yki_safetensors_begin(yki_safetensors_writer *writer)
{
    size_t data_bytes = 0;
    if (writer->begun)
        return yki_fail_at(YOKE_INVALID, writer->path, 0, "", "its header was written already");
    writer->begun = true;
    if (!json_object_get(writer->metadata, "format"))
        if (json_object_set_new(writer->metadata, "format", json_string("pt")) != 0)
            return yki_fail_memory("metadata");
    YKI_TRY(arrange(writer, &data_bytes));
    yki_text header = {0};
    yki_text_append_bytes(&header, "\0\0\0\0\0\0\0", 8);
    print_header(writer, &header);
    yoke_status status = YOKE_OK;
    if (header.failed)
        status = yki_fail_memory("a safetensors header");
    else if (header.length - 8 > YKI_SAFETENSORS_HEADER_LIMIT)
        status = yki_fail_at(YOKE_INVALID, writer->path, 0, "",
                             "its header would have %zu bytes, and the format allows %d", header.length - 8,
                             YKI_SAFETENSORS_HEADER_LIMIT);
    if (status == YOKE_OK) {
        for (int i = 0; i < 8; i++) header.data[i] = (char)((uint64_t)(header.length - 8) >> (8 * i) & 255);
        writer->file_bytes = header.length + data_bytes;
        size_t place = header.length;
        for (size_t i = 0; i < writer->nentries; i++) {
            writer->entries[i].place = place;
            place += writer->entries[i].bytes;
        }
        status = yki_disk_check_space(writer->fd, writer->path, writer->file_bytes);
    }
    if (status == YOKE_OK) status = yki_disk_reserve(writer->fd, writer->path, writer->file_bytes);
    if (status == YOKE_OK)
        status = yki_disk_write(writer->fd, writer->path, header.data, header.length, 0, writer->file_bytes);
    yki_text_release(&header);
    return status;
}

static yoke_status find(const yki_safetensors_writer *writer, const char *name, entry **entry_out)
{
    char quoted[YKI_QUOTE_BYTES];
    entry key = {.name = (char *)name}, *pointer = &key;
    entry **found =
        writer->by_name && writer->nentries > 0
            ? bsearch(&pointer, writer->by_name, writer->nentries, sizeof *writer->by_name, compare_names)
            : NULL;
    if (!found)
        return yki_fail_at(YOKE_INVALID, writer->path, 0, "", "tensor %s was not declared",
                           yki_quote(quoted, name));
    *entry_out = *found;
    return YOKE_OK;
}

const char *yki_safetensors_unfinished(const yki_safetensors_writer *writer, size_t *bytes_out)
{
    *bytes_out = writer->file_bytes;
    return writer->partial;
}

yoke_status yki_safetensors_hand_out(yki_safetensors_writer *writer, const char *name, size_t *place_out)
{
    entry *e;
    YKI_TRY(find(writer, name, &e));
    atomic_store(&e->written, e->bytes);
    *place_out = e->place;
    return YOKE_OK;
}

yoke_status yki_safetensors_write(yki_safetensors_writer *writer, const char *name, size_t offset,
                                  const void *data, size_t bytes)
{
    char quoted[YKI_QUOTE_BYTES];
    entry *e;
    YKI_TRY(find(writer, name, &e));
    if (offset > e->bytes || bytes > e->bytes - offset)
        return yki_fail_at(YOKE_INVALID, writer->path, 0, "",
                           "tensor %s has %zu bytes; %zu at %zu were to be written", yki_quote(quoted, name),
                           e->bytes, bytes, offset);
    YKI_TRY(yki_disk_write(writer->fd, writer->path, data, bytes, e->place + offset, writer->file_bytes));
    atomic_fetch_add_explicit(&e->written, bytes, memory_order_relaxed);
    return YOKE_OK;
}

/* That every tensor was written, the bytes are on the disk, the file is closed and has its name. */
static yoke_status complete(yki_safetensors_writer *writer)
{
    char quoted[YKI_QUOTE_BYTES];
    if (!writer->begun) YKI_TRY(yki_safetensors_begin(writer));
    for (size_t i = 0; i < writer->nentries; i++) {
        size_t written = atomic_load(&writer->entries[i].written);
        if (written < writer->entries[i].bytes)
            return yki_fail_at(YOKE_INVALID, writer->path, 0, "",
                               "tensor %s has %zu bytes, and %zu were written",
                               yki_quote(quoted, writer->entries[i].name), writer->entries[i].bytes, written);
    }
    YKI_TRY(yki_disk_flush(writer->fd, writer->path, writer->file_bytes));
    int fd = writer->fd;
    writer->fd = -1;
    if (close(fd) != 0 || rename(writer->partial, writer->path) != 0) {
        yoke_status status =
            yki_fail_at(YOKE_SYSTEM, writer->path, 0, "", "cannot close and name it: %s", strerror(errno));
        unlink(writer->partial);
        return status;
    }
    return YOKE_OK;
}

yoke_status yki_safetensors_finish(yki_safetensors_writer *writer)
{
    yoke_status status = complete(writer);
    yki_safetensors_abandon(writer);
    return status;
}
