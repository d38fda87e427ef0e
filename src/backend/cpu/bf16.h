/* bf16: the upper half of an f32. Rounding is to nearest, ties to even; NaNs stay NaNs. */
#ifndef YKI_BACKEND_CPU_BF16_H
#define YKI_BACKEND_CPU_BF16_H

#include <stdint.h>
#include <string.h>

static inline float yki_bf16_to_f32(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint16_t yki_bf16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)((bits >> 16) | 0x40u); /* rounding could make it infinite */
    return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

#endif
