/* Rows of JSON, under several lengths of a sample and both templates, packed and not; and a chat template,
 * which is the part after the mark. */
#include <string.h>

#include "data/chat.h"
#include "data/chat_template.h"
#include "data/data.h"
#include "fuzz/data.h"
#include "fuzz/input.h"

/* Every byte is a token, and <s>, </s> and a template's words are others. */
static const yoke_tokenizer *tokenizer(void)
{
    static yoke_tokenizer *made;
    static const char head[] = "{\"added_tokens\":[{\"id\":258,\"content\":\"<s>\"},{\"id\":259,\"content\":"
                               "\"</s>\"},{\"id\":260,\"content\":\"<|im_end|>\"},{\"id\":261,\"content\":"
                               "\"<|im_start|>\",\"rstrip\":true}],\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                               "\"add_prefix_space\":false},\"decoder\":{\"type\":\"ByteLevel\"},"
                               "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{"
                               "\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}],"
                               "\"special_tokens\":{\"<s>\":{\"ids\":[258]}}},\"model\":{\"type\":\"BPE\","
                               "\"merges\":[[\"a\",\"b\"],[\"\\u010a\",\"\\u010a\"]],\"vocab\":{";
    if (made) return made;
    yki_text text = {0};
    yki_text_append(&text, "%s", head);
    for (int byte = 0, stranger = 256; byte < 256; byte++) {
        int kept = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
        yki_text_append(&text, "\"\\u%04x\":%d,", kept ? byte : stranger, byte);
        stranger += !kept;
    }
    yki_text_append(&text, "\"ab\":256,\"\\u010a\\u010a\":257}}}");
    fuzz_require(!text.failed, "there is memory");
    yoke_status status = yoke_tokenizer_create(&made, fuzz_file(5, text.data, text.length));
    fuzz_require(status == YOKE_OK, "the tokenizer is one");
    yki_text_release(&text);
    return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        int64_t sequence;
        yoke_chat chat;
        int pack;
        bool skip;
    } readers[] = {{1, YOKE_CHAT_CHATML, -1, true},
                   {7, YOKE_CHAT_LLAMA3, -1, false},
                   {5, YOKE_CHAT_CHATML, 1, false},
                   {64, YOKE_CHAT_CHATML, 0, true},
                   {9, YOKE_CHAT_AUTO, 0, true}};
    fuzz_part parts[2];
    int count = fuzz_split(data, size, parts, 2);
    const yoke_tokenizer *t = tokenizer();
    char jinja[4096];
    if (count > 1 && parts[1].size < sizeof jinja) {
        memcpy(jinja, parts[1].data, parts[1].size);
        jinja[parts[1].size] = '\0';
        yki_chat_template_kind(jinja);
    }
    const char *path = fuzz_file(0, parts[0].data, parts[0].size);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        yki_chat chat = {.kind = readers[i].chat};
        yki_data_spec spec = {.npaths = 1,
                              .paths = &path,
                              .sequence = readers[i].sequence,
                              .tokenizer = t,
                              .eos = 259,
                              .chat = &chat,
                              .pack = readers[i].pack,
                              .skip_long = readers[i].skip};
        yoke_data *opened;
        if (fuzz_accepted(yki_data_from_jsonl(&opened, &spec))) fuzz_read_all(opened);
    }
    return 0;
}
