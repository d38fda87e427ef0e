/* Kept lists: chains by hash, under one lock. There are few of them: one for each different list that was
 * read from a file or a command line. */
#include "base/kept.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

typedef struct kept {
    struct kept *next;
    uint64_t hash;
    size_t bytes;
    _Alignas(max_align_t) char list[];
} kept;

enum { CHAINS = 256 };
static kept *chains[CHAINS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static kept *find(uint64_t hash, const void *list, size_t bytes)
{
    kept *k = chains[hash % CHAINS];
    while (k && (k->hash != hash || k->bytes != bytes || memcmp(k->list, list, bytes) != 0)) k = k->next;
    return k;
}

const void *yki_keep(const void *list, size_t bytes)
{
    uint64_t hash = XXH3_64bits(list, bytes);
    pthread_mutex_lock(&lock);
    kept *k = find(hash, list, bytes);
    if (!k && (k = malloc(sizeof *k + bytes))) {
        *k = (kept){.next = chains[hash % CHAINS], .hash = hash, .bytes = bytes};
        memcpy(k->list, list, bytes);
        chains[hash % CHAINS] = k;
    }
    pthread_mutex_unlock(&lock);
    return k ? k->list : NULL;
}
