/* Reading safetensors: one mapped file after another validated, then all their tensors as one sorted list.
 *
 * The checks of a file come in the order of the format's reference reader: at least 8 bytes; header length
 * within the limit; header inside the file; UTF-8; strict JSON; then, by offset, each tensor begins where the
 * one before it ended, its shape's product and bits do not overflow, its bytes are those of dtype x shape;
 * the last ends with the file. So no byte of a file is unaccounted for and none is claimed twice. Nothing is
 * copied: a tensor points into the map. Deliberately absent: values of other dtypes than floats. */
#include "checkpoint/safetensors.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"

typedef struct part {
    char *path;
    const unsigned char *map; /* NULL: not mapped */
    size_t bytes;
    json_t *metadata; /* NULL: none */
} part;

struct yki_safetensors {
    int nparts, ntensors;
    part *parts;
    yki_safetensor *tensors;
};

static const struct {
    const char *name;
    int bits;
} dtypes[] = {
    {"BOOL", 8},    {"U8", 8},          {"I8", 8},          {"I16", 16},    {"U16", 16},    {"F16", 16},
    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},    {"F64", 64},    {"I64", 64},
    {"U64", 64},    {"C64", 64},        {"F8_E4M3", 8},     {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6},
    {"F6_E3M2", 6}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F4", 4},
};

int yki_safetensors_bits(const char *dtype)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtype, dtypes[i].name) == 0) return dtypes[i].bits;
    return 0;
}

/* What one header entry says, before it is believed. */
typedef struct claim {
    const char *name; /* borrowed from the header's JSON */
    const char *dtype;
    json_t *shape;
    int64_t begin, end;
} claim;

static yoke_status entry_fault(const part *p, const char *name, const char *fault)
{
    char quoted[YKI_QUOTE_BYTES];
    return yki_fail_at(YOKE_INVALID, p->path, 0, "", "tensor %s %s", yki_quote(quoted, name), fault);
}

static yoke_status read_claim(const part *p, const char *name, json_t *entry, claim *out)
{
    json_t *dtype = json_object_get(entry, "dtype"), *shape = json_object_get(entry, "shape");
    json_t *offsets = json_object_get(entry, "data_offsets");
    if (!json_is_object(entry)) return entry_fault(p, name, "is not described by a JSON object");
    if (!json_is_string(dtype)) return entry_fault(p, name, "has no dtype that is a string");
    if (!json_is_array(shape)) return entry_fault(p, name, "has no shape that is an array");
    json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return entry_fault(p, name, "has no data_offsets of two whole numbers");
    *out = (claim){name, json_string_value(dtype), shape, json_integer_value(begin), json_integer_value(end)};
    return YOKE_OK;
}

