/* A row of JSON to tokens: {text}, {prompt, completion} or {messages}. */
#ifndef YKI_DATA_JSONL_ROW_H
#define YKI_DATA_JSONL_ROW_H

#include <stdint.h>

#include "data/chat.h"
#include "data/tokenizer/tokenizer.h"

typedef enum yki_row_kind { YKI_ROW_TEXT, YKI_ROW_PAIR, YKI_ROW_MESSAGES, YKI_ROW_KINDS } yki_row_kind;
/* What a row of the kind has, for sentences: "text", "prompt and completion", "messages". */
extern const char *const yki_row_kinds[YKI_ROW_KINDS];

/* Rows of many lines, one after the other. */
typedef struct yki_rows {
    const yoke_tokenizer *tokenizer;
    const yki_chat *chat;
    int32_t eos; /* -1: not known */
    yki_encoder *encoder;
    int32_t *ids; /* of the last row; of a token that is not counted as a target, ~id */
    int64_t count, room;
    yki_row_kind kind;
    const char *path; /* of the last row, for sentences */
    int line;
    yki_text text; /* of messages, and their turns: */
    yki_turn *turns;
    size_t *spans, *marks;
    int64_t *before;
    size_t turns_room;
} yki_rows;

/* All are borrowed. Released by yki_rows_release, after a failure too. */
yoke_status yki_rows_begin(yki_rows *rows, const yoke_tokenizer *tokenizer, int32_t eos,
                           const yki_chat *chat);
void yki_rows_release(yki_rows *rows);

/* The row of a line. {text}: the tokenizer's beginning, the text, eos, all counted. {prompt, completion}: the
 * beginning and the prompt, not counted, the completion and eos, counted; the two are encoded apart.
 * {messages}: their text as one, without a beginning and eos; counted are the tokens that hold a character of
 * an assistant's content or of the token that ends it. YOKE_INVALID, with file and line: the line is no such
 * row, or nothing of it is counted. */
yoke_status yki_rows_read(yki_rows *rows, const char *path, int line, const char *bytes, size_t count);

#endif
