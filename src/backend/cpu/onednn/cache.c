/* See cache.h. A ring of answers behind one lock: hundreds of keys at most, searched in microseconds. */
#include "backend/cpu/onednn/cache.h"

#include <pthread.h>
#include <string.h>

#include "backend/cpu/onednn/api.h"

enum { CACHE_ENTRIES = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static yki_dnnl_key keys[CACHE_ENTRIES];
static yki_dnnl_answer answers[CACHE_ENTRIES];
static int count, oldest;

yki_dnnl_answer yki_dnnl_ask(const yki_dnnl_key *key, yki_dnnl_answer (*ask)(const yki_dnnl_key *key))
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count; i++)
        if (memcmp(&keys[i], key, sizeof *key) == 0) {
            yki_dnnl_answer answer = answers[i];
            pthread_mutex_unlock(&lock);
            return answer;
        }
    int team = yki_dnnl_team((int)key->threads);
    yki_dnnl_answer answer = {0};
    if (yki_dnnl_engine()) answer = ask(key);
    yki_dnnl_team(team);
    int at = count < CACHE_ENTRIES ? count++ : oldest;
    oldest = (at + 1) % CACHE_ENTRIES;
    keys[at] = *key;
    answers[at] = answer;
    pthread_mutex_unlock(&lock);
    return answer;
}
