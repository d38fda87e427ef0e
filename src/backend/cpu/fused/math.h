/* Functions on vectors of floats. The polynomials were fitted for this file (weighted minimax by Lawson's
 * iteration against 40-digit values); errors are of the whole function in f32, and the tests hold them. */
#ifndef YKI_BACKEND_CPU_FUSED_MATH_H
#define YKI_BACKEND_CPU_FUSED_MATH_H

#include "backend/cpu/fused/simd.h"

/* Cody and Waite's reduction: x = n ln2 + r, |r| <= ln2 / 2. n is an integer as a float, and in the low bits
 * of n_biased, which is n + 1.5 * 2^23. |x| < 2^21. */
#define EXP_SHIFT 12582912.0f
INLINE vf exp_reduce(vf x, vf *n_out, vf *n_biased_out)
{
    vf biased = x * 1.44269504088896341f + EXP_SHIFT, n = biased - EXP_SHIFT;
    *n_out = n;
    *n_biased_out = biased;
    return (x - n * 0.693359375f) + n * 2.12194440054690583e-4f;
}

/* (e^r - 1 - r) / r^2 for |r| <= ln2 / 2. */
INLINE vf exp_tail(vf r)
{
    return (((0.0013882492203265429f * r + 0.00836664717644453f) * r + 0.04166720435023308f) * r +
            0.16666541993618011f) *
               r +
           0.4999999701976776f;
}

/* e^x, relative error below 2 ulp; 0 below -86.6, infinity above 88.8, NaN of NaN. */
INLINE vf v_exp(vf x)
{
    vf n, biased, small = v_set(-86.6f);
    vf bounded = v_min(v_set(88.8f), v_max(small, x));
    vf r = exp_reduce(bounded, &n, &biased);
    vf p = exp_tail(r) * (r * r) + r + 1.0f;
#if defined(__AVX512F__)
    vf e = (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    /* 2^(n-1) twice: 2^128 is no float, but e^88.7 is. */
    vf scale = v_from_bits((v_bits(biased) << 23) + (126 << 23));
    vf e = p * scale * 2.0f;
#endif
    return v_if_less(x, small, v_set(0.0f), e);
}

/* e^x - 1 for 0 <= x < 60, accurate near 0. */
INLINE vf v_expm1_positive(vf x)
{
    vf n, biased;
    vf r = exp_reduce(x, &n, &biased);
    vf p = exp_tail(r) * (r * r) + r, power = v_from_bits((v_bits(biased) << 23) + (127 << 23));
    return p * power + (power - 1.0f);
}

/* Hyperbolic tangent, relative error below 4 ulp: t / (t + 2) with t = e^(2|x|) - 1. */
INLINE vf v_tanh(vf x)
{
    vf t = v_expm1_positive(v_min(v_set(20.0f), v_abs(x + x)));
    return v_copy_sign(t / (t + 2.0f), x);
}

/* 1 / (1 + e^-x). */
INLINE vf v_sigmoid(vf x)
{
    return 1.0f / (1.0f + v_exp(-x));
}

/* The normal distribution: returns Phi(-|x|), relative error below 2e-7 (1 + x^2), and e^(-x^2/2).
 * Phi(-a) e^(a^2/2) is smooth in t = 1 / (1 + a/4), where a polynomial meets it. */
INLINE vf v_normal_tail(vf x, vf *density_out)
{
    vf t = 1.0f / (1.0f + 0.25f * v_abs(x)), density = v_exp(-0.5f * (x * x));
    vf p = 0.026295935735106468f * t - 0.1556387096643448f;
    p = p * t + 0.30208075046539307f;
    p = p * t - 0.2127532809972763f;
    p = p * t + 0.2067001760005951f;
    p = p * t + 0.030757520347833633f;
    p = p * t + 0.1043221727013588f;
    p = p * t + 0.0984327495098114f;
    p = p * t + 0.0998026579618454f;
    *density_out = density;
    return p * t * density;
}

/* Phi(x). */
INLINE vf v_normal(vf x, vf *density_out)
{
    vf tail = v_normal_tail(x, density_out);
    return v_if_less(x, v_set(0.0f), tail, 1.0f - tail);
}

#endif