static int compare_claims(const void *a, const void *b)
{
    const claim *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Shape, dtype and length of a claim against each other; fills all of `tensor` but the name. */
static yoke_status check_claim(const part *p, const claim *c, yki_safetensor *tensor)
{
    char quoted[YKI_QUOTE_BYTES], dtype_quoted[YKI_QUOTE_BYTES];
    yki_quote(quoted, c->name);
    int bits = yki_safetensors_bits(c->dtype);
    if (bits == 0)
        return yki_fail_at(YOKE_INVALID, p->path, 0, "", "tensor %s has the unknown dtype %s", quoted,
                           yki_quote(dtype_quoted, c->dtype));
    if (json_array_size(c->shape) > YKI_SAFETENSORS_MAX_DIMS)
        return yki_fail_at(YOKE_INVALID, p->path, 0, "", "tensor %s has %zu dims; at most %d are read",
                           quoted, json_array_size(c->shape), YKI_SAFETENSORS_MAX_DIMS);
    *tensor = (yki_safetensor){.ndim = (int)json_array_size(c->shape), .elems = 1, .path = p->path};
    memcpy(tensor->dtype, c->dtype, strlen(c->dtype) + 1);
    for (int i = 0; i < tensor->ndim; i++) {
        json_t *dim = json_array_get(c->shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return yki_fail_at(YOKE_INVALID, p->path, 0, "", "tensor %s: dim %d is not a whole number from 0",
                               quoted, i);
        tensor->dims[i] = json_integer_value(dim);
        if (__builtin_mul_overflow(tensor->elems, tensor->dims[i], &tensor->elems))
            return yki_fail_at(YOKE_INVALID, p->path, 0, "", "tensor %s: the product of its shape overflows",
                               quoted);
    }
    int64_t total_bits;
    if (__builtin_mul_overflow(tensor->elems, (int64_t)bits, &total_bits))
        return yki_fail_at(YOKE_INVALID, p->path, 0, "", "tensor %s: its size in bits overflows", quoted);
    if (total_bits % 8 != 0)
        return yki_fail_at(YOKE_INVALID, p->path, 0, "", "tensor %s does not end at a byte: %lld bits",
                           quoted, (long long)total_bits);
    if (c->end - c->begin != total_bits / 8)
        return yki_fail_at(YOKE_INVALID, p->path, 0, "",
                           "tensor %s: dtype and shape make %lld bytes, data_offsets %lld", quoted,
                           (long long)(total_bits / 8), (long long)(c->end - c->begin));
    tensor->bytes = (size_t)(total_bits / 8);
    return YOKE_OK;
}

/* All claims of a file in the order of their data, from byte `data_at` of it on; fills tensors[0..count). */
static yoke_status check_claims(const part *p, claim *claims, size_t count, size_t data_at,
                                yki_safetensor *tensors)
{
    char quoted[YKI_QUOTE_BYTES];
    int64_t place = 0;
    if (count > 0) qsort(claims, count, sizeof *claims, compare_claims);
    for (size_t i = 0; i < count; i++) {
        const claim *c = &claims[i];
        if (c->begin != place)
            return yki_fail_at(YOKE_INVALID, p->path, 0, "",
                               "tensor %s begins at byte %lld of the data, %s: %lld expected",
                               yki_quote(quoted, c->name), (long long)c->begin,
                               c->begin < place ? "over the one before it" : "after a gap", (long long)place);
        if (c->end < c->begin) return entry_fault(p, c->name, "ends before it begins");
        YKI_TRY(check_claim(p, c, &tensors[i]));
        place = c->end;
    }
    int64_t there = (int64_t)(p->bytes - data_at);
    if (place > there)
        return yki_fail_at(
            YOKE_INVALID, p->path, 0, "",
            "is truncated: it has %zu bytes, and its header describes %llu (a partial download?)", p->bytes,
            (unsigned long long)place + data_at);
    if (place < there)
        return yki_fail_at(YOKE_INVALID, p->path, 0, "", "has %lld bytes after its last tensor",
                           (long long)(there - place));
    for (size_t i = 0; i < count; i++) {
        tensors[i].data = p->map + data_at + claims[i].begin;
        if (!(tensors[i].name = strdup(claims[i].name))) return yki_fail_memory("tensor names");
    }
    return YOKE_OK;
}

static yoke_status check_metadata(const part *p, json_t *metadata)
{
    const char *key;
    json_t *value;
    char quoted[YKI_QUOTE_BYTES];
    if (!json_is_object(metadata))
        return yki_fail_at(YOKE_INVALID, p->path, 0, "", "__metadata__ is not a JSON object");
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return yki_fail_at(
        YOKE_INVALID, p->path, 0, "", "__metadata__: %s is not a string", yki_quote(quoted, key));
    return YOKE_OK;
}

/* The entries of a parsed header, as tensors appended to the file's list. */
static yoke_status read_entries(yki_safetensors *file, part *p, json_t *header, size_t data_at)
{
    size_t entries = json_object_size(header), count = 0;
    yki_safetensor *grown = realloc(file->tensors, ((size_t)file->ntensors + entries + 1) * sizeof *grown);
    if (!grown) return yki_fail_memory("tensor descriptions");
    file->tensors = grown;
    memset(grown + file->ntensors, 0, (entries + 1) * sizeof *grown);
    claim *claims = malloc((entries + 1) * sizeof *claims);
    if (!claims) return yki_fail_memory("tensor descriptions");
    yoke_status status = YOKE_OK;
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            status = check_metadata(p, entry);
            p->metadata = json_incref(entry);
        } else {
            status = read_claim(p, name, entry, &claims[count]);
            count++;
        }
        if (status != YOKE_OK) break;
    }
    if (status == YOKE_OK) status = check_claims(p, claims, count, data_at, file->tensors + file->ntensors);
    free(claims);
    file->ntensors += (int)count; /* also after a failure: their names are freed with the file */
    return status;
}

