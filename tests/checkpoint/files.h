/* Files of tensors, files changed at random, and what the checkpoint tests ask of a failure. */
#ifndef YKI_TESTS_CHECKPOINT_FILES_H
#define YKI_TESTS_CHECKPOINT_FILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "checkpoint/checkpoint.h"
#include "folder.h"

static inline size_t get(const char *path, char *bytes, size_t room)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t count = fread(bytes, 1, room, file);
    fclose(file);
    return count;
}

/* header length, header, `data` bytes counting up from 0. */
static inline size_t make_file(char *out, const char *header, size_t data)
{
    size_t length = strlen(header);
    for (int i = 0; i < 8; i++) out[i] = (char)((uint64_t)length >> (8 * i) & 255);
    memcpy(out + 8, header, length);
    for (size_t i = 0; i < data; i++) out[8 + length + i] = (char)i;
    return 8 + length + data;
}

static inline void put_tensors(const char *path, const char *header, size_t data)
{
    char *bytes = malloc(strlen(header) + 8 + data);
    assert_non_null(bytes);
    write_file(path, bytes, make_file(bytes, header, data));
    free(bytes);
}

/* That a call was refused as bad input, about `file` ("": any), in words that hold `words`. */
static inline void refused(yoke_status status, const char *file, const char *words)
{
    const yoke_error *error = yoke_error_get();
    if (status != YOKE_INVALID || !strstr(error->message, words) || (*file && strcmp(error->file, file) != 0))
        fail_msg("wanted INVALID '%s' about %s; got %s '%s' about %s", words, file, yoke_status_name(status),
                 status == YOKE_OK ? "" : error->message, error->file);
    assert_int_equal(error->status, YOKE_INVALID);
}

static inline uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Changes bytes[0..count) in a few places: other bytes, bytes dropped, bytes doubled, the end cut off. Never
 * longer than `room`. Returns the new count. */
static inline size_t mutate(char *bytes, size_t count, size_t room, uint64_t *seed)
{
    int changes = 1 + (int)(next_random(seed) % 4);
    for (int i = 0; i < changes && count > 0; i++) {
        size_t place = next_random(seed) % count;
        switch (next_random(seed) % 8) {
        case 0:
            count = place;
            break;
        case 1:
            memmove(bytes + place, bytes + place + 1, --count - place);
            break;
        case 2:
            if (count < room) memmove(bytes + place + 1, bytes + place, count++ - place);
            break;
        case 3:
            bytes[place] = "0123456789{}[]\",:-.eE\\"[next_random(seed) % 22];
            break;
        case 4:
            bytes[place] ^= (char)(1 << next_random(seed) % 8);
            break;
        default:
            bytes[place] = (char)next_random(seed);
            break;
        }
    }
    return count;
}

#endif
