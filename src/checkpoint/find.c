/* Which folder a path means. A step counts when all its files are there and valid; a newer one that is not is
 * passed over, and said so. Finding changes nothing on the disk. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"
#include "checkpoint/hashes.h"

int64_t yki_step_number(const char *name, const char *mark)
{
    if (mark && *name++ != '.') return -1;
    if (strncmp(name, "step-", 5) != 0 || !isdigit((unsigned char)name[5])) return -1;
    errno = 0;
    char *end;
    long long step = strtoll(name + 5, &end, 10);
    if (errno) return -1;
    if (!mark) return *end ? -1 : step;
    size_t length = strlen(mark);
    return *end == '.' && strncmp(end + 1, mark, length) == 0 && end[1 + length] == '-' ? step : -1;
}

static int compare_steps(const void *a, const void *b)
{
    const yki_step_entry *x = a, *y = b;
    if (x->step != y->step) return x->step > y->step ? -1 : 1;
    return strcmp(y->name, x->name); /* "step-" before ".step-": what was set aside comes last */
}

yoke_status yki_steps_list(const char *dir, yki_step_entry **steps_out, int *count_out)
{
    DIR *listing = opendir(dir);
    if (!listing)
        return yki_fail_at(errno == ENOMEM || errno == EMFILE || errno == ENFILE ? YOKE_SYSTEM : YOKE_INVALID,
                           dir, 0, "", "cannot list it: %s", strerror(errno));
    yki_step_entry *steps = NULL;
    int count = 0, room = 0;
    for (struct dirent *found; (found = readdir(listing));) {
        int64_t step = yki_step_number(found->d_name, NULL);
        if (step < 0) step = yki_step_number(found->d_name, "old");
        if (step < 0) continue;
        if (count == room) {
            room = room ? 2 * room : 16;
            yki_step_entry *grown = realloc(steps, (size_t)room * sizeof *grown);
            if (!grown) {
                free(steps);
                closedir(listing);
                return yki_fail_memory("a list of steps");
            }
            steps = grown;
        }
        steps[count].step = step;
        snprintf(steps[count++].name, sizeof steps->name, "%s", found->d_name);
    }
    closedir(listing);
    if (count > 0) qsort(steps, (size_t)count, sizeof *steps, compare_steps);
    int kept = 0; /* a step set aside counts only while there is no other of its number */
    for (int i = 0; i < count; i++)
        if (steps[i].name[0] != '.' || kept == 0 || steps[kept - 1].step != steps[i].step)
            steps[kept++] = steps[i];
    *steps_out = steps;
    *count_out = kept;
    return YOKE_OK;
}

static yoke_status check_tensors(const char *path)
{
    yki_safetensors *file;
    YKI_TRY(yki_safetensors_open(path, &file));
    yki_safetensors_close(file);
    return YOKE_OK;
}

yoke_status yki_checkpoint_check(const char *folder)
{
    char path[YKI_FOLDER_BYTES + 64];
    yki_saved_state state;
    json_t *config;
    YKI_TRY(yki_path_join(path, sizeof path, folder, "config.json"));
    YKI_TRY(yki_json_load(path, &config));
    json_decref(config);
    if (yki_is_adapter(folder)) {
        YKI_TRY(yki_adapter_file(folder, path));
        YKI_TRY(check_tensors(path));
    } else
        YKI_TRY(check_tensors(folder));
    YKI_TRY(yki_path_join(path, sizeof path, folder, "optimizer.safetensors"));
    YKI_TRY(check_tensors(path));
    YKI_TRY(yki_checkpoint_state(folder, &state));
    if (!state.hashed) return YOKE_OK;
    yki_hashes *hashes;
    YKI_TRY(yki_path_join(path, sizeof path, folder, "hashes.json"));
    YKI_TRY(yki_hashes_read(folder, &hashes));
    if (!hashes) return yki_fail_at(YOKE_INVALID, path, 0, "", "is missing");
    yki_hashes_destroy(hashes);
    return YOKE_OK;
}

static bool has(const char *folder, const char *name)
{
    char path[YKI_FOLDER_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name); /* a folder's path is 64 bytes shorter */
    return yki_path_exists(path);
}