/* The map of a part, validated. */
static yoke_status read_part(yki_safetensors *file, part *p)
{
    if (p->bytes < 8)
        return yki_fail_at(YOKE_INVALID, p->path, 0, "", "has %zu bytes; a safetensors file has at least 8",
                           p->bytes);
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | p->map[i];
    if (length > YKI_SAFETENSORS_HEADER_LIMIT) {
        const char *kind = yki_file_kind(p->map, p->bytes);
        if (kind) return yki_fail_at(YOKE_INVALID, p->path, 0, "", "is %s", kind);
        return yki_fail_at(
            YOKE_INVALID, p->path, 0, "",
            "is no safetensors file: its header would have %llu bytes, more than the format's limit of %d",
            (unsigned long long)length, YKI_SAFETENSORS_HEADER_LIMIT);
    }
    if (length > p->bytes - 8)
        return yki_fail_at(
            YOKE_INVALID, p->path, 0, "",
            "is truncated: its header has %llu bytes, the whole file %zu (a partial download?)",
            (unsigned long long)length, p->bytes);
    const char *text = (const char *)p->map + 8;
    if (length == 0 || text[0] != '{')
        return yki_fail_at(YOKE_INVALID, p->path, 0, "", "its header does not begin with '{'");
    json_t *header;
    YKI_TRY(yki_json_parse(p->path, "header", text, (size_t)length, &header));
    yoke_status status = read_entries(file, p, header, 8 + (size_t)length);
    json_decref(header);
    return status;
}

/* Maps the file at `path` as the next part, which there is room for. */
static yoke_status open_part(yki_safetensors *file, const char *path)
{
    part *p = &file->parts[file->nparts];
    int fd;
    YKI_TRY(yki_disk_open(path, &fd, &p->bytes));
    yoke_status status = YOKE_OK;
    p->path = strdup(path);
    file->nparts++;
    if (!p->path)
        status = yki_fail_memory("a path");
    else if (p->bytes > 0) {
        void *map = mmap(NULL, p->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
            status = yki_fail_at(YOKE_SYSTEM, path, 0, "", "cannot map its %zu bytes: %s", p->bytes,
                                 strerror(errno));
        else
            p->map = map;
    }
    close(fd);
    return status == YOKE_OK ? read_part(file, p) : status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const yki_safetensor *)a)->name, ((const yki_safetensor *)b)->name);
}

/* A shard's name, from a stranger, as a plain name in the index's own folder. */
static bool is_plain_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') && !strchr(name, '\\') && !strstr(name, "..");
}

/* Distinct shard names of the map, as keys of an object (a set in order of first use). */
static yoke_status shard_names(const char *path, json_t *map, json_t *names)
{
    const char *name;
    json_t *file;
    char quoted[YKI_QUOTE_BYTES], file_quoted[YKI_QUOTE_BYTES];
    json_object_foreach(map, name, file)
    {
        yki_quote(quoted, name);
        if (!json_is_string(file))
            return yki_fail_at(YOKE_INVALID, path, 0, "weight_map",
                               "tensor %s has no file name that is a string", quoted);
        if (!is_plain_name(json_string_value(file)))
            return yki_fail_at(YOKE_INVALID, path, 0, "weight_map",
                               "tensor %s is in %s, which is no plain file name", quoted,
                               yki_quote(file_quoted, json_string_value(file)));
        if (json_object_set_new(names, json_string_value(file), json_true()) != 0)
            return yki_fail_memory("shard names");
    }
    return YOKE_OK;
}

/* That the map and the shards agree: each tensor is where the map places it, and nowhere else. One that is
 * there twice, or that the map does not name, is of another model than the rest. */
static yoke_status check_map(yki_safetensors *file, const char *path, json_t *map)
{
    char quoted[YKI_QUOTE_BYTES], place_quoted[YKI_QUOTE_BYTES];
    for (int i = 0; i < file->ntensors; i++) {
        const yki_safetensor *tensor = &file->tensors[i];
        const char *place = json_string_value(json_object_get(map, tensor->name));
        if (!place)
            return yki_fail_at(YOKE_INVALID, tensor->path, 0, "",
                               "has tensor %s, which the weight_map of the folder's index does not name",
                               yki_quote(quoted, tensor->name));
        if (strcmp(place, strrchr(tensor->path, '/') + 1) != 0)
            return yki_fail_at(YOKE_INVALID, tensor->path, 0, "",
                               "has tensor %s, which the weight_map of the folder's index places in %s",
                               yki_quote(quoted, tensor->name), yki_quote(place_quoted, place));
    }
    if (file->ntensors > 0)
        qsort(file->tensors, (size_t)file->ntensors, sizeof *file->tensors, compare_names);
    const char *name;
    json_t *place;
    json_object_foreach(map, name, place) if (!yki_safetensors_find(file, name)) return yki_fail_at(
        YOKE_INVALID, path, 0, "weight_map", "tensor %s is not in %s, where the map places it",
        yki_quote(quoted, name), yki_quote(place_quoted, json_string_value(place)));
    return YOKE_OK;
}

