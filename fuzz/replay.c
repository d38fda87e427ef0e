/* A target without libFuzzer: runs it over the files and folders that are named; any compiler builds it, so
 * the corpus is a test of every preset. With --starve first, each file is run once for every allocation that
 * reading it makes, which then fails (for MOST of them, spread evenly, where there are more): the answer must
 * be a status, and nothing may leak or crash. The linker sends the library's own calls of malloc and its like
 * here (--wrap); what other libraries allocate is theirs (jansson 2.14 itself reads past its buffer when it
 * gets none). */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "fuzz/input.h"

enum { MOST = 100 };

static int nfiles;
static bool starve;

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
    fuzz_require(copy != NULL, "there is memory");
    memcpy(copy, bytes, count);
    free(bytes);
    fprintf(stderr, "%s\n", path); /* the last line is the file at fault */
    if (starve)
        run_starved(copy, count);
    else
        LLVMFuzzerTestOneInput(copy, count);
    free(copy);
    nfiles++;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    starve = argc > 1 && strcmp(argv[1], "--starve") == 0;
    for (int i = 1 + starve; i < argc; i++) {
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
    printf("%d inputs\n", nfiles);
    return nfiles > 0 ? 0 : 2;
}
