/* Schedules as text. A file is input of unknown origin: its size is bounded, every number is checked against
 * the parts and micro-batches it is for, and what is quoted in an error is printable. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/text.h"
#include "schedule/schedule.h"

enum { MAX_FILE_BYTES = 64 << 20, MAX_QUOTED_BYTES = 24 };

static const char *const kind_names[] = {
    [YOKE_ACTION_F] = "F", [YOKE_ACTION_B] = "B", [YOKE_ACTION_W] = "W", [YOKE_ACTION_BW] = "BW"};
enum { NKINDS = sizeof kind_names / sizeof kind_names[0] };

const char *yki_action_kind_name(int kind)
{
    return kind_names[kind];
}

char *yki_action_print(char buffer[YKI_ACTION_TEXT], yoke_action action)
{
    int length = snprintf(buffer, YKI_ACTION_TEXT, "%s%d", kind_names[action.kind], action.microbatch);
    if (action.chunk > 0) snprintf(buffer + length, YKI_ACTION_TEXT - (size_t)length, ".%d", action.chunk);
    return buffer;
}

char *yoke_schedule_print(const yoke_schedule *schedule)
{
    if (!schedule) return NULL;
    yki_text text = {0};
    char buffer[YKI_ACTION_TEXT];
    for (int s = 0; s < schedule->parts.nstages; s++) {
        int count;
        const yoke_action *actions = yoke_schedule_actions(schedule, s, &count);
        for (int k = 0; k < count; k++) {
            if (k > 0) yki_text_append_bytes(&text, " ", 1);
            yki_action_print(buffer, actions[k]);
            yki_text_append_bytes(&text, buffer, strlen(buffer));
        }
        yki_text_append_bytes(&text, "\n", 1);
    }
    return yki_text_take(&text);
}

/* Where reading stands: a stretch of bytes of one line, and what to name in errors. */
typedef struct reader {
    const char *at, *end;
    const char *file;
    int line, stage;
} reader;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next line without its comment; false at the end of the text. */
static bool next_line(const char **text, int *line, const char **start, const char **end)
{
    if (!**text) return false;
    *start = *text;
    const char *stop = *start + strcspn(*start, "\n");
    *text = *stop ? stop + 1 : stop;
    (*line)++;
    const char *comment = memchr(*start, '#', (size_t)(stop - *start));
    *end = comment ? comment : stop;
    return true;
}

/* The next word of the line; false at its end. */
static bool next_word(const char **at, const char *end, const char **word, size_t *length)
{
    while (*at < end && is_blank(**at)) (*at)++;
    *word = *at;
    while (*at < end && !is_blank(**at)) (*at)++;
    *length = (size_t)(*at - *word);
    return *length > 0;
}

static const char *quote(char buffer[4 * MAX_QUOTED_BYTES + 4], const char *word, size_t length)
{
    char *out = buffer;
    for (size_t i = 0; i < length && i < MAX_QUOTED_BYTES; i++) {
        if (word[i] > ' ' && word[i] < 127)
            *out++ = word[i];
        else
            out += sprintf(out, "\\x%02x", (unsigned char)word[i]);
    }
    strcpy(out, length > MAX_QUOTED_BYTES ? "..." : "");
    return buffer;
}

/* Digits up to `end`; -1 if there are none, INT32_MAX if the number is that or more. */
static int32_t read_number(const char **at, const char *end)
{
    if (*at == end || **at < '0' || **at > '9') return -1;
    int64_t number = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++)
        if (number < INT32_MAX) number = number * 10 + (**at - '0');
    return number < INT32_MAX ? (int32_t)number : INT32_MAX;
}

static int read_kind(const char **at, const char *end)
{
    size_t letters = 0;
    while (*at + letters < end && (*at)[letters] >= 'A' && (*at)[letters] <= 'Z') letters++;
    for (int kind = 0; kind < NKINDS; kind++)
        if (letters == strlen(kind_names[kind]) && memcmp(*at, kind_names[kind], letters) == 0) {
            *at += letters;
            return kind;
        }
    return -1;
}

static yoke_status read_action(const reader *r, const yoke_schedule *schedule, const char *word,
                               size_t length, yoke_action *action_out)
{
    char quoted[4 * MAX_QUOTED_BYTES + 4];
    const char *at = word, *end = word + length;
    int kind = read_kind(&at, end);
    int32_t microbatch = kind < 0 ? -1 : read_number(&at, end), chunk = 0;
    if (microbatch >= 0 && at < end && *at == '.') {
        at++;
        chunk = read_number(&at, end);
    }
    if (kind < 0 || microbatch < 0 || chunk < 0 || at != end)
        return yki_fail_at(YOKE_INVALID, r->file, r->line, "",
                           "stage %d: \"%s\" is not an action; actions are F0, B0, W0 and BW0, the number a "
                           "micro-batch, with the chunk after a dot (F0.1)",
                           r->stage, quote(quoted, word, length));
    if (microbatch >= schedule->microbatches)
        return yki_fail_at(
            YOKE_INVALID, r->file, r->line, "",
            "stage %d: %s is of a micro-batch that does not exist; the %d micro-batches are 0 to %d",
            r->stage, quote(quoted, word, length), schedule->microbatches, schedule->microbatches - 1);
    int chunks = yki_schedule_chunks(schedule, r->stage);
    if (chunk >= chunks)
        return yki_fail_at(YOKE_INVALID, r->file, r->line, "",
                           "stage %d: %s is of a chunk that does not exist; the stage has %d chunk%s, from 0",
                           r->stage, quote(quoted, word, length), chunks, chunks == 1 ? "" : "s");
    *action_out = (yoke_action){(uint8_t)kind, (int16_t)chunk, microbatch};
    return YOKE_OK;
}

