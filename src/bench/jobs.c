#include "bench/jobs.h"

#include <stddef.h>

#define RANDOM             "data: {format: random, samples: 256}\n"
#define TRAIN(batch, more) "train: {steps: 1, batch: " #batch ", loss: cross_entropy, " more "}\n"
#define ADAMW              "optimizer: {name: adamw, lr: 1e-3}, clip: 1.0"
#define GPT(family, layers, heads, width, tokens, batch)                                                     \
    "model: {family: " family ", layers: " #layers ", heads: " #heads ", width: " #width                     \
    ", context: " #tokens ", vocab: 256}\n" RANDOM                                                           \
    TRAIN(batch, "sequence: " #tokens ", " ADAMW)
#define LAYERS(input, layers) "model: {family: layers, input: " input ", layers: [" layers "]}\n" RANDOM
#define LINEAR(out)           "{type: linear, out: " #out "}, "
#define CONV(out)             "{type: conv2d, out: " #out ", kernel: 3, padding: 1}, "
#define RELU                  "{type: relu}, "
#define POOL                  "{type: maxpool2d, kernel: 2}, "
#define FLAT                  "{type: flatten}, "
#define SEQUENCES             (YKI_BENCH_TP | YKI_BENCH_CP)

const yki_bench_sample yki_bench_samples[] = {
    {GPT("gpt2", 2, 4, 128, 128, 8), SEQUENCES | YKI_BENCH_QUICK},
    {GPT("gpt2", 1, 8, 256, 64, 16), SEQUENCES | YKI_BENCH_QUICK},
    {GPT("gpt2", 2, 4, 64, 64, 8), SEQUENCES},
    {GPT("gpt2", 1, 8, 512, 64, 4), SEQUENCES},
    {GPT("gpt2", 1, 6, 192, 256, 2), SEQUENCES},
    {GPT("llama, hidden: 344", 2, 4, 128, 128, 8), SEQUENCES},
    {GPT("qwen3, hidden: 688", 1, 8, 256, 64, 16), SEQUENCES},
    {LAYERS("[256]", LINEAR(512) RELU LINEAR(512) "{type: gelu}, " LINEAR(10))
         TRAIN(128, "optimizer: {name: sgd, lr: 1e-2, momentum: 0.9}"),
     0},
    {LAYERS("[64]", LINEAR(128) RELU LINEAR(128) RELU LINEAR(10)) TRAIN(64, ADAMW), 0},
    {LAYERS("[3, 32, 32]", CONV(32) RELU POOL CONV(64) RELU POOL FLAT LINEAR(128) RELU LINEAR(10))
         TRAIN(16, "optimizer: {name: sgd, lr: 1e-2, momentum: 0.9}"),
     0},
    {LAYERS("[1, 16, 16]", CONV(16) RELU CONV(16) RELU POOL FLAT LINEAR(10)) TRAIN(32, ADAMW), 0},
    {NULL, 0},
};
