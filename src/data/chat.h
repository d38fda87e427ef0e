/* Messages as text: the two templates that are known, and which of them a folder's chat template is.
 *
 *   chatml   "<|im_start|>ROLE\nCONTENT<|im_end|>\n" a turn
 *   llama3   bos, then "<|start_header_id|>ROLE<|end_header_id|>\n\nCONTENT<|eot_id|>" a turn, the content
 *            without white space at its ends
 *
 * No turn is added. Deliberately absent: running templates that are neither; tools. */
#ifndef YKI_DATA_CHAT_H
#define YKI_DATA_CHAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "yoke/job.h"

typedef enum yki_speaker { YKI_SYSTEM, YKI_USER, YKI_ASSISTANT, YKI_SPEAKERS } yki_speaker;
extern const char *const yki_speakers[YKI_SPEAKERS + 1];

/* One message; `content` is borrowed, and may hold zero bytes. */
typedef struct yki_turn {
    yki_speaker role;
    const char *content;
    size_t bytes;
} yki_turn;

enum { YKI_CHAT_BOS_BYTES = 128 };

/* How messages become text. Zeroed: nothing is known. */
typedef struct yki_chat {
    yoke_chat kind;               /* YOKE_CHAT_AUTO: the template, if there is one, is neither */
    char file[1300];              /* that has the template; "": there is none */
    char bos[YKI_CHAT_BOS_BYTES]; /* what llama3 begins with; "": <|begin_of_text|> */
} yki_chat;

/* The template of `folder` (NULL or "": there is none): chat_template.jinja, else chat_template of
 * tokenizer_config.json (of several the one called "default"), and the bos_token of that. `wanted`, unless it
 * is YOKE_CHAT_AUTO, is taken instead of the template. YOKE_INVALID: a file that cannot be read. */
yoke_status yki_chat_find(const char *folder, yoke_chat wanted, yki_chat *chat_out);
/* YOKE_INVALID, naming data.chat and the template, unless the kind is known. */
yoke_status yki_chat_need(const yki_chat *chat);

/* Appends the text of `count` turns to `out`. prompt: and the beginning of an assistant's turn, which is then
 * to be written. spans (NULL: not wanted): of turn i, [spans[2i], spans[2i + 1]) in `out` is its content and
 * its end token. The kind is known. Memory that was out shows in out->failed. */
void yki_chat_render(const yki_chat *chat, const yki_turn *turns, size_t count, bool prompt, yki_text *out,
                     size_t *spans);
/* The token that ends a turn, as text. The kind is known. */
const char *yki_chat_end(const yki_chat *chat);

#endif
