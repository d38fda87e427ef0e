/* A checkpoint's state.json, alone and in a step's folder; further lines after the mark are names of folders.
 * What reads: it prints, and reads back the same. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "checkpoint/checkpoint.h"
#include "fuzz/input.h"
#include "yoke/checkpoint.h"

static void require_same(const yki_saved_state *a, const yki_saved_state *b)
{
    bool loss = a->last_loss == b->last_loss || (isnan(a->last_loss) && isnan(b->last_loss));
    fuzz_require(a->skipped == b->skipped && a->skipped_in_a_row == b->skipped_in_a_row &&
                     a->no_better == b->no_better && a->least_step == b->least_step &&
                     a->best_step == b->best_step && (a->least_step == 0 || a->least_loss == b->least_loss) &&
                     (a->best_step == 0 || a->best_loss == b->best_loss),
                 "what evaluations found reads back the same");
    fuzz_require(a->step == b->step && a->seed == b->seed && a->batch == b->batch && loss &&
                     strcmp(a->layout, b->layout) == 0 && strcmp(a->optimizer, b->optimizer) == 0 &&
                     strcmp(a->precision, b->precision) == 0,
                 "a state that was printed reads back the same");
}

/* DIR/NAME as the step's folder, or as an empty one. */
static void place_step(const char *dir, const char *name, bool whole)
{
    char path[512];
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (whole ? symlink(fuzz_folder("", -1), path) : mkdir(path, 0700))
        return; /* the name is too long, or twice there */
}

/* The names as numbers of steps, and as the folders in a DIR of checkpoints, of which the newest is looked
 * for. */
static void read_names(fuzz_part part)
{
    char name[300], dir[128], found[YKI_FOLDER_BYTES], note[256];
    int is_step, count = 0;
    snprintf(dir, sizeof dir, "%s/steps", fuzz_folder("", -1));
    fuzz_require(mkdir(dir, 0700) == 0, "a folder can be made");
    for (size_t at = 0, end; at < part.size; at = end + 1) {
        end = at;
        while (end < part.size && part.data[end] != '\n') end++;
        snprintf(name, sizeof name, "%.*s", (int)(end - at), (const char *)part.data + at);
        fuzz_require(yki_step_number(name, NULL) >= -1 && yki_step_number(name, "old") >= -1 &&
                         yki_step_number(name, "tmp") >= -1 && yki_step_number(name, "gone") >= -1,
                     "a step's number is none, or not negative");
        if (count++ < 20) place_step(dir, name, count % 2);
    }
    fuzz_accepted(yki_checkpoint_find(dir, found, &is_step, note));
    fuzz_require(yki_disk_remove_folder(dir) == YOKE_OK, "a folder can be removed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char config[] = "{\"model_type\": \"yoke-layers\", \"yoke\": {}}";
    static const char tensors[] = "\x02\0\0\0\0\0\0\0{}";
    fuzz_part parts[2];
    int count = fuzz_split(data, size, parts, 2);
    const char *folder = fuzz_folder("state.json", 0);
    fuzz_folder("config.json", 1);
    fuzz_folder("model.safetensors", 2);
    fuzz_folder("optimizer.safetensors", 3);
    fuzz_file(0, parts[0].data, parts[0].size);
    fuzz_file(1, config, strlen(config));
    fuzz_file(2, tensors, sizeof tensors - 1);
    fuzz_file(3, tensors, sizeof tensors - 1);
    if (count > 1) read_names(parts[1]);
    yki_saved_state state, again;
    bool read = fuzz_accepted(yki_checkpoint_state(folder, &state));
    char found[YKI_FOLDER_BYTES], note[256];
    int is_step;
    yoke_inspection *inspection;
    bool complete = fuzz_accepted(yki_checkpoint_find(folder, found, &is_step, note));
    fuzz_require(complete == read || fuzz_starved(), "a step is complete when its state can be read");
    if (fuzz_accepted(yoke_inspect(folder, &inspection))) yoke_inspection_destroy(inspection);
    if (!read) return 0;
    char *text = yki_state_print(&state);
    fuzz_require(text != NULL, "a state prints");
    fuzz_file(0, text, strlen(text));
    free(text);
    fuzz_require(yki_checkpoint_state(folder, &again) == YOKE_OK, "what a state prints reads back");
    require_same(&state, &again);
    return 0;
}
