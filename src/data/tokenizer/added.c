/* Added tokens are found in the text before it is divided: the leftmost, and of those that begin there the
 * longest, as an Aho-Corasick automaton with leftmost-longest matches finds them. Here a sorted list,
 * narrowed byte by byte: no file can make a place in the text cost more than the length of its longest token.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/tokenizer/tokenizer.h"

static int by_content(const void *a, const void *b)
{
    const yki_added_item *x = a, *y = b;
    uint32_t shared = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->content, y->content, shared);
    if (order == 0) order = (x->length > y->length) - (x->length < y->length);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

yoke_status yki_added_finish(yki_added *added)
{
    yki_added_item *items = added->items;
    if (added->count > 0) qsort(items, (size_t)added->count, sizeof *items, by_content);
    int count = 0, at = 0;
    for (int i = 0; i < added->count; i++) {
        const yki_added_item *last = count > 0 ? &items[count - 1] : NULL;
        if (last && last->length == items[i].length &&
            memcmp(last->content, items[i].content, last->length) == 0)
            free(items[i].content);
        else
            items[count++] = items[i];
    }
    added->count = count;
    for (int i = 0; i < count; i++)
        for (; at <= (unsigned char)items[i].content[0]; at++) added->first[at] = i;
    for (; at <= 256; at++) added->first[at] = count;
    return YOKE_OK;
}

/* The byte at `depth` of a content; -1 past its end, which sorts before all bytes. */
static inline int byte_at(const yki_added *added, int i, uint32_t depth)
{
    return depth < added->items[i].length ? (unsigned char)added->items[i].content[depth] : -1;
}

/* The first of [low, high) whose byte at `depth` is at least `byte`. */
static int lower(const yki_added *added, int low, int high, uint32_t depth, int byte)
{
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (byte_at(added, middle, depth) < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest added token that text[0..count) begins with; -1: none. */
static int longest(const yki_added *added, const unsigned char *text, size_t count)
{
    int low = added->first[text[0]], high = added->first[text[0] + 1], found = -1;
    for (uint32_t depth = 1; low < high; depth++) {
        if (added->items[low].length == depth) found = low++; /* sorted first: it ends here */
        if (depth >= count) break;
        low = lower(added, low, high, depth, text[depth]);
        high = lower(added, low, high, depth, text[depth] + 1);
    }
    return found;
}

size_t yki_added_find(const yki_added *added, const char *text, size_t count, size_t at, int *index_out)
{
    const unsigned char *bytes = (const unsigned char *)text;
    for (; added->count > 0 && at < count; at++) {
        if (added->first[bytes[at]] == added->first[bytes[at] + 1]) continue;
        int found = longest(added, bytes + at, count - at);
        if (found < 0) continue;
        *index_out = found;
        return at;
    }
    return count;
}

void yki_added_release(yki_added *added)
{
    for (int i = 0; i < added->count; i++) free(added->items[i].content);
    free(added->items);
}

/* ---- white space, of Unicode ---- */

/* Bytes of the space that text[0..count) begins with; 0: none. */
static size_t space_at(const char *text, size_t count)
{
    static const char *const wide[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
                                       "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
    if (count == 0) return 0;
    if (*text == ' ' || (*text >= '\t' && *text <= '\r')) return 1;
    if (count >= 3 && memcmp(text, "\xe2\x80", 2) == 0 && (unsigned char)text[2] <= 0x8a)
        return 3; /* U+2000 on */
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        size_t length = strlen(wide[i]);
        if (count >= length && memcmp(text, wide[i], length) == 0) return length;
    }
    return 0;
}

size_t yki_space_after(const char *text, size_t count, size_t at)
{
    for (size_t length; (length = space_at(text + at, count - at)) > 0; at += length) {}
    return at;
}

size_t yki_space_before(const char *text, size_t least, size_t at)
{
    while (at > least) {
        size_t before = at - 1;
        while (before > least && (text[before] & 0xc0) == 0x80) before--;
        if (space_at(text + before, at - before) != at - before) break;
        at = before;
    }
    return at;
}
