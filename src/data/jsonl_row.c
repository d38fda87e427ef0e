/* Rows of JSON to tokens, by their kinds. */
#include "data/jsonl_row.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"

const char *const yki_row_kinds[YKI_ROW_KINDS] = {"text", "prompt and completion", "messages"};

static yoke_status fail(const yki_rows *rows, const char *format, ...) __attribute__((format(printf, 2, 3)));

static yoke_status fail(const yki_rows *rows, const char *format, ...)
{
    char message[sizeof((yoke_error *)0)->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return yki_fail_at(YOKE_INVALID, rows->path, rows->line, "", "%s", message);
}

/* ---- tokens ---- */

static yoke_status put(yki_rows *rows, const int32_t *ids, int64_t count, bool counted)
{
    if (rows->room - rows->count < count) {
        int64_t room = rows->room + rows->room / 2 + count + 64;
        int32_t *grown = realloc(rows->ids, sizeof *grown * (size_t)room);
        if (!grown) return yki_fail_memory("a row's tokens");
        rows->ids = grown;
        rows->room = room;
    }
    for (int64_t i = 0; i < count; i++) rows->ids[rows->count++] = counted ? ids[i] : ~ids[i];
    return YOKE_OK;
}

/* What the tokenizer says of a text has the row's place. */
static yoke_status placed(const yki_rows *rows, yoke_status status)
{
    yoke_error *record = yki_error_edit();
    if (status != YOKE_INVALID) return status;
    char message[sizeof record->message];
    memcpy(message, record->message, sizeof message);
    return fail(rows, "%s", message);
}

static yoke_status put_text(yki_rows *rows, const json_t *text, bool counted)
{
    const int32_t *ids;
    int64_t count;
    YKI_TRY(placed(rows, yki_encoder_encode(rows->encoder, json_string_value(text), json_string_length(text),
                                            NULL, 0, NULL, &ids, &count)));
    return put(rows, ids, count, counted);
}

static yoke_status put_begin(yki_rows *rows, bool counted)
{
    int64_t count;
    const int32_t *ids = yoke_tokenizer_begin(rows->tokenizer, &count);
    return put(rows, ids, ids ? count : 0, counted);
}

static yoke_status put_eos(yki_rows *rows)
{
    if (rows->eos < 0)
        return yki_fail_at(
            YOKE_INVALID, rows->path, rows->line, "eos_token_id",
            "no token is known that ends a text: neither generation_config.json nor config.json "
            "has an eos_token_id, and the tokenizer has no <|endoftext|> or </s>");
    return put(rows, &rows->eos, 1, true);
}

/* ---- kinds ---- */

static yoke_status need_text(const yki_rows *rows, const json_t *row, const char *key,
                             const json_t **text_out)
{
    *text_out = json_object_get(row, key);
    if (json_is_string(*text_out)) return YOKE_OK;
    return fail(rows, "has a %s that is no text: it must be in quotes", key);
}

static yoke_status read_text(yki_rows *rows, const json_t *row)
{
    const json_t *text;
    YKI_TRY(need_text(rows, row, "text", &text));
    YKI_TRY(put_begin(rows, true));
    YKI_TRY(put_text(rows, text, true));
    return put_eos(rows);
}

static yoke_status read_pair(yki_rows *rows, const json_t *row)
{
    const json_t *prompt, *completion;
    YKI_TRY(need_text(rows, row, "prompt", &prompt));
    YKI_TRY(need_text(rows, row, "completion", &completion));
    YKI_TRY(put_begin(rows, false));
    YKI_TRY(put_text(rows, prompt, false));
    YKI_TRY(put_text(rows, completion, true));
    return put_eos(rows);
}

static yoke_status reserve_turns(yki_rows *rows, size_t count)
{
    if (rows->turns_room >= count) return YOKE_OK;
    yki_turn *turns = realloc(rows->turns, sizeof *turns * count);
    if (turns) rows->turns = turns;
    size_t *spans = realloc(rows->spans, sizeof *spans * 2 * count);
    if (spans) rows->spans = spans;
    size_t *marks = realloc(rows->marks, sizeof *marks * 2 * count);
    if (marks) rows->marks = marks;
    int64_t *before = realloc(rows->before, sizeof *before * 2 * count);
    if (before) rows->before = before;
    if (!turns || !spans || !marks || !before) return yki_fail_memory("a row's messages");
    rows->turns_room = count;
    return YOKE_OK;
}

static yoke_status read_turn(const yki_rows *rows, const json_t *message, size_t number, yki_turn *turn_out)
{
    /* what a template would write, and those that are known do not */
    static const char *const others[] = {"tool_calls", "function_call", "tool_call_id"};
    const json_t *role = json_object_get(message, "role"), *content = json_object_get(message, "content");
    char quoted[YKI_QUOTE_BYTES];
    int known = 0;
    if (!json_is_object(message) || !json_is_string(role))
        return fail(rows, "message %zu (counted from 1) is no object with a role", number);
    while (yki_speakers[known] && strcmp(yki_speakers[known], json_string_value(role)) != 0) known++;
    if (!yki_speakers[known])
        return fail(rows, "message %zu has role %s; there are system, user and assistant", number,
                    yki_quote(quoted, json_string_value(role)));
    if (!json_is_string(content))
        return fail(rows, "message %zu has a content that is no text: it must be in quotes", number);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const json_t *other = json_object_get(message, others[i]);
        if (other && !json_is_null(other) && !(json_is_array(other) && json_array_size(other) == 0))
            return fail(rows, "message %zu has %s, which the templates have no words for", number, others[i]);
    }
    *turn_out = (yki_turn){(yki_speaker)known, json_string_value(content), json_string_length(content)};
    return YOKE_OK;
}