/* Counts the actions of each line that has any; there must be one such line a stage. */
static yoke_status count_actions(const char *text, const char *file, int nstages, int *counts)
{
    const char *start, *end, *word;
    size_t length;
    int line = 0, stages = 0;
    int64_t total = 0;
    while (next_line(&text, &line, &start, &end)) {
        int count = 0;
        while (next_word(&start, end, &word, &length)) count++;
        total += count;
        if (total > YKI_SCHEDULE_MAX_ACTIONS)
            return yki_fail_at(YOKE_INVALID, file, line, "",
                               "more than the %d actions that a schedule can hold", YKI_SCHEDULE_MAX_ACTIONS);
        if (count > 0 && stages < nstages) counts[stages] = count;
        stages += count > 0;
    }
    if (stages != nstages)
        return yki_fail_at(
            YOKE_INVALID, file, 0, "",
            "the schedule has %d line%s of actions, but the layout has %d stage%s; there must be a line "
            "per stage",
            stages, stages == 1 ? "" : "s", nstages, nstages == 1 ? "" : "s");
    return YOKE_OK;
}

static yoke_status fill(yoke_schedule *schedule, const char *text)
{
    reader r = {.file = schedule->file};
    const char *word;
    size_t length;
    while (next_line(&text, &r.line, &r.at, &r.end)) {
        bool any = false;
        while (next_word(&r.at, r.end, &word, &length)) {
            yoke_action action = {0};
            YKI_TRY(read_action(&r, schedule, word, length, &action));
            yki_schedule_add(schedule, r.stage, (yoke_action_kind)action.kind, action.chunk,
                             action.microbatch);
            any = true;
        }
        if (any) schedule->line_of[r.stage++] = r.line;
    }
    return YOKE_OK;
}

yoke_status yoke_schedule_parse(yoke_schedule **schedule_out, const char *text, const char *file,
                                const yoke_parts *parts, int microbatches)
{
    YKI_NEED(schedule_out, text, file, parts);
    YKI_TRY(yki_parts_check(parts, microbatches));
    int *counts = calloc((size_t)parts->nstages, sizeof *counts);
    if (!counts) return yki_fail_memory("a schedule's text");
    yoke_schedule *schedule = NULL;
    yoke_status status = count_actions(text, file, parts->nstages, counts);
    if (status == YOKE_OK) status = yki_schedule_new(&schedule, parts, microbatches, counts, file);
    free(counts);
    if (status == YOKE_OK) status = fill(schedule, text);
    if (status == YOKE_OK)
        *schedule_out = schedule;
    else
        yoke_schedule_destroy(schedule);
    return status;
}

/* Reads a file, of whatever kind, until its end or until it is too long. */
static yoke_status read_whole(FILE *stream, const char *path, char **data_out)
{
    size_t length = 0, capacity = 1 << 16;
    char *data = malloc(capacity + 1);
    while (data) {
        size_t got = fread(data + length, 1, capacity - length, stream);
        length += got;
        if (got == 0 || length > MAX_FILE_BYTES) break;
        if (length == capacity) {
            char *grown = realloc(data, 2 * capacity + 1);
            if (!grown) free(data);
            data = grown;
            capacity *= 2;
        }
    }
    if (!data) return yki_fail_memory("a schedule's text");
    data[length] = '\0';
    const char *nul = memchr(data, '\0', length);
    yoke_status status = YOKE_OK;
    if (ferror(stream))
        status = yki_fail_errno("read", path);
    else if (length > MAX_FILE_BYTES)
        status = yki_fail_at(YOKE_INVALID, path, 0, "", "longer than the %d MiB that a schedule may have",
                             MAX_FILE_BYTES >> 20);
    else if (nul) {
        int line = 1;
        for (const char *c = data; c < nul; c++) line += *c == '\n';
        status = yki_fail_at(YOKE_INVALID, path, line, "", "a NUL byte: this is not a schedule's text");
    }
    if (status == YOKE_OK)
        *data_out = data;
    else
        free(data);
    return status;
}

yoke_status yoke_schedule_read(yoke_schedule **schedule_out, const char *path, const yoke_parts *parts,
                               int microbatches)
{
    YKI_NEED(schedule_out, path, parts);
    FILE *stream = fopen(path, "rb");
    if (!stream) return yki_fail_errno("open", path);
    char *data = NULL;
    yoke_status status = read_whole(stream, path, &data);
    fclose(stream);
    if (status == YOKE_OK) status = yoke_schedule_parse(schedule_out, data, path, parts, microbatches);
    free(data);
    return status;
}
