/* hashes.json: {"version", "algorithm", "block_bytes", FILE: {TENSOR: hexadecimal digits, 16 a block}}. */
#include "checkpoint/hashes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"

enum { VERSION = 1, DIGITS = 16 };
static const char algorithm[] = "xxh3-64";

struct yki_hashes {
    json_t *object;
    char path[YKI_FOLDER_BYTES + 64]; /* "": not of a file */
};

uint64_t yki_hash(const void *bytes, size_t count)
{
    return XXH3_64bits(bytes, count);
}

struct yki_hasher {
    XXH3_state_t *state;
    uint64_t *blocks; /* the next */
    size_t bytes;     /* of it so far */
};

yoke_status yki_hasher_create(yki_hasher **hasher_out)
{
    yki_hasher *made = calloc(1, sizeof *made);
    if (made) made->state = XXH3_createState();
    if (!made || !made->state) {
        free(made);
        return yki_fail_memory("hashes");
    }
    *hasher_out = made;
    return YOKE_OK;
}

void yki_hasher_destroy(yki_hasher *hasher)
{
    if (!hasher) return;
    XXH3_freeState(hasher->state);
    free(hasher);
}

void yki_hasher_begin(yki_hasher *hasher, uint64_t *blocks_out)
{
    hasher->blocks = blocks_out;
    hasher->bytes = 0;
    XXH3_64bits_reset(hasher->state);
}

void yki_hasher_end(yki_hasher *hasher)
{
    if (hasher->bytes > 0) *hasher->blocks++ = XXH3_64bits_digest(hasher->state);
    yki_hasher_begin(hasher, hasher->blocks);
}

void yki_hasher_add(yki_hasher *hasher, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        size_t room = YKI_HASH_BLOCK_BYTES - hasher->bytes, part = count < room ? count : room;
        XXH3_64bits_update(hasher->state, at, part);
        hasher->bytes += part;
        if (hasher->bytes == YKI_HASH_BLOCK_BYTES) yki_hasher_end(hasher);
        at += part;
        count -= part;
    }
}

void yki_hashes_destroy(yki_hashes *hashes)
{
    if (!hashes) return;
    json_decref(hashes->object);
    free(hashes);
}

yoke_status yki_hashes_create(yki_hashes **hashes_out)
{
    yki_hashes *made = calloc(1, sizeof *made);
    if (made)
        made->object = json_pack("{s:i, s:s, s:i}", "version", VERSION, "algorithm", algorithm, "block_bytes",
                                 YKI_HASH_BLOCK_BYTES);
    if (!made || !made->object) {
        free(made);
        return yki_fail_memory("hashes");
    }
    *hashes_out = made;
    return YOKE_OK;
}

yoke_status yki_hashes_add(yki_hashes *hashes, const char *file, const char *tensor, size_t bytes,
                           const uint64_t *blocks)
{
    int64_t count = yki_hash_blocks(bytes);
    char *digits = malloc((size_t)count * DIGITS + 1);
    if (!digits) return yki_fail_memory("hashes");
    digits[0] = '\0';
    for (int64_t i = 0; i < count; i++)
        snprintf(digits + i * DIGITS, DIGITS + 1, "%016llx", (unsigned long long)blocks[i]);
    json_t *tensors = json_object_get(hashes->object, file);
    bool failed = false;
    if (!tensors) {
        tensors = json_object();
        failed = json_object_set_new(hashes->object, file, tensors) != 0;
    }
    if (!failed) failed = json_object_set_new(tensors, tensor, json_string(digits)) != 0;
    free(digits);
    return failed ? yki_fail_memory("hashes") : YOKE_OK;
}

yoke_status yki_hashes_save(const yki_hashes *hashes, const char *folder)
{
    char path[YKI_FOLDER_BYTES + 64];
    YKI_TRY(yki_path_join(path, sizeof path, folder, "hashes.json"));
    char *text = yki_json_dump(hashes->object, JSON_INDENT(1) | JSON_SORT_KEYS);
    if (!text) return yki_fail_memory("hashes.json");
    yoke_status status = yki_disk_create(path, text, strlen(text));
    free(text);
    return status;
}

