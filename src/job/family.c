/* The table of families. A row's name is Hugging Face's model_type; how such a model is built, and how its
 * config.json reads, stand in src/model/from_job.c and src/checkpoint/config.c. */
#include "job/job.h"

/* id, name, the rest of its row */
#define FAMILIES(X)                                                                                          \
    X(LAYERS, "layers", .as_llama = false)                                                                   \
    X(GPT2, "gpt2", .constants = {".attn.bias", ".attn.masked_bias"})                                        \
    X(LLAMA, "llama", AS_LLAMA)                                                                              \
    X(MISTRAL, "mistral", AS_LLAMA)                                                                          \
    X(QWEN2, "qwen2", AS_LLAMA, .qkv_bias = true)                                                            \
    X(QWEN3, "qwen3", AS_LLAMA, .qk_norm = true)
#define AS_LLAMA .as_llama = true, .constants = {".rotary_emb.inv_freq", ".rotary_emb.original_inv_freq"}

#define ROW(id, text, ...)  [YOKE_FAMILY_##id] = {.name = text, __VA_ARGS__},
#define NAME(id, text, ...) text,

const yki_family yki_families[] = {FAMILIES(ROW)};
const char *const yki_family_names[] = {FAMILIES(NAME) NULL};

const char *const yki_family_synonyms[] = {
    "smollm",  "llama", "smollm2", "llama", "tinyllama", "llama", "llama2", "llama", "llama3", "llama",
    "llama31", "llama", "llama32", "llama", "llama33",   "llama", "qwen25", "qwen2", NULL};
