/* bf16: the upper half of an f32. Rounding is to nearest, ties to even; NaNs stay NaNs. */
#ifndef YKI_BASE_BF16_H
#define YKI_BASE_BF16_H

#include <stdint.h>
#include <string.h>

static inline float yki_bf16_to_f32(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Without a branch: loops of it become vectors. */
static inline uint16_t yki_bf16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    uint32_t quiet = bits >> 16 | 0x40u; /* rounding could make a NaN infinite */
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

#endif
