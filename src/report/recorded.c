/* What a log or a trace says of its run: the job, and where its steps went. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "report/trace.h"

void yki_measured_print(const yoke_measured *m, char text[YKI_MEASURED_BYTES])
{
    char digits[32];
    int at = snprintf(text, YKI_MEASURED_BYTES, "{\"step_ms\":%s,\"shares\":{",
                      yki_json_real(digits, 1e3 * m->step_s));
    for (int i = 0; i < YOKE_SHARES; i++)
        at += snprintf(text + at, YKI_MEASURED_BYTES - (size_t)at, "%s\"%s\":%s", i ? "," : "",
                       yoke_share_name(i), yki_json_real(digits, m->shares[i]));
    snprintf(text + at, YKI_MEASURED_BYTES - (size_t)at, "},\"slow_device\":%d,\"slower\":%s}",
             m->slow_device, yki_json_real(digits, m->slower));
}

static void read_measured(const json_t *from, yoke_measured *out)
{
    const json_t *shares = json_object_get(from, "shares");
    if (!json_is_object(shares)) return;
    out->step_s = 1e-3 * json_number_value(json_object_get(from, "step_ms"));
    for (int i = 0; i < YOKE_SHARES; i++)
        out->shares[i] = json_number_value(json_object_get(shares, yoke_share_name(i)));
    out->slow_device = (int)json_integer_value(json_object_get(from, "slow_device"));
    out->slower = json_number_value(json_object_get(from, "slower"));
}

static void take(const json_t *object, char **job, yoke_measured *out)
{
    const char *text = json_string_value(json_object_get(object, "job"));
    if (text) {
        free(*job);
        *job = strdup(text);
    }
    read_measured(json_object_get(object, "measured"), out);
}

/* The last run of a log; lines that are cut short are passed over, as a run that was killed leaves one. */
static void read_log(const char *path, FILE *file, char **job, yoke_measured *out)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    double seconds = 0;
    int64_t steps = 0;
    while ((length = getline(&line, &size, file)) > 0) {
        json_t *object;
        if (yki_json_parse(path, "", line, (size_t)length, &object) != YOKE_OK) continue;
        const char *event = json_string_value(json_object_get(object, "event"));
        if (event && strcmp(event, "start") == 0) {
            *out = (yoke_measured){.slow_device = -1};
            seconds = 0, steps = 0;
        }
        if (!event) seconds += json_number_value(json_object_get(object, "seconds")), steps++;
        take(object, job, out);
        json_decref(object);
    }
    free(line);
    if (!(out->step_s > 0) && steps > 0) out->step_s = seconds / (double)steps; /* it was killed */
}

/* What stands last in a trace. */
static void read_trace(const char *path, FILE *file, char **job, yoke_measured *out)
{
    enum { LAST = 1 << 20 };
    static const char key[] = "\n],\"otherData\":";
    char *tail = malloc(LAST + 1);
    long end = tail && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0, from = end > LAST ? end - LAST : 0;
    size_t count = end > 0 && fseek(file, from, SEEK_SET) == 0 ? fread(tail, 1, LAST, file) : 0;
    if (tail) tail[count] = '\0';
    char *at = NULL, *next = tail;
    while (next && (next = strstr(next, key))) at = next, next++;
    json_t *object;
    char *close = at ? strrchr(at, '}') : NULL;
    if (close && yki_json_parse(path, "otherData", at + sizeof key - 1, (size_t)(close - at) - sizeof key + 1,
                                &object) == YOKE_OK) {
        take(object, job, out);
        json_decref(object);
    }
    free(tail);
}

yoke_status yoke_run_read(const char *path, char **job_out, yoke_measured *measured_out)
{
    YKI_NEED(path, job_out, measured_out);
    static const char log[] = "{\"event\":", step[] = "{\"step\":", trace[] = "{\"displayTimeUnit\":";
    char first[sizeof trace] = "";
    *job_out = NULL;
    *measured_out = (yoke_measured){.slow_device = -1};
    FILE *file = fopen(path, "re");
    if (!file) return yki_fail_errno("read", path);
    size_t count = fread(first, 1, sizeof first - 1, file);
    first[count] = '\0';
    bool is_log = !strncmp(first, log, sizeof log - 1) || !strncmp(first, step, sizeof step - 1);
    bool is_trace = !strcmp(first, trace);
    rewind(file);
    if (is_log) read_log(path, file, job_out, measured_out);
    if (is_trace) read_trace(path, file, job_out, measured_out);
    fclose(file);
    if (!is_log && !is_trace) return YOKE_OK;
    if (*job_out) return YOKE_OK;
    return yki_fail_at(YOKE_INVALID, path, 0, "",
                       "%s of a run that does not have its job: explain the job's file, or a record that "
                       "`yoke train` has written whole",
                       is_log ? "is a log" : "is a trace");
}
