/* Runs kernels on the CPU, block after block: threads of a block are fibers, which go on until they meet at a
 * barrier or a shuffle. In what order they run is the caller's choice, and results must not depend on it. One
 * launch at a time. */
#ifndef YKI_TESTS_CUDA_EMULATOR_H
#define YKI_TESTS_CUDA_EMULATOR_H

#include <stddef.h>
#include <stdint.h>

/* A kernel that is compiled in. run: with its struct of arguments. */
typedef struct yki_emulated {
    const char *name;
    void (*run)(const void *args);
    size_t args_bytes;
} yki_emulated;

/* NULL: there is none of that name. */
const yki_emulated *yki_emulated_find(const char *name);

typedef enum yki_emulated_order {
    YKI_EMULATED_FORWARD,
    YKI_EMULATED_BACKWARD,
    YKI_EMULATED_SHUFFLED, /* by `seed`, anew whenever a thread stops */
} yki_emulated_order;

typedef struct yki_emulated_launch {
    const yki_emulated *kernel;
    const void *args;
    unsigned blocks_x, blocks_y, threads;
    yki_emulated_order order;
    uint64_t seed;
} yki_emulated_launch;

/* What was wrong, static until the next launch; NULL: nothing. A shape that no GPU takes, threads that wait
 * for others which never come, too much shared memory. */
const char *yki_emulate(const yki_emulated_launch *launch);

/* --- what kernels call; of emulate.h --- */
void yki_emulated_barrier(void);
void yki_emulated_exchange(void *value, size_t bytes, unsigned lane_bits);
void *yki_emulated_shared(const void *key, size_t bytes);

#endif
