/* Added tokens are found in the text before it is divided: the leftmost, and of those that begin there the
 * longest, as an Aho-Corasick automaton with leftmost-longest matches finds them. Here a sorted list,
 * narrowed byte by byte: no file can make a place in the text cost more than the length of its longest token.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/tokenizer/tokenizer.h"

typedef struct item {
    const char *content;
    uint32_t length;
    int32_t id;
} item;

static int by_content(const void *a, const void *b)
{
    const item *x = a, *y = b;
    uint32_t shared = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->content, y->content, shared);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

yoke_status yki_added_finish(yki_added *added)
{
    item *items = malloc(sizeof *items * ((size_t)added->count + 1));
    if (!items) return yki_fail_memory("a tokenizer's added tokens");
    for (int i = 0; i < added->count; i++)
        items[i] = (item){added->contents[i], added->lengths[i], added->ids[i]};
    qsort(items, (size_t)added->count, sizeof *items, by_content);
    int at = 0;
    for (int i = 0; i < added->count; i++) {
        added->contents[i] = items[i].content;
        added->lengths[i] = items[i].length;
        added->ids[i] = items[i].id;
        for (; at <= (unsigned char)items[i].content[0]; at++) added->first[at] = i;
    }
    for (; at <= 256; at++) added->first[at] = added->count;
    free(items);
    return YOKE_OK;
}

/* The byte at `depth` of a content; -1 past its end, which sorts before all bytes. */
static inline int byte_at(const yki_added *added, int i, uint32_t depth)
{
    return depth < added->lengths[i] ? (unsigned char)added->contents[i][depth] : -1;
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
        if (added->lengths[low] == depth) found = low++; /* sorted first: it ends here */
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
    free(added->contents);
    free(added->lengths);
    free(added->ids);
}