/* The text of the turns, and its tokens, of which the assistant's are counted. */
static yoke_status put_turns(yki_rows *rows, size_t count)
{
    size_t nmarks = 0;
    const int32_t *ids;
    int64_t nids;
    rows->text.length = 0;
    yki_chat_render(rows->chat, rows->turns, count, false, &rows->text, rows->spans);
    if (rows->text.failed) return yki_fail_memory("the text of messages");
    for (size_t i = 0; i < count; i++) {
        if (rows->turns[i].role != YKI_ASSISTANT) continue;
        rows->marks[nmarks++] = rows->spans[2 * i];
        rows->marks[nmarks++] = rows->spans[2 * i + 1] - 1; /* the last letter's token is one of them */
    }
    YKI_TRY(placed(rows, yki_encoder_encode(rows->encoder, rows->text.data, rows->text.length, rows->marks,
                                            nmarks, rows->before, &ids, &nids)));
    YKI_TRY(put(rows, ids, nids, false));
    for (size_t m = 0; m < nmarks; m += 2)
        for (int64_t i = rows->before[m]; i <= rows->before[m + 1] && i < nids; i++) rows->ids[i] = ids[i];
    return YOKE_OK;
}

static yoke_status read_messages(yki_rows *rows, const json_t *row)
{
    const json_t *messages = json_object_get(row, "messages");
    size_t count = json_array_size(messages);
    if (!json_is_array(messages) || count == 0)
        return fail(rows,
                    "has messages that are no list of messages, like [{\"role\": \"user\", \"content\": "
                    "\"...\"}, ...]");
    YKI_TRY(yki_chat_need(rows->chat));
    YKI_TRY(reserve_turns(rows, count));
    bool assistant = false;
    for (size_t i = 0; i < count; i++) {
        YKI_TRY(read_turn(rows, json_array_get(messages, i), i + 1, &rows->turns[i]));
        assistant |= rows->turns[i].role == YKI_ASSISTANT;
    }
    if (!assistant) return fail(rows, "has no message of the assistant: nothing of it would be learnt");
    return put_turns(rows, count);
}