static yoke_status check_head(const yki_hashes *hashes)
{
    json_t *version = json_object_get(hashes->object, "version"),
           *block = json_object_get(hashes->object, "block_bytes");
    const char *name = json_string_value(json_object_get(hashes->object, "algorithm"));
    if (!json_is_integer(version) || json_integer_value(version) != VERSION)
        return yki_fail_at(YOKE_INVALID, hashes->path, 0, "version", "is not %d, which this yoke reads",
                           VERSION);
    if (!name || strcmp(name, algorithm) != 0)
        return yki_fail_at(YOKE_INVALID, hashes->path, 0, "algorithm", "is not '%s', which this yoke knows",
                           algorithm);
    if (!json_is_integer(block) || json_integer_value(block) != YKI_HASH_BLOCK_BYTES)
        return yki_fail_at(YOKE_INVALID, hashes->path, 0, "block_bytes", "is not %d", YKI_HASH_BLOCK_BYTES);
    return YOKE_OK;
}

yoke_status yki_hashes_read(const char *folder, yki_hashes **hashes_out)
{
    *hashes_out = NULL;
    yki_hashes *made = calloc(1, sizeof *made);
    if (!made) return yki_fail_memory("hashes");
    yoke_status status = yki_path_join(made->path, sizeof made->path, folder, "hashes.json");
    if (status == YOKE_OK && !yki_path_exists(made->path)) {
        free(made);
        return YOKE_OK;
    }
    if (status == YOKE_OK) status = yki_json_load(made->path, &made->object);
    if (status == YOKE_OK) status = check_head(made);
    if (status != YOKE_OK) {
        yki_hashes_destroy(made);
        return status;
    }
    *hashes_out = made;
    return YOKE_OK;
}

static bool read_digits(const char *digits, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < DIGITS; i++) {
        char c = digits[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return false;
        *value = *value << 4 | (uint64_t)digit;
    }
    return true;
}

yoke_status yki_hashes_find(const yki_hashes *hashes, const yki_safetensor *tensor, uint64_t *blocks_out)
{
    char quoted[YKI_QUOTE_BYTES];
    const char *slash = strrchr(tensor->path, '/');
    json_t *string =
        json_object_get(json_object_get(hashes->object, slash ? slash + 1 : tensor->path), tensor->name);
    int64_t count = yki_hash_blocks(tensor->bytes);
    yki_quote(quoted, tensor->name);
    if (!json_is_string(string))
        return yki_fail_at(YOKE_INVALID, hashes->path, 0, "",
                           "has no hashes of tensor %s, and the folder has the tensor", quoted);
    bool fits = json_string_length(string) == (size_t)count * DIGITS;
    for (int64_t i = 0; i < count && fits; i++)
        fits = read_digits(json_string_value(string) + i * DIGITS, &blocks_out[i]);
    if (!fits)
        return yki_fail_at(YOKE_INVALID, hashes->path, 0, "",
                           "tensor %s has %lld blocks, and its hashes are not %d hexadecimal digits for each",
                           quoted, (long long)count, DIGITS);
    return YOKE_OK;
}

yoke_status yki_hash_check(const yki_safetensor *tensor, int64_t block, uint64_t saved)
{
    char quoted[YKI_QUOTE_BYTES];
    size_t from = (size_t)block * YKI_HASH_BLOCK_BYTES, count = yki_hash_block_bytes(tensor->bytes, block);
    if (yki_hash((const char *)tensor->data + from, count) == saved) return YOKE_OK;
    return yki_fail_at(
        YOKE_INVALID, tensor->path, 0, "",
        "tensor %s is not what was saved: its bytes %zu to %zu have another hash (block %lld of %lld); "
        "the disk or a copy changed them",
        yki_quote(quoted, tensor->name), from, from + count - 1, (long long)block + 1,
        (long long)yki_hash_blocks(tensor->bytes));
}
