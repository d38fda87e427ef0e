/* Messages as text, and the files that say which template they take. */
#include "data/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "data/chat_template.h"

const char *const yki_speakers[YKI_SPEAKERS + 1] = {"system", "user", "assistant", NULL};

static const struct {
    const char *bos; /* of a text; "" none */
    const char *before, *behind, *end, *next;
    bool trims;
} kinds[] = {
    [YOKE_CHAT_CHATML] = {"", "<|im_start|>", "\n", "<|im_end|>", "\n", false},
    [YOKE_CHAT_LLAMA3] = {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>",
                          "", true},
};

/* ---- text ---- */

/* Bytes of the white space, as Python's str.strip has it, that bytes[0..count) begin with; 0: none. */
static size_t space(const char *bytes, size_t count)
{
    static const char *const wide[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
                                       "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
    unsigned char c = (unsigned char)bytes[0];
    if (c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f)) return 1;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        size_t length = strlen(wide[i]);
        if (count >= length && memcmp(bytes, wide[i], length) == 0) return length;
    }
    bool en_to_hair = count >= 3 && memcmp(bytes, "\xe2\x80", 2) == 0 && (unsigned char)bytes[2] >= 0x80 &&
                      (unsigned char)bytes[2] <= 0x8a;
    return en_to_hair ? 3 : 0;
}

static yki_turn trimmed(yki_turn turn)
{
    for (size_t length; turn.bytes > 0 && (length = space(turn.content, turn.bytes)) > 0;) {
        turn.content += length;
        turn.bytes -= length;
    }
    for (bool more = true; more && turn.bytes > 0;) {
        size_t at = turn.bytes - 1; /* of the last character */
        while (at > 0 && ((unsigned char)turn.content[at] & 0xc0) == 0x80) at--;
        more = space(turn.content + at, turn.bytes - at) == turn.bytes - at;
        if (more) turn.bytes = at;
    }
    return turn;
}

void yki_chat_render(const yki_chat *chat, const yki_turn *turns, size_t count, bool prompt, yki_text *out,
                     size_t *spans)
{
    const char *bos = kinds[chat->kind].bos;
    if (bos[0]) yki_text_append(out, "%s", chat->bos[0] ? chat->bos : bos);
    for (size_t i = 0; i < count + prompt; i++) {
        yki_turn turn = i < count ? turns[i] : (yki_turn){.role = YKI_ASSISTANT, .content = ""};
        if (kinds[chat->kind].trims) turn = trimmed(turn);
        yki_text_append(out, "%s%s%s", kinds[chat->kind].before, yki_speakers[turn.role],
                        kinds[chat->kind].behind);
        if (i == count) return;
        if (spans) spans[2 * i] = out->length;
        yki_text_append_bytes(out, turn.content, turn.bytes);
        yki_text_append(out, "%s", kinds[chat->kind].end);
        if (spans) spans[2 * i + 1] = out->length;
        yki_text_append(out, "%s", kinds[chat->kind].next);
    }
}

const char *yki_chat_end(const yki_chat *chat)
{
    return kinds[chat->kind].end;
}

/* ---- the template of a folder ---- */

/* What the template says in tokenizer_config.json: a text, or a list of such with names. NULL: nothing. */
static const char *template_of(const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template");
    const char *only = json_string_value(value);
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && strcmp(name, "default") == 0) only = json_string_value(json_object_get(item, "template"));
    }
    return only;
}

/* A token there is a text, or an object with its content. */
static void take_bos(const json_t *config, yki_chat *chat)
{
    const json_t *value = json_object_get(config, "bos_token");
    if (json_is_object(value)) value = json_object_get(value, "content");
    const char *text = json_string_value(value);
    if (text && strlen(text) < sizeof chat->bos) memcpy(chat->bos, text, strlen(text) + 1);
}

static yoke_status read_config(const char *folder, yki_chat *chat)
{
    char path[sizeof chat->file];
    json_t *config = NULL;
    YKI_TRY(yki_path_join(path, sizeof path, folder, "tokenizer_config.json"));
    if (!yki_path_exists(path)) return YOKE_OK;
    YKI_TRY(yki_json_load(path, &config));
    const char *template = template_of(config);
    take_bos(config, chat);
    if (template) {
        memcpy(chat->file, path, sizeof path);
        chat->kind = yki_chat_template_kind(template);
    }
    json_decref(config);
    return YOKE_OK;
}

static yoke_status read_template(const char *folder, yki_chat *chat)
{
    enum { MOST_BYTES = 1 << 20 };
    char path[sizeof chat->file], *text = NULL;
    size_t count;
    YKI_TRY(yki_path_join(path, sizeof path, folder, "chat_template.jinja"));
    if (!yki_path_exists(path)) return YOKE_OK;
    YKI_TRY(yki_disk_read(path, MOST_BYTES, &text, &count));
    memcpy(chat->file, path, sizeof path);
    chat->kind = strlen(text) == count ? yki_chat_template_kind(text) : YOKE_CHAT_AUTO;
    free(text);
    return YOKE_OK;
}

yoke_status yki_chat_find(const char *folder, yoke_chat wanted, yki_chat *chat_out)
{
    *chat_out = (yki_chat){.kind = YOKE_CHAT_AUTO};
    if (folder && folder[0]) {
        YKI_TRY(read_config(folder, chat_out));
        YKI_TRY(read_template(folder, chat_out)); /* where both are, as transformers */
    }
    if (wanted != YOKE_CHAT_AUTO) chat_out->kind = wanted;
    return YOKE_OK;
}

yoke_status yki_chat_need(const yki_chat *chat)
{
    if (chat->kind != YOKE_CHAT_AUTO) return YOKE_OK;
    if (chat->file[0])
        return yki_fail_at(YOKE_INVALID, chat->file, 0, "chat_template",
                           "is a template that is neither chatml nor llama3; data.chat: chatml or llama3 "
                           "takes one of these instead");
    return yki_fail_at(YOKE_INVALID, "", 0, "data.chat",
                       "is missing: messages become text by chatml or llama3, and no chat template lies "
                       "beside the tokenizer");
}
