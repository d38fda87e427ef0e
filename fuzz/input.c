/* Files in memory and the rules for refusals; see input.h. */
#include "fuzz/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/text.h"

int fuzz_split(const uint8_t *data, size_t size, fuzz_part *parts, int most)
{
    const size_t mark = strlen(FUZZ_MARK);
    int count = 0;
    while (count < most - 1) {
        const uint8_t *end = memmem(data, size, FUZZ_MARK, mark);
        if (!end) break;
        parts[count++] = (fuzz_part){data, (size_t)(end - data)};
        size -= (size_t)(end - data) + mark;
        data = end + mark;
    }
    parts[count++] = (fuzz_part){data, size};
    return count;
}

const char *fuzz_file(int slot, const void *data, size_t size)
{
    static int files[FUZZ_FILES];
    static char paths[FUZZ_FILES][32];
    int *fd = &files[slot];
    if (*fd == 0) {
        *fd = memfd_create("fuzz", 0);
        fuzz_require(*fd > 0, "a file in memory can be made");
        snprintf(paths[slot], sizeof paths[slot], "/proc/self/fd/%d", *fd);
    }
    fuzz_require(ftruncate(*fd, 0) == 0 && pwrite(*fd, data, size, 0) == (ssize_t)size,
                 "a file in memory can be filled");
    return paths[slot];
}

static char folder[64];

static void remove_folder(void)
{
    yki_disk_remove_folder(folder);
}

const char *fuzz_folder(const char *name, int slot)
{
    char path[128];
    if (!folder[0]) {
        const char *base = getenv("TMPDIR");
        int length = snprintf(folder, sizeof folder, "%s/yoke-fuzz-XXXXXX", base && *base ? base : "/tmp");
        fuzz_require(length < (int)sizeof folder, "TMPDIR is short");
        fuzz_require(mkdtemp(folder) != NULL, "a folder can be made");
        atexit(remove_folder);
    }
    if (slot < 0) return folder;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (access(path, F_OK) != 0)
        fuzz_require(symlink(fuzz_file(slot, "", 0), path) == 0, "a file can be placed in a folder");
    return folder;
}

void fuzz_folder_without(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder("", -1), name);
    unlink(path);
}

/* One line that a terminal only shows. */
static int is_plain(const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = strlen(text);
    if (yki_utf8_prefix(text, length) != length) return 0;
    for (size_t i = 0; i < length; i++)
        if (bytes[i] < 32 || bytes[i] == 127 || (bytes[i] == 0xc2 && bytes[i + 1] < 0xa0)) return 0;
    return 1;
}

static long failing = -1, nallocations;
static int within, starved;

void fuzz_starve(long number)
{
    failing = number;
    nallocations = 0;
    starved = 0;
}

int fuzz_starved(void)
{
    return starved;
}

int fuzz_allocation_fails(void)
{
    if (!within || failing < 0 || nallocations++ != failing) return 0;
    starved = 1;
    return 1;
}

void fuzz_begin(void)
{
    within = 1;
}

int fuzz_judge(yoke_status status)
{
    const yoke_error *error = yoke_error_get();
    within = 0;
    if (status == YOKE_OK) return 1;
    int may_be = status == YOKE_INVALID || (starved && status == YOKE_SYSTEM);
    if (!may_be) fprintf(stderr, "status %d: %s\n", (int)status, error->message);
    fuzz_require(may_be, "a refusal blames the input");
    fuzz_require(error->status == status, "a refusal leaves a record");
    fuzz_require(error->message[0] != '\0', "the record says something");
    if (!is_plain(error->message)) fprintf(stderr, "message: %s\n", error->message);
    fuzz_require(is_plain(error->message), "the record is one sentence of plain text");
    fuzz_require(is_plain(error->key), "the record's key is plain text");
    return 0;
}

void fuzz_require(int holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "fuzz: does not hold: %s\n", what);
    abort();
}
