/* Rotary positions: elements i and i + d/2 of a head are a point that position t turns by t times frequency
 * i. Source: Su et al., RoFormer, 2021; the pairs are Hugging Face's (rotate-half), not Meta's neighbours. */
#ifndef YKI_BACKEND_ROPE_H
#define YKI_BACKEND_ROPE_H

#include <math.h>

#include "backend/kernel.h"

/* Radians per position of pair i of d/2: theta^(-2i/d), scaled as attr->scaling says: all alike, or as Llama
 * 3.1's are. */
static inline double yki_rope_frequency(const yki_attr *attr, int64_t i, int64_t d)
{
    double frequency = pow(attr->theta, -2.0 * (double)i / (double)d);
    const yoke_rope_scaling *s = &attr->scaling;
    if (s->factor == 0) return frequency;
    if (s->context == 0) return frequency / s->factor;
    double turns = s->context * frequency / (2 * 3.14159265358979323846); /* within the first context */
    if (turns < s->low) return frequency / s->factor;
    if (turns > s->high) return frequency;
    double share = (turns - s->low) / (s->high - s->low);
    return (1 - share) * frequency / s->factor + share * frequency;
}

#endif