static const struct {
    const char *keys[2];
    yoke_status (*read)(yki_rows *rows, const json_t *row);
} kinds[YKI_ROW_KINDS] = {
    [YKI_ROW_TEXT] = {{"text", NULL}, read_text},
    [YKI_ROW_PAIR] = {{"prompt", "completion"}, read_pair},
    [YKI_ROW_MESSAGES] = {{"messages", NULL}, read_messages},
};

/* A row that is of none of the kinds. */
static yoke_status fail_kind(const yki_rows *rows, const json_t *row)
{
    static const char *const names[] = {"text", "prompt", "completion", "messages"};
    char quoted[YKI_QUOTE_BYTES];
    const char *has = json_object_get(row, "prompt")       ? "prompt"
                      : json_object_get(row, "completion") ? "completion"
                                                           : NULL;
    if (has)
        return fail(rows, "has a %s and no %s", has, strcmp(has, "prompt") == 0 ? "completion" : "prompt");
    for (void *at = json_object_iter((json_t *)row); at; at = json_object_iter_next((json_t *)row, at)) {
        const char *near = yki_nearest(json_object_iter_key(at), names, 4);
        if (near)
            return fail(rows, "has none of text, prompt and completion, messages; did you mean \"%s\" by %s?",
                        near, yki_quote(quoted, json_object_iter_key(at)));
    }
    return fail(rows, "has none of text, prompt and completion, messages");
}

static yoke_status find_kind(yki_rows *rows, const json_t *row)
{
    int found = -1;
    for (int kind = 0; kind < YKI_ROW_KINDS; kind++) {
        bool is = json_object_get(row, kinds[kind].keys[0]) &&
                  (!kinds[kind].keys[1] || json_object_get(row, kinds[kind].keys[1]));
        if (is && found >= 0)
            return fail(rows, "has %s and %s: a row is one of them", yki_row_kinds[found],
                        yki_row_kinds[kind]);
        if (is) found = kind;
    }
    if (found < 0) return fail_kind(rows, row);
    rows->kind = (yki_row_kind)found;
    return YOKE_OK;
}

/* That something of the row would be learnt, were it whole: the first token is no target. */
static yoke_status check_counted(const yki_rows *rows)
{
    for (int64_t i = 1; i < rows->count; i++)
        if (rows->ids[i] >= 0) return YOKE_OK;
    return fail(rows, "is empty: nothing of it would be learnt");
}

yoke_status yki_rows_read(yki_rows *rows, const char *path, int line, const char *bytes, size_t count)
{
    json_t *row = NULL;
    rows->path = path;
    rows->line = line;
    rows->count = 0;
    yoke_status status = yki_json_parse_line(path, line, bytes, count, &row);
    if (status == YOKE_INVALID && line == 1 && bytes[0] == '[')
        return fail(
            rows,
            "begins a list, and rows of JSON are objects, one a line (jq -c '.[]' makes them of a list)");
    YKI_TRY(status);
    status = find_kind(rows, row);
    if (status == YOKE_OK) status = kinds[rows->kind].read(rows, row);
    if (status == YOKE_OK) status = check_counted(rows);
    json_decref(row);
    return status;
}

yoke_status yki_rows_begin(yki_rows *rows, const yoke_tokenizer *tokenizer, int32_t eos, const yki_chat *chat)
{
    *rows = (yki_rows){.tokenizer = tokenizer, .eos = eos, .chat = chat};
    return yki_encoder_create(tokenizer, &rows->encoder);
}

void yki_rows_release(yki_rows *rows)
{
    yki_encoder_destroy(rows->encoder);
    yki_text_release(&rows->text);
    free(rows->ids);
    free(rows->turns);
    free(rows->spans);
    free(rows->marks);
    free(rows->before);
    *rows = (yki_rows){0};
}
