/* A saved step's hashes.json; after the mark, tensors to look for in it: lines "BYTES FILE NAME". What reads:
 * a tensor whose hashes are found is held to them, and what was found is written and reads back the same. */
#include "checkpoint/hashes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/input.h"

enum { MOST_BLOCKS = 3, MOST_BYTES = MOST_BLOCKS * YKI_HASH_BLOCK_BYTES, LINES = 8 };

/* Every tensor is zeros: what a block of it hashes to is told by its size. */
static const char zeros[MOST_BYTES];

typedef struct request {
    char file[64], name[64];
    size_t bytes;
} request;

static int read_requests(fuzz_part part, request *requests)
{
    int count = 0;
    char line[128];
    for (size_t at = 0, end; at < part.size && count < LINES; at = end + 1) {
        for (end = at; end < part.size && part.data[end] != '\n';) end++;
        snprintf(line, sizeof line, "%.*s", (int)(end - at < 127 ? end - at : 127),
                 (const char *)part.data + at);
        request *r = &requests[count];
        if (sscanf(line, "%7zu %63s %63s", &r->bytes, r->file, r->name) == 3 && r->bytes <= MOST_BYTES)
            count++;
    }
    return count;
}

static yki_safetensor tensor_of(const request *r)
{
    return (yki_safetensor){
        .name = (char *)r->name, .path = r->file, .data = zeros, .bytes = r->bytes, .dtype = "U8"};
}

static void check_blocks(const yki_safetensor *tensor, const uint64_t *blocks)
{
    for (int64_t i = 0; i < yki_hash_blocks(tensor->bytes); i++) {
        uint64_t right = yki_hash(zeros, yki_hash_block_bytes(tensor->bytes, i));
        bool accepted = fuzz_accepted(yki_hash_check(tensor, i, blocks[i]));
        fuzz_require(accepted == (blocks[i] == right), "a block passes with its own hash alone");
        fuzz_require(yki_hash_check(tensor, i, right) == YOKE_OK, "a block has its hash");
    }
}

/* The same hashes of bytes that come one after the other. */
static void check_portions(const yki_safetensor *tensor, size_t portion)
{
    uint64_t found[MOST_BLOCKS + 1] = {0};
    yki_hasher *hasher = NULL;
    if (fuzz_accepted(yki_hasher_create(&hasher))) {
        yki_hasher_begin(hasher, found);
        for (size_t at = 0; at < tensor->bytes; at += portion)
            yki_hasher_add(hasher, zeros, portion < tensor->bytes - at ? portion : tensor->bytes - at);
        yki_hasher_end(hasher);
        for (int64_t i = 0; i < yki_hash_blocks(tensor->bytes); i++)
            fuzz_require(found[i] == yki_hash(zeros, yki_hash_block_bytes(tensor->bytes, i)),
                         "a block has its hash, however it comes");
    } else
        fuzz_require(fuzz_starved(), "bytes can be hashed");
    yki_hasher_destroy(hasher);
}

/* Adds a tensor as it was found; false: one allocation was made to fail. */
static bool add_again(yki_hashes *made, const request *r, const uint64_t *blocks)
{
    const char *slash = strrchr(r->file, '/');
    bool added = fuzz_accepted(yki_hashes_add(made, slash ? slash + 1 : r->file, r->name, r->bytes, blocks));
    fuzz_require(added || fuzz_starved(), "what was found can be added");
    return added;
}

/* Writes what was found, in a folder as saves do, and looks for it again. */
static void write_again(const request *requests, int count, const bool *found, uint64_t blocks[][MOST_BLOCKS])
{
    yki_hashes *made = NULL, *again = NULL;
    const char *folder = fuzz_folder("", -1);
    bool done = fuzz_accepted(yki_hashes_create(&made));
    for (int i = 0; i < count && done; i++)
        if (found[i]) done = add_again(made, &requests[i], blocks[i]);
    if (done) done = fuzz_accepted(yki_hashes_save(made, folder));
    fuzz_require(done || fuzz_starved(), "hashes can be written");
    yki_hashes_destroy(made);
    if (!done) return;
    fuzz_require(yki_hashes_read(folder, &again) == YOKE_OK && again, "what was written reads back");
    for (int i = 0; i < count; i++) {
        uint64_t same[MOST_BLOCKS] = {0};
        const yki_safetensor tensor = tensor_of(&requests[i]);
        size_t bytes = (size_t)yki_hash_blocks(tensor.bytes) * sizeof *same;
        if (!found[i]) continue;
        fuzz_require(yki_hashes_find(again, &tensor, same) == YOKE_OK && memcmp(same, blocks[i], bytes) == 0,
                     "what was written is the same");
    }
    yki_hashes_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_part parts[2];
    request requests[LINES + 1] = {{"model.safetensors", "w", 12}};
    int count = 1;
    if (fuzz_split(data, size, parts, 2) > 1) count += read_requests(parts[1], requests + 1);
    const char *folder = fuzz_folder("hashes.json", 0);
    fuzz_file(0, parts[0].data, parts[0].size);
    yki_hashes *hashes;
    if (!fuzz_accepted(yki_hashes_read(folder, &hashes))) return 0;
    fuzz_require(hashes != NULL, "a folder that has hashes is seen to have them");
    uint64_t blocks[LINES + 1][MOST_BLOCKS] = {{0}};
    bool found[LINES + 1];
    for (int i = 0; i < count; i++) {
        const yki_safetensor tensor = tensor_of(&requests[i]);
        found[i] = fuzz_accepted(yki_hashes_find(hashes, &tensor, blocks[i]));
        if (!found[i]) continue;
        check_blocks(&tensor, blocks[i]);
        check_portions(&tensor, 99991);
    }
    yki_hashes_destroy(hashes);
    write_again(requests, count, found, blocks);
    fuzz_folder_without("hashes.json");
    fuzz_require(yki_hashes_read(folder, &hashes) == YOKE_OK && !hashes, "a folder without hashes has none");
    yki_hashes_destroy(hashes);
    return 0;
}
