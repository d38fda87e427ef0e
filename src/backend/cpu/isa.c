/* The instruction sets of this CPU, found once. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static yki_isa best, chosen;

static const char *const names[YKI_ISA_COUNT] = {"base", "avx2", "avx512"};

static void find(void)
{
    best = YKI_ISA_BASE;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2"))
        best = YKI_ISA_AVX2;
    if (best == YKI_ISA_AVX2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512cd"))
        best = YKI_ISA_AVX512;
#endif
    chosen = best;
    const char *wish = getenv("YOKE_ISA");
    for (int i = 0; wish != NULL && i < (int)best; i++)
        if (strcmp(wish, names[i]) == 0) chosen = (yki_isa)i;
}

yki_isa yki_isa_get(void)
{
    pthread_once(&once, find);
    return chosen;
}

yki_isa yki_isa_native(void)
{
    pthread_once(&once, find);
    return best;
}

const char *yki_isa_name(yki_isa isa)
{
    return (unsigned)isa < YKI_ISA_COUNT ? names[isa] : "unknown";
}
