/* The instruction sets of this CPU, found once. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/fail.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static yki_isa best, chosen;
static int asked; /* of names; -1: no name, -2: nothing asked for */

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
    const char *wish = getenv("YOKE_ISA");
    asked = wish && wish[0] ? -1 : -2;
    for (int i = 0; asked != -2 && i < YKI_ISA_COUNT; i++)
        if (strcmp(wish, names[i]) == 0) asked = i;
    chosen = asked >= 0 && asked < (int)best ? (yki_isa)asked : best;
}

yki_isa yki_isa_get(void)
{
    pthread_once(&once, find);
    return chosen;
}

yoke_status yki_isa_check(void)
{
    pthread_once(&once, find);
    if (asked == -1)
        return yki_fail(YOKE_INVALID, "YOKE_ISA is '%.40s'; it takes base, avx2 or avx512",
                        getenv("YOKE_ISA"));
    if (asked > (int)best)
        return yki_fail(YOKE_INVALID, "YOKE_ISA is %s, and the best that this CPU has is %s", names[asked],
                        names[best]);
    return YOKE_OK;
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
