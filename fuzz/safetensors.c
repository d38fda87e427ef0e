/* safetensors: one file, or, in several parts, an index and its shards (a, b and c.safetensors). A file that
 * begins with
 * '{' gets its length before it, up to a line "@" where the data begin: mutations seldom keep a length right.
 * What opens: every tensor is found by its name and read as numbers, and the folder is described. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/safetensors.h"
#include "fuzz/input.h"
#include "yoke/checkpoint.h"

enum { MOST_BYTES = 1 << 16 };

static const char *place(int slot, fuzz_part part)
{
    static uint8_t made[MOST_BYTES + 8];
    if (part.size == 0 || part.data[0] != '{' || part.size > MOST_BYTES)
        return fuzz_file(slot, part.data, part.size);
    const uint8_t *end = memmem(part.data, part.size, "\n@\n", 3);
    size_t header = end ? (size_t)(end - part.data) : part.size, rest = end ? part.size - header - 3 : 0;
    for (int i = 0; i < 8; i++) made[i] = (uint8_t)(header >> 8 * i);
    memcpy(made + 8, part.data, header);
    if (rest > 0) memcpy(made + 8 + header, end + 3, rest);
    return fuzz_file(slot, made, 8 + header + rest);
}

static void read_tensor(const yki_safetensors *file, const yki_safetensor *tensor)
{
    fuzz_require(yki_safetensors_find(file, tensor->name) != NULL, "a tensor is found by its name");
    fuzz_require(tensor->elems >= 0 && tensor->elems <= 16 * MOST_BYTES,
                 "a tensor is no larger than its file");
    float *values = malloc(((size_t)tensor->elems + 1) * sizeof *values);
    fuzz_require(values != NULL, "there is memory");
    bool read = fuzz_accepted(yki_safetensors_read_f32(file, tensor, 0, tensor->elems, values));
    if (read && fuzz_accepted(yki_safetensors_check_finite(file, tensor)))
        for (int64_t i = 0; i < tensor->elems; i++)
            fuzz_require(isfinite(values[i]), "a tensor found finite is");
    if (!read) fuzz_accepted(yki_safetensors_check_finite(file, tensor));
    if (tensor->elems > 1) {
        float one;
        int64_t last = tensor->elems - 1;
        if (read) fuzz_accepted(yki_safetensors_read_f32(file, tensor, last, 1, &one));
        fuzz_require(yki_safetensors_read_f32(file, tensor, last, 2, values) != YOKE_OK,
                     "no range past a tensor's end is read");
    }
    free(values);
}

static void open_and_read(const char *path)
{
    yki_safetensors *file;
    if (!fuzz_accepted(yki_safetensors_open(path, &file))) return;
    for (int i = 0; i < yki_safetensors_count(file); i++) read_tensor(file, yki_safetensors_get(file, i));
    fuzz_require(!yki_safetensors_find(file, "no such tensor"), "no tensor is found that is not there");
    yki_safetensors_metadata(file, "format");
    yki_safetensors_close(file);
    yoke_inspection *inspection;
    if (fuzz_accepted(yoke_inspect(path, &inspection))) yoke_inspection_destroy(inspection);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.safetensors", "b.safetensors", "c.safetensors"};
    fuzz_part parts[4];
    int count = fuzz_split(data, size, parts, 4);
    if (count == 1) {
        open_and_read(place(0, parts[0]));
        return 0;
    }
    for (int i = 1; i < 4; i++) {
        if (i >= count) {
            fuzz_folder_without(names[i - 1]);
            continue;
        }
        fuzz_folder(names[i - 1], i);
        place(i, parts[i]);
    }
    const char *folder = fuzz_folder("model.safetensors.index.json", 0), *type = "{\"model_type\": \"gpt2\"}";
    if (size % 2) type = "{\"model_type\": \"llama\"}";
    fuzz_folder("config.json", 4);
    fuzz_file(4, type, strlen(type));
    fuzz_file(0, parts[0].data, parts[0].size);
    open_and_read(folder);
    return 0;
}