/* "step-00000200 is incomplete (model.safetensors: is truncated ...)", of the last fault. */
static void note_skipped(yki_text *note, const yki_step_entry *step)
{
    const yoke_error *error = yoke_error_get();
    const char *slash = strrchr(error->file, '/'), *file = slash ? slash + 1 : error->file;
    if (strcmp(file, step->name) == 0) file = ""; /* the folder itself is at fault */
    yki_text_append(note, "%s is incomplete (%s%s%s%s", step->name, file, *file ? ": " : "", error->key,
                    error->key[0] ? ": " : "");
    enum { MOST = 140 }; /* the sentence goes on after it */
    size_t length = strlen(error->message),
           shown = yki_utf8_prefix(error->message, length < MOST ? length : MOST);
    yki_text_append_bytes(note, error->message, shown);
    yki_text_append(note, "%s)", shown < length ? "..." : "");
}

/* A path of `steps`' newest complete one, in folder_out, and which newer one was passed over. */
static yoke_status newest_complete(const char *dir, const yki_step_entry *steps, int count, char *folder_out,
                                   yki_text *note)
{
    for (int i = 0; i < count; i++) {
        YKI_TRY(yki_path_join(folder_out, YKI_FOLDER_BYTES, dir, steps[i].name));
        yoke_status status = yki_checkpoint_check(folder_out);
        if (status == YOKE_OK && i > 0)
            yki_text_append(note, "%s; took %s", i > 1 ? ", so are others" : "", steps[i].name);
        if (status != YOKE_INVALID)
            return status; /* memory or the disk failed: an older step would be the wrong answer */
        if (i == 0) note_skipped(note, &steps[i]);
    }
    return yki_fail_at(YOKE_INVALID, dir, 0, "", "has no complete step: %s", note->data ? note->data : "");
}

/* Whether the folder's own name says that it is a step. */
static bool is_step_name(const char *folder)
{
    char *real = realpath(folder, NULL);
    const char *slash = real ? strrchr(real, '/') : NULL;
    bool is = slash && (yki_step_number(slash + 1, NULL) >= 0 || yki_step_number(slash + 1, "old") >= 0);
    free(real);
    return is;
}

/* What a folder that is no step itself means: its newest complete step, or a model as Hugging Face lays it
 * out. */
static yoke_status find_in(char folder[YKI_FOLDER_BYTES], int *is_step, yki_text *note)
{
    char dir[YKI_FOLDER_BYTES];
    yki_step_entry *steps;
    int count;
    memcpy(dir, folder, sizeof dir);
    YKI_TRY(yki_steps_list(dir, &steps, &count));
    yoke_status status = YOKE_OK;
    *is_step = count > 0;
    if (count > 0)
        status = newest_complete(dir, steps, count, folder, note);
    else if (!has(dir, "config.json") && !has(dir, "model.safetensors") &&
             !has(dir, "model.safetensors.index.json"))
        status = yki_fail_at(
            YOKE_INVALID, dir, 0, "",
            "holds no checkpoint: neither a step-* folder nor config.json with model.safetensors");
    free(steps);
    return status;
}

yoke_status yki_checkpoint_find(const char *path, char folder_out[YKI_FOLDER_BYTES], int *is_step_out,
                                char *note_out)
{
    char folder[YKI_FOLDER_BYTES] = "";
    size_t length = strlen(path);
    if (!yki_path_exists(path)) return yki_fail_at(YOKE_INVALID, path, 0, "", "no such folder");
    if (!yki_path_is_folder(path))
        return yki_fail_at(YOKE_INVALID, path, 0, "", "is a file where a checkpoint's folder is needed");
    if (length >= sizeof folder)
        return yki_fail_at(YOKE_INVALID, path, 0, "", "the path is too long: at most %zu bytes",
                           sizeof folder - 1);
    while (length > 1 && path[length - 1] == '/') length--;
    memcpy(folder, path, length);
    yki_text note = {0};
    int is_step = has(folder, "state.json") || is_step_name(folder);
    yoke_status status = is_step ? yki_checkpoint_check(folder) : find_in(folder, &is_step, &note);
    if (status == YOKE_OK) {
        memcpy(folder_out, folder, sizeof folder);
        *is_step_out = is_step;
        if (note_out) snprintf(note_out, 256, "%s", note.data ? note.data : "");
    }
    yki_text_release(&note);
    return status;
}
