/* tokenizer.json, and text encoded by what was read: the part after the mark, or one that has something of
 * everything.
 * `@256@` in the file stands for the 256 entries that every vocabulary of bytes begins with, so that inputs
 * stay small. What is encoded must decode, whole and in two parts alike, and to the same bytes where the
 * tokenizer says so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "data/tokenizer/tokenizer.h"
#include "fuzz/input.h"
#include "yoke/tokenizer.h"

static void append_alphabet(yki_text *text)
{
    int stranger = 256;
    for (int byte = 0; byte < 256; byte++) {
        int kept = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
        int code = kept ? byte : stranger++;
        const char *escape = byte == '"' || byte == '\\' ? "\\" : "";
        if (code < 0x80)
            yki_text_append(text, "%s\"%s%c\":%d", byte ? "," : "", escape, code, byte);
        else
            yki_text_append(text, "%s\"%c%c\":%d", byte ? "," : "", 0xc0 | code >> 6, 0x80 | (code & 0x3f),
                            byte);
    }
}

static const char *place(fuzz_part part)
{
    yki_text text = {0};
    const uint8_t *alphabet = memmem(part.data, part.size, "@256@", 5);
    if (!alphabet) return fuzz_file(0, part.data, part.size);
    yki_text_append_bytes(&text, (const char *)part.data, (size_t)(alphabet - part.data));
    append_alphabet(&text);
    yki_text_append_bytes(&text, (const char *)alphabet + 5, (size_t)(part.data + part.size - alphabet) - 5);
    fuzz_require(!text.failed, "there is memory");
    const char *path = fuzz_file(0, text.data, text.length);
    yki_text_release(&text);
    return path;
}

static void encode(const yoke_tokenizer *tokenizer, const char *text, size_t bytes)
{
    int32_t *ids;
    int64_t count;
    char *back;
    size_t length;
    if (!fuzz_accepted(yoke_tokenizer_encode_special(tokenizer, text, bytes, &ids, &count))) return;
    free(ids);
    fuzz_require(yoke_tokenizer_encode(tokenizer, text, bytes, &ids, &count) == YOKE_OK,
                 "and without special tokens");
    fuzz_require(yoke_tokenizer_decode(tokenizer, ids, count, &back, &length) == YOKE_OK,
                 "what was encoded can be decoded");
    fuzz_require(!tokenizer->exact || (length == bytes && (bytes == 0 || memcmp(back, text, bytes) == 0)),
                 "decoding gives the text back");
    char *first, *second;
    size_t nfirst, nsecond;
    fuzz_require(yoke_tokenizer_decode(tokenizer, ids, count / 2, &first, &nfirst) == YOKE_OK &&
                     yoke_tokenizer_decode_after(tokenizer, ids, count / 2, ids + count / 2,
                                                 count - count / 2, &second, &nsecond) == YOKE_OK,
                 "its parts can be decoded");
    if (tokenizer->strip_stop == 0)
        fuzz_require(nfirst + nsecond == length && memcmp(back, first, nfirst) == 0 &&
                         memcmp(back + nfirst, second, nsecond) == 0,
                     "parts join to the whole");
    free(first);
    free(second);
    free(back);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char standard[] =
        "It's a low, lower lowest 1234567 \t\n caf\xc3\xa9 \xe4\xb8\x80\xe4\xba\x8c <s></s>!?\xff\xfe"
        " aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabababababababababab \xf0\x9f\x98\x80";
    fuzz_part parts[2];
    int count = fuzz_split(data, size, parts, 2);
    const char *path = place(parts[0]);
    yoke_tokenizer *tokenizer;
    if (!fuzz_accepted(yoke_tokenizer_create(&tokenizer, path))) return 0;
    encode(tokenizer, standard, sizeof standard - 1);
    if (count > 1) encode(tokenizer, (const char *)parts[1].data, parts[1].size);
    size_t bytes;
    int64_t last = yoke_tokenizer_size(tokenizer) - 1;
    const char *token = yoke_tokenizer_token(tokenizer, (int32_t)last, &bytes);
    fuzz_require(token && token[bytes] == '\0', "the last token is one");
    encode(tokenizer, token, bytes);
    yoke_tokenizer_added(tokenizer, "<s>");
    for (int i = 0; i < 2; i++) {
        const int32_t none[] = {0, i ? (int32_t)last + 1 : -1};
        char *text;
        fuzz_require(yoke_tokenizer_decode(tokenizer, none, 2, &text, NULL) == YOKE_INVALID,
                     "no token outside is decoded");
        fuzz_require(yoke_tokenizer_decode(tokenizer, none, 1, &text, NULL) == YOKE_OK,
                     "the first token is decoded");
        free(text);
    }
    yoke_tokenizer_destroy(tokenizer);
    return 0;
}
