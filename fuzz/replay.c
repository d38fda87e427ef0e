/* A target without libFuzzer: runs it over the files and folders that are named; any compiler builds it, so
 * the corpus is a test of every preset. With --starve first, each file is run once for every allocation that
 * reading it makes, which then fails (for MOST of them, spread evenly, where there are more): the answer must
 * be a status, and nothing may leak or crash. The linker sends the library's own calls of malloc and its like
 * here (--wrap); what other libraries allocate is theirs (jansson 2.14 itself reads past its buffer when it
 * gets none). With --mutate RUNS first, so many inputs are made from the files, the same ones each time. They
 * are made blindly: what reaches new code is not known here, and is libFuzzer's to look for (fuzz/run). */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "fuzz/input.h"

enum { MOST = 100, MOST_BYTES = 4096, MOST_INPUTS = 1000 };

static int nfiles;
static bool starve;

/* What mutations begin with, and take pieces from. */
static struct input {
    uint8_t *bytes;
    size_t count;
} inputs[MOST_INPUTS];
static bool keep;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t most);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t most);

void *__wrap_malloc(size_t bytes)
{
    return fuzz_allocation_fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fuzz_allocation_fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return fuzz_allocation_fails() ? NULL : __real_realloc(old, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fuzz_allocation_fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t most)
{
    return fuzz_allocation_fails() ? NULL : __real_strndup(text, most);
}

/* How many allocations the input makes: with one that is never reached. */
static long count_allocations(const uint8_t *bytes, size_t count)
{
    long most = 1;
    do {
        most *= 2;
        fuzz_starve(most);
        LLVMFuzzerTestOneInput(bytes, count);
    } while (fuzz_starved());
    return most;
}

static void run_starved(const uint8_t *bytes, size_t count)
{
    long most = count_allocations(bytes, count), step = most > MOST ? most / MOST : 1;
    for (long failing = 0; failing < most; failing += step) {
        fuzz_starve(failing);
        LLVMFuzzerTestOneInput(bytes, count);
        if (!fuzz_starved()) break;
    }
    fuzz_starve(-1);
}

static void run_file(const char *path)
{
    char *bytes;
    size_t count;
    if (yki_disk_read(path, 64 << 20, &bytes, &count) != YOKE_OK) {
        fprintf(stderr, "%s: %s\n", path, yoke_error_get()->message);
        exit(2);
    }
    /* An allocation of its own, without the '\0' that reading adds: one byte too far is seen. */
    uint8_t *copy = malloc(count ? count : 1);
    fuzz_require(copy != NULL && nfiles < MOST_INPUTS, "there is memory");
    memcpy(copy, bytes, count);
    free(bytes);
    fprintf(stderr, "%s\n", path); /* the last line is the file at fault */
    if (starve)
        run_starved(copy, count);
    else
        LLVMFuzzerTestOneInput(copy, count);
    if (keep)
        inputs[nfiles] = (struct input){copy, count};
    else
        free(copy);
    nfiles++;
}

/* --- mutations --- */

static uint64_t drawn = 1;

/* Below `end`, which is not 0. */
static size_t draw(size_t end)
{
    drawn ^= drawn << 13;
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    return (size_t)((drawn >> 11) % end);
}

/* Puts `piece` in the place of `gone` bytes at `at`, as far as there is room. */
static void splice(uint8_t *text, size_t *count, size_t at, size_t gone, const uint8_t *piece, size_t bytes)
{
    static uint8_t old[MOST_BYTES];
    size_t rest = *count - at - gone;
    memcpy(old, text + at + gone, rest);
    if (bytes > MOST_BYTES - at) bytes = MOST_BYTES - at;
    if (rest > MOST_BYTES - at - bytes) rest = MOST_BYTES - at - bytes;
    memcpy(text + at, piece, bytes);
    memcpy(text + at + bytes, old, rest);
    *count = at + bytes + rest;
}

/* One change: a bit, a byte, numbers at their ends, bytes that go, bytes that come from any input. */
static void change(uint8_t *text, size_t *count, const struct input *from)
{
    static const uint64_t ends[] = {0,         UINT64_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1,
                                    INT32_MAX, UINT32_MAX, 1,         0x7f};
    static const char *const words[] = {"-1",      "0",        "9223372036854775808",
                                        "1e999",   "nan",      "null",
                                        "[",       "]",        "{",
                                        "}",       "\"",       ":",
                                        ",",       "\n",       "  ",
                                        "\\u0000", "\xff",     "*",
                                        "&a",      "|",        "-",
                                        "(",       "/",        "F0",
                                        "true",    "==NEXT==", "\r\n\t",
                                        "\xc0\x80"};
    uint8_t piece[MOST_BYTES];
    size_t at = draw(*count + 1), left = *count - at, bytes;
    switch (draw(7)) {
    case 0:
        if (left) text[at] ^= (uint8_t)(1u << draw(8));
        break;
    case 1:
        if (left) text[at] = (uint8_t)draw(256);
        break;
    case 2:
        bytes = (size_t)1 << draw(4);
        if (left >= bytes) memcpy(text + at, &ends[draw(sizeof ends / sizeof *ends)], bytes);
        break;
    case 3: /* short, mostly */
        splice(text, count, at, draw(draw(left + 1) + 1), piece, 0);
        break;
    case 4:
        *count = at;
        break;
    case 5: {
        const char *word = words[draw(sizeof words / sizeof *words)];
        splice(text, count, at, draw(2) && left ? 1 : 0, (const uint8_t *)word, strlen(word));
        break;
    }
    default: {
        size_t begin = from->count ? draw(from->count) : 0;
        bytes = draw(from->count - begin + 1);
        if (bytes > sizeof piece) bytes = sizeof piece;
        if (bytes) memcpy(piece, from->bytes + begin, bytes);
        splice(text, count, at, draw(left + 1), piece, bytes);
    }
    }
}

static uint8_t mutant[MOST_BYTES];
static size_t mutant_bytes;

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* The sanitizers call it at a finding: the input goes into a file, which is run again by its name. */
static void keep_finding(void)
{
    FILE *file = fopen("finding", "wb");
    if (!file) return;
    fwrite(mutant, 1, mutant_bytes, file);
    if (fclose(file) == 0) fprintf(stderr, "the input is in the file 'finding' of this folder\n");
}

static void aborted(int number)
{
    (void)number;
    keep_finding();
}

static void run_mutants(long runs)
{
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(keep_finding);
    signal(SIGABRT, aborted);
    for (long run = 0; run < runs; run++) {
        const struct input *from = &inputs[draw((size_t)nfiles)];
        mutant_bytes = from->count < MOST_BYTES ? from->count : MOST_BYTES;
        if (mutant_bytes) memcpy(mutant, from->bytes, mutant_bytes);
        for (size_t n = 1 + draw(4); n > 0; n--) change(mutant, &mutant_bytes, &inputs[draw((size_t)nfiles)]);
        uint8_t *copy = malloc(mutant_bytes ? mutant_bytes : 1); /* of its own: one byte too far is seen */
        fuzz_require(copy != NULL, "there is memory");
        memcpy(copy, mutant, mutant_bytes);
        LLVMFuzzerTestOneInput(copy, mutant_bytes);
        free(copy);
    }
    for (int i = 0; i < nfiles; i++) free(inputs[i].bytes);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    starve = argc > 1 && strcmp(argv[1], "--starve") == 0;
    keep = argc > 2 && strcmp(argv[1], "--mutate") == 0;
    for (int i = keep ? 3 : 1 + starve; i < argc; i++) {
        struct dirent **entries;
        int count = yki_path_is_folder(argv[i]) ? scandir(argv[i], &entries, is_visible, alphasort) : -1;
        if (count < 0) {
            run_file(argv[i]);
            continue;
        }
        for (int k = 0; k < count; k++) {
            char path[1400];
            snprintf(path, sizeof path, "%s/%.255s", argv[i], entries[k]->d_name);
            run_file(path);
            free(entries[k]);
        }
        free(entries);
    }
    if (keep && nfiles > 0) run_mutants(strtol(argv[2], NULL, 10));
    printf("%d inputs\n", nfiles);
    return nfiles > 0 ? 0 : 2;
}
