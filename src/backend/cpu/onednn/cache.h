/* What oneDNN says of shapes, remembered: whether it takes them and how much scratch memory it wants. A plan
 * asks this of the same few shapes again and again, and each answer costs the library a search. */
#ifndef YKI_BACKEND_CPU_ONEDNN_CACHE_H
#define YKI_BACKEND_CPU_ONEDNN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All that an answer depends on; unused fields 0. */
typedef struct yki_dnnl_key {
    int64_t kernel, dtype, bias, threads; /* bias: 1 + its type, 0 for none */
    int64_t dims[10];
} yki_dnnl_key;

typedef struct yki_dnnl_answer {
    bool takes;
    size_t scratch_bytes;
} yki_dnnl_answer;

/* The remembered answer for `key`, or ask(key)'s, which is then remembered (the oldest of CACHE_ENTRIES is
 * forgotten for it). ask runs with this thread's team set to key->threads. Any thread may call; one asks at a
 * time. */
yki_dnnl_answer yki_dnnl_ask(const yki_dnnl_key *key, yki_dnnl_answer (*ask)(const yki_dnnl_key *key));

#endif
