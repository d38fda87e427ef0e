/* Random schedules that run: actions are drawn from those whose inputs are there, stage by stage, so that the
 * order drawn is one in which they can all happen. */
#ifndef YKI_TESTS_TRAIN_RANDOM_SCHEDULE_H
#define YKI_TESTS_TRAIN_RANDOM_SCHEDULE_H

#include "train/jobs.h"

/* The text of a random schedule over the parts. split: per cent of the backward actions that are B and W
 * apart, in one part both kinds may meet; haste: per cent by which backward actions are preferred. Freed by
 * the caller. */
static inline char *random_schedule(const yoke_parts *parts, int microbatches, int split, int haste,
                                    uint64_t *seed)
{
    enum { NOTHING, FORWARD, BACKWARD, DONE };
    size_t n = (size_t)parts->nparts * (size_t)microbatches;
    unsigned char *done = calloc(n, 1), *apart = calloc(n, 1);
    char **lines = calloc((size_t)parts->nstages, sizeof *lines);
    size_t *sizes = calloc((size_t)parts->nstages, sizeof *sizes);
    FILE **files = calloc((size_t)parts->nstages, sizeof(FILE *));
    int *ready = calloc(n, sizeof *ready);
    assert_true(done && apart && lines && sizes && files && ready);
    for (int s = 0; s < parts->nstages; s++) files[s] = open_memstream(&lines[s], &sizes[s]);
    for (size_t i = 0; i < n; i++) apart[i] = draw(seed) % 100 < (uint64_t)split;
    for (;;) {
        int count = 0, backward = 0;
        for (int pass = 0; pass < 2; pass++) /* backward actions first in the list */
            for (int p = 0; p < parts->nparts; p++)
                for (int m = 0; m < microbatches; m++) {
                    size_t i = (size_t)p * (size_t)microbatches + (size_t)m, M = (size_t)microbatches;
                    bool can = (done[i] == NOTHING && (p == 0 || done[i - M] >= FORWARD)) ||
                               (done[i] == FORWARD && (p + 1 == parts->nparts || done[i + M] >= BACKWARD)) ||
                               (done[i] == BACKWARD && apart[i]);
                    if (!can || (done[i] != NOTHING) != (pass == 0)) continue;
                    ready[count++] = (int)i;
                    backward += pass == 0;
                }
        if (count == 0) break;
        int most = backward > 0 && draw(seed) % 100 < (uint64_t)haste ? backward : count;
        int i = ready[draw(seed) % (uint64_t)most], p = i / microbatches, m = i % microbatches;
        const char *kind = done[i] == NOTHING ? "F" : done[i] == BACKWARD ? "W" : apart[i] ? "B" : "BW";
        FILE *out = files[parts->stage_of[p]];
        fprintf(out, "%s%d", kind, m);
        if (parts->chunk_of[p] > 0) fprintf(out, ".%d", parts->chunk_of[p]);
        fputc(' ', out);
        done[i] = done[i] == FORWARD && !apart[i] ? DONE : done[i] + 1;
    }
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (int s = 0; s < parts->nstages; s++) {
        fclose(files[s]);
        fprintf(out, "%s\n", lines[s]);
        free(lines[s]);
    }
    fclose(out);
    free(done);
    free(apart);
    free(lines);
    free(sizes);
    free(files);
    free(ready);
    return text;
}

#endif
