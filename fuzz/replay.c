/* A target without libFuzzer: runs it over the files and folders that are named. Any compiler builds it, so
 * the corpus is a test of every preset. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "fuzz/input.h"

static int nfiles;

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
    for (int i = 1; i < argc; i++) {
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
