/* What the tests of jobs share: the two files of the contract, and copies of them with changes, each written
 * in the place of the one before. */
#ifndef YKI_TESTS_JOB_FILES_H
#define YKI_TESTS_JOB_FILES_H

#include "folder.h"
#include "yoke/job.h"

#define GPT YKI_JOB_FILES "/gpt.yaml"
#define MLP YKI_JOB_FILES "/mlp.yaml"

static char written[96];

static inline int make_job_folder(void **state)
{
    if (make_folder(state) != 0) return -1;
    snprintf(written, sizeof written, "%s/job.yaml", folder);
    return 0;
}

static inline char *read_text(const char *path, size_t *length_out)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    *length_out = fread(text, 1, (1 << 16) - 1, file);
    fclose(file);
    return text;
}

/* Writes a copy of `path` with the first `from` replaced by `to`; path NULL: just `to`. */
static inline void write_changed(const char *path, const char *from, const char *to)
{
    if (!path) {
        write_text(written, to);
        return;
    }
    size_t length;
    char *text = read_text(path, &length), *changed;
    char *at = strstr(text, from);
    assert_non_null(at);
    assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
    write_text(written, changed);
    free(changed);
    free(text);
}

/* Loads or fails the test, saying why. */
static inline yoke_job *load(const char *path, int noverrides, const char *const *overrides)
{
    yoke_job *job = NULL;
    if (yoke_job_load(path, noverrides, overrides, &job) != YOKE_OK)
        fail_msg("%s:%d: %s: %s", yoke_error_get()->file, yoke_error_get()->line, yoke_error_get()->key,
                 yoke_error_get()->message);
    return job;
}

static inline yoke_job *load_text(const char *text)
{
    write_text(written, text);
    return load(written, 0, NULL);
}

#endif
