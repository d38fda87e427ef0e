/* GPT-2's byte alphabet, and a hash of bytes. */
#include <string.h>

#include "base/rng.h"
#include "data/tokenizer/tokenizer.h"

enum { STRANGERS = 68, FIRST_STRANGER = 256 };

/* Bytes that have no printable character of their own, in the order in which U+0100 .. U+0143 stand for them.
 */
static int stranger(int index)
{
    if (index <= 0x20) return index;
    if (index <= 0x20 + 34) return 0x7f + index - 0x21;
    return 0xad;
}

static bool printable(unsigned code)
{
    return (code >= 0x21 && code <= 0x7e) || (code >= 0xa1 && code <= 0xff && code != 0xad);
}

long yki_alphabet_bytes(const char *text, char *out)
{
    const unsigned char *at = (const unsigned char *)text;
    long count = 0;
    while (*at) { /* valid UTF-8, as JSON's strings are; the alphabet ends at U+0143: one or two bytes */
        unsigned code = *at;
        int length = 1;
        if (code >= 0x80) {
            if (code > 0xdf) return -1;
            code = (code & 0x1f) << 6 | (at[1] & 0x3f);
            length = 2;
        }
        if (printable(code))
            out[count++] = (char)code;
        else if (code >= FIRST_STRANGER && code < FIRST_STRANGER + STRANGERS)
            out[count++] = (char)stranger((int)code - FIRST_STRANGER);
        else
            return -1;
        at += length;
    }
    return count;
}

int yki_alphabet_letter(int byte, char out[2])
{
    int code = byte;
    for (int i = 0; i < STRANGERS && code == byte; i++)
        if (stranger(i) == byte) code = FIRST_STRANGER + i;
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3f));
    return 2;
}

uint64_t yki_bytes_hash(uint64_t seed, const char *bytes, size_t count)
{
    uint64_t hash = seed + count;
    while (count > 0) {
        uint64_t word = 0;
        size_t take = count < 8 ? count : 8;
        memcpy(&word, bytes, take);
        hash = yki_rng_mix(hash ^ word);
        bytes += take;
        count -= take;
    }
    return hash;
}