static yoke_status open_shards(yki_safetensors *file, const char *folder, const char *index_path, json_t *map)
{
    json_t *names = json_object();
    if (!names) return yki_fail_memory("shard names");
    yoke_status status = shard_names(index_path, map, names);
    if (status == YOKE_OK) {
        file->parts = calloc(json_object_size(names) + 1, sizeof *file->parts);
        status = file->parts ? YOKE_OK : yki_fail_memory("shards");
    }
    const char *name;
    json_t *unused;
    if (status == YOKE_OK) json_object_foreach(names, name, unused)
        {
            char path[1500];
            status = yki_path_join(path, sizeof path, folder, name);
            if (status == YOKE_OK) status = open_part(file, path);
            if (status != YOKE_OK) break;
        }
    json_decref(names);
    return status == YOKE_OK ? check_map(file, index_path, map) : status;
}

static yoke_status open_index(yki_safetensors *file, const char *folder, const char *index_path)
{
    json_t *index;
    YKI_TRY(yki_json_load(index_path, &index));
    json_t *map = json_object_get(index, "weight_map");
    yoke_status status = json_is_object(map) ? open_shards(file, folder, index_path, map)
                                             : yki_fail_at(YOKE_INVALID, index_path, 0, "weight_map",
                                                           "is missing or no JSON object");
    json_decref(index);
    return status;
}

static yoke_status open_one(yki_safetensors *file, const char *path)
{
    file->parts = calloc(1, sizeof *file->parts);
    if (!file->parts) return yki_fail_memory("a safetensors file");
    YKI_TRY(open_part(file, path));
    if (file->ntensors > 0)
        qsort(file->tensors, (size_t)file->ntensors, sizeof *file->tensors, compare_names);
    return YOKE_OK;
}

static yoke_status open_folder(yki_safetensors *file, const char *folder)
{
    char path[1500], whole[1500];
    YKI_TRY(yki_path_join(whole, sizeof whole, folder, "model.safetensors"));
    YKI_TRY(yki_path_join(path, sizeof path, folder, "model.safetensors.index.json"));
    bool is_whole = yki_path_exists(whole), is_sharded = yki_path_exists(path);
    if (is_whole && is_sharded)
        return yki_fail_at(
            YOKE_INVALID, folder, 0, "",
            "has both model.safetensors and model.safetensors.index.json, the weights whole and in "
            "shards: take one of them away, or name the one file");
    if (is_whole) return open_one(file, whole);
    if (is_sharded) return open_index(file, folder, path);
    YKI_TRY(yki_path_join(path, sizeof path, folder, "pytorch_model.bin"));
    return yki_fail_at(YOKE_INVALID, folder, 0, "",
                       "has neither model.safetensors nor model.safetensors.index.json%s",
                       yki_path_exists(path) ? "; its pytorch_model.bin is a pickle, which is not read" : "");
}

yoke_status yki_safetensors_open(const char *path, yki_safetensors **file_out)
{
    yki_safetensors *file = calloc(1, sizeof *file);
    if (!file) return yki_fail_memory("a safetensors file");
    yoke_status status = yki_path_is_folder(path) ? open_folder(file, path) : open_one(file, path);
    if (status != YOKE_OK) {
        yki_safetensors_close(file);
        return status;
    }
    *file_out = file;
    return YOKE_OK;
}

void yki_safetensors_close(yki_safetensors *file)
{
    if (!file) return;
    for (int i = 0; i < file->ntensors; i++) free(file->tensors[i].name);
    for (int i = 0; i < file->nparts; i++) {
        if (file->parts[i].map) munmap((void *)file->parts[i].map, file->parts[i].bytes);
        json_decref(file->parts[i].metadata);
        free(file->parts[i].path);
    }
    free(file->tensors);
    free(file->parts);
    free(file);
}

int yki_safetensors_count(const yki_safetensors *file)
{
    return file->ntensors;
}

const yki_safetensor *yki_safetensors_get(const yki_safetensors *file, int i)
{
    return &file->tensors[i];
}

const yki_safetensor *yki_safetensors_find(const yki_safetensors *file, const char *name)
{
    int low = 0, high = file->ntensors;
    while (low < high) {
        int middle = low + (high - low) / 2, order = strcmp(name, file->tensors[middle].name);
        if (order == 0) return &file->tensors[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *yki_safetensors_metadata(const yki_safetensors *file, const char *key)
{
    for (int i = 0; i < file->nparts; i++) {
        const char *value = json_string_value(json_object_get(file->parts[i].metadata, key));
        if (value) return value;
    }
    return NULL;
}
