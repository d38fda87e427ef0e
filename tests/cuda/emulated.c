/* The table of kernels that are compiled for the emulator. */
#include <string.h>

#include "backend/cuda/list.h"
#include "cuda/emulator.h"

#define ENTRY(name, args)                                                                                    \
    extern void yki_gpu_##name(const yki_cuda_##args a);                                                     \
    static void run_##name(const void *a)                                                                    \
    {                                                                                                        \
        yki_gpu_##name(*(const yki_cuda_##args *)a);                                                         \
    }
#define TYPED(name, args) ENTRY(name##_f32, args) ENTRY(name##_bf16, args)
YKI_CUDA_KERNEL_LIST(TYPED, ENTRY)
#undef TYPED

static const yki_emulated table[] = {
#define ROW(name, args)   {"yki_gpu_" #name, run_##name, sizeof(yki_cuda_##args)},
#define TYPED(name, args) ROW(name##_f32, args) ROW(name##_bf16, args)
    YKI_CUDA_KERNEL_LIST(TYPED, ROW)
#undef TYPED
#undef ROW
};

const yki_emulated *yki_emulated_find(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}
