/* Byte-pair merging: of all neighbours that may merge, those of the lowest rank first, the leftmost of
 * equals, until none may. Short words by repeated search, long ones by a heap over a linked list; both give
 * the same, for the bytes of a merge's result only ever grow: a heap's entry whose two tokens are no longer
 * the ones it was made for is seen by its pair. Method: Sennrich et al. 2016, arXiv:1508.07909. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/rng.h"
#include "data/tokenizer/tokenizer.h"

enum { SHORT_WORD = 32, NO_RANK = INT32_MAX };

static inline uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static inline size_t slot_of(const yki_merges *merges, uint64_t pair)
{
    return (size_t)yki_rng_mix(pair ^ merges->seed) & merges->mask;
}

yoke_status yki_merges_init(yki_merges *merges, size_t count, uint64_t seed)
{
    size_t capacity = 16;
    while (capacity < 2 * count) capacity *= 2;
    merges->slots = malloc(sizeof *merges->slots * capacity);
    if (!merges->slots) return yki_fail_memory("a tokenizer's merges");
    memset(merges->slots, 0xff, sizeof *merges->slots * capacity);
    merges->mask = capacity - 1;
    merges->seed = seed;
    return YOKE_OK;
}

bool yki_merges_put(yki_merges *merges, int32_t left, int32_t right, int32_t rank, int32_t id)
{
    uint64_t pair = pair_of(left, right);
    size_t i = slot_of(merges, pair);
    for (; merges->slots[i].pair != UINT64_MAX; i = (i + 1) & merges->mask)
        if (merges->slots[i].pair == pair) return false;
    merges->slots[i] = (yki_merge){pair, rank, id};
    return true;
}

const yki_merge *yki_merges_get(const yki_merges *merges, int32_t left, int32_t right)
{
    uint64_t pair = pair_of(left, right);
    for (size_t i = slot_of(merges, pair); merges->slots[i].pair != UINT64_MAX; i = (i + 1) & merges->mask)
        if (merges->slots[i].pair == pair) return &merges->slots[i];
    return NULL;
}

static inline int32_t rank_of(const yki_merges *merges, int32_t left, int32_t right)
{
    const yki_merge *merge = yki_merges_get(merges, left, right);
    return merge ? merge->rank : NO_RANK;
}

static size_t merge_short(const yki_merges *merges, int32_t *ids, size_t count)
{
    int32_t ranks[SHORT_WORD]; /* of the pair (i, i + 1) */
    for (size_t i = 0; i + 1 < count; i++) ranks[i] = rank_of(merges, ids[i], ids[i + 1]);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == NO_RANK) break;
        ids[best] = yki_merges_get(merges, ids[best], ids[best + 1])->id;
        count--;
        for (size_t i = best + 1; i < count; i++) ids[i] = ids[i + 1];
        for (size_t i = best + 1; i + 1 < count; i++) ranks[i] = ranks[i + 1];
        if (best + 1 < count) ranks[best] = rank_of(merges, ids[best], ids[best + 1]);
        if (best > 0) ranks[best - 1] = rank_of(merges, ids[best - 1], ids[best]);
    }
    return count;
}

/* ---- long words ---- */

typedef struct entry {
    uint64_t order, pair; /* order: rank << 32 | place, so that the least comes first */
    int32_t id;
} entry;

/* A heap of entries, and the word as a list: the ids' array with the next and previous place of each. */
typedef struct list {
    const yki_merges *merges;
    entry *heap;
    size_t nheap;
    int32_t *ids;
    uint32_t *next, *previous; /* count: none */
    uint32_t count;
} list;

static void push(list *l, uint32_t place)
{
    uint32_t right = l->next[place];
    const yki_merge *merge = yki_merges_get(l->merges, l->ids[place], l->ids[right]);
    if (!merge) return;
    entry new = {(uint64_t)(uint32_t)merge->rank << 32 | place, merge->pair, merge->id};
    size_t at = l->nheap++;
    for (; at > 0 && l->heap[(at - 1) / 2].order > new.order; at = (at - 1) / 2)
        l->heap[at] = l->heap[(at - 1) / 2];
    l->heap[at] = new;
}

static entry pop(list *l)
{
    entry top = l->heap[0], last = l->heap[--l->nheap];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < l->nheap; at = child) {
        if (child + 1 < l->nheap && l->heap[child + 1].order < l->heap[child].order) child++;
        if (l->heap[child].order >= last.order) break;
        l->heap[at] = l->heap[child];
    }
    l->heap[at] = last;
    return top;
}

/* Every merge pushes at most two pairs: count - 1 at first, and twice as many later. */
size_t yki_merge_scratch(size_t count)
{
    return count <= SHORT_WORD ? 0 : count * (3 * sizeof(entry) + 2 * sizeof(uint32_t));
}

static size_t merge_long(const yki_merges *merges, int32_t *ids, uint32_t count, void *scratch)
{
    list l = {.merges = merges, .heap = scratch, .ids = ids, .count = count};
    l.next = (uint32_t *)(void *)(l.heap + 3 * (size_t)count);
    l.previous = l.next + count;
    for (uint32_t i = 0; i < count; i++) {
        l.next[i] = i + 1;
        l.previous[i] = i > 0 ? i - 1 : count;
    }
    for (uint32_t i = 0; i + 1 < count; i++) push(&l, i);
    while (l.nheap > 0) {
        entry top = pop(&l);
        uint32_t place = (uint32_t)top.order, right = l.next[place];
        if (ids[place] < 0 || right == count || pair_of(ids[place], ids[right]) != top.pair) continue;
        ids[place] = top.id;
        ids[right] = -1;
        l.next[place] = l.next[right];
        if (l.next[place] < count) {
            l.previous[l.next[place]] = place;
            push(&l, place);
        }
        if (l.previous[place] < count) push(&l, l.previous[place]);
    }
    size_t left = 0;
    for (uint32_t i = 0; i < count; i = l.next[i]) ids[left++] = ids[i];
    return left;
}

size_t yki_merge_word(const yki_merges *merges, int32_t *ids, size_t count, void *scratch)
{
    return count <= SHORT_WORD ? merge_short(merges, ids, count)
                               : merge_long(merges, ids, (uint32_t)count, scratch);
}
