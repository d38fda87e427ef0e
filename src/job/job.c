/* Loading a job: file, overrides, table, rules. */
#include "yoke/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"
#include "job/job.h"
#include "job/read.h"

static void free_texts(yoke_texts *texts)
{
    for (int i = 0; i < texts->count; i++) free(texts->list[i]);
    free(texts->list);
    *texts = (yoke_texts){0};
}

yoke_status yki_job_take_path(yoke_job *job, const char *path)
{
    yoke_texts *paths = &job->data.paths;
    free_texts(paths);
    paths->list = calloc(1, sizeof *paths->list);
    if (paths->list) paths->list[0] = strdup(path);
    if (!paths->list || !paths->list[0]) return yki_fail_memory("a path");
    paths->count = 1;
    return YOKE_OK;
}

void yoke_job_destroy(yoke_job *job)
{
    if (!job) return;
    yki_layers_free(job->model.layers, job->model.nlayers);
    free_texts(&job->data.paths);
    for (int i = 0; i < job->data.ntarget_columns; i++) free(job->data.target_columns[i]);
    free(job->data.target_columns);
    free_texts(&job->model.freeze);
    free_texts(&job->model.adapter.targets);
    free(job);
}

/* An override as a person typed it, for sentences. */
static char *show_override(const char *text)
{
    char shown[96];
    yki_text out = {0};
    yki_yaml_shown(shown, text);
    if (strncmp(shown, "--", 2) == 0) {
        char *equals = strchr(shown, '=');
        if (equals) *equals = ' ';
        yki_text_append(&out, "%s", shown);
    } else {
        yki_text_append(&out, "--set %s", shown);
    }
    return yki_text_take(&out);
}

/* Where a rule that knows only the job found fault: names the file as the caller did, the line of the key it
 * blames, or the override that the value came from. */
static yoke_status blame(const yki_reader *reader, yoke_status status)
{
    yoke_error *e = yki_error_edit();
    if (status != YOKE_INVALID) return status;
    char key[sizeof e->key], message[sizeof e->message];
    memcpy(key, e->key, sizeof key);
    memcpy(message, e->message, sizeof message);
    const yki_yaml *node = yki_yaml_find(reader->root, key);
    if (strcmp(key, "train.batch") ==
        0) /* an override of the layout is to blame rather than the file's batch */
        for (int i = 0; i < 2; i++) {
            const yki_yaml *other = yki_yaml_find(reader->root, i ? "layout.dp" : "layout.microbatches");
            if (other && other->origin > 0 && !(node && node->origin > 0)) node = other;
        }
    return yki_reader_fail(reader, node, key, "%s", message);
}

static yoke_status read_job(yki_reader *reader, const char *const *overrides)
{
    YKI_TRY(yki_reader_check_root(reader));                     /* before something is put below it */
    reader->job->layout_named = yki_layout_named(reader->root); /* overrides take out what they contradict */
    for (int i = 0; i < reader->noverrides; i++) YKI_TRY(yki_reader_override(reader, overrides[i], i + 1));
    YKI_TRY(yki_reader_settle(reader));
    YKI_TRY(yki_reader_check_keys(reader));
    YKI_TRY(yki_reader_read(reader, "", true));
    YKI_TRY(yki_reader_finish(reader));
    reader->job->layout_named |= yki_layout_named(reader->root);
    reader->job->has_layout = yki_yaml_get(reader->root, "layout");
    yoke_status status = yki_job_resolve_devices(reader->job);
    if (status == YOKE_OK) status = yki_job_check_batch(reader->job);
    return blame(reader, status);
}

static yoke_status find_folders(yki_reader *reader, const char *path)
{
    if (!getcwd(reader->current, sizeof reader->current)) return yki_fail_errno("find", ".");
    if (!yki_path_resolve(reader->job->path, sizeof reader->job->path, reader->current, path))
        return yki_fail_at(YOKE_INVALID, path, 0, "", "is a path of more than %zu bytes",
                           sizeof reader->job->path - 1);
    snprintf(reader->folder, sizeof reader->folder, "%s", reader->job->path);
    *strrchr(reader->folder, '/') = '\0';
    return YOKE_OK;
}

/* People give weights, and folders of steps, where a job is wanted. */
static yoke_status check_kind(const char *path)
{
    static const char end[] = ".safetensors";
    size_t length = strlen(path);
    if (yki_path_is_folder(path))
        return yki_fail_at(YOKE_INVALID, path, 0, "",
                           "is a folder, and no job: a saved step has its job in job.yaml, and --resume DIR "
                           "trains on from there");
    if (length < sizeof end || strcmp(path + length - (sizeof end - 1), end) != 0) return YOKE_OK;
    return yki_fail_at(
        YOKE_INVALID, path, 0, "",
        "holds weights, and is no job: name the folder that yoke saved it in, or a job file with "
        "model.from");
}

/* text NULL: the file at `path`; else what would stand in it, and path is "". */
static yoke_status load(const char *path, const char *text, int noverrides, const char *const *overrides,
                        yoke_job **job_out)
{
    yki_reader reader = {.file = path, .noverrides = noverrides};
    char **shown = calloc((size_t)noverrides + 1, sizeof(char *));
    bool memory = shown;
    for (int i = 0; memory && i < noverrides; i++) memory = (shown[i] = show_override(overrides[i]));
    reader.shown = (const char *const *)shown;
    reader.job = malloc(sizeof *reader.job);
    yoke_status status = memory && reader.job ? YOKE_OK : yki_fail_memory("a job");
    if (reader.job) yki_job_init(reader.job);
    if (status == YOKE_OK && !text) status = check_kind(path);
    if (status == YOKE_OK) status = find_folders(&reader, text ? "job.yaml" : path);
    if (status == YOKE_OK)
        status =
            text ? yki_yaml_parse(text, strlen(text), path, &reader.root) : yki_yaml_read(path, &reader.root);
    if (status == YOKE_OK) status = read_job(&reader, overrides);
    yki_yaml_destroy(reader.root);
    for (int i = 0; shown && i < noverrides; i++) free(shown[i]);
    free(shown);
    if (status != YOKE_OK) {
        yoke_job_destroy(reader.job);
        return status;
    }
    *job_out = reader.job;
    return YOKE_OK;
}

yoke_status yki_job_of_text(const char *text, int noverrides, const char *const *overrides,
                            yoke_job **job_out)
{
    return load("", text, noverrides, overrides, job_out);
}

yoke_status yoke_job_load(const char *path, int noverrides, const char *const *overrides, yoke_job **job_out)
{
    YKI_NEED(path, job_out);
    if (noverrides < 0 || (noverrides > 0 && !overrides))
        return yki_fail(YOKE_INVALID, "yoke_job_load: %d overrides, and they are NULL", noverrides);
    for (int i = 0; i < noverrides; i++)
        if (!overrides[i]) return yki_fail(YOKE_INVALID, "yoke_job_load: overrides[%d] is NULL", i);
    return load(path, NULL, noverrides, overrides, job_out);
}
