/* Functions on vectors of floats. The polynomials were fitted for this file (weighted minimax by Lawson's
 * iteration against 40-digit values); errors are of the whole function in f32, and the tests hold them.
 *
 * `rough`, a constant in every call, is for results that are stored as bf16: relative errors up to 2^-13 for
 * a third of the work, where storing rounds by up to 2^-9. */
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

/* 2^(n + bias - 127) of n_biased, where that is a normal float. */
INLINE vf v_power(vf n_biased, uint32_t bias)
{
    return (vf)(((vu)n_biased << 23) + (bias << 23));
}

/* e^r - 1 for |r| <= ln2 / 2. */
INLINE vf expm1_near_zero(vf r)
{
    vf tail = 0.0013882492203265429f * r + 0.00836664717644453f; /* (e^r - 1 - r) / r^2 */
    tail = tail * r + 0.04166720435023308f;
    tail = tail * r + 0.16666541993618011f;
    tail = tail * r + 0.4999999701976776f;
    return tail * (r * r) + r;
}

/* 2^f for |f| <= 1/2, relative error 2.6e-6. */
INLINE vf exp2_near_zero(vf f)
{
    vf p = 0.009570058435201645f * f + 0.05591818690299988f;
    p = p * f + 0.24024748802185059f;
    p = p * f + 0.6931217908859253f;
    return p * f + 0.9999992847442627f;
}

/* e^x, relative error below 2 ulp, rough below 1.2e-5; 0 below -86.6, infinity above 88.8, NaN of NaN. */
INLINE vf v_exp(vf x, bool rough)
{
    vf n, biased, p, bounded = v_min(v_set(88.8f), x);
    if (rough) {
        vf t = bounded * 1.44269504088896341f;
        biased = t + EXP_SHIFT;
        n = biased - EXP_SHIFT;
        p = exp2_near_zero(t - n);
    } else {
        p = expm1_near_zero(exp_reduce(bounded, &n, &biased)) + 1.0f;
    }
#if defined(__AVX512F__)
    vf e = (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    /* 2^(n-1) twice: 2^128 is no float, but e^88.7 is. */
    vf scale = v_power(biased, 126);
    vf e = p * scale * 2.0f;
#endif
    return v_if_less(x, v_set(-86.6f), v_set(0.0f), e); /* below, what was computed means nothing */
}

/* e^x - 1 for 0 <= x < 60, accurate near 0. */
INLINE vf v_expm1_positive(vf x)
{
    vf n, biased;
    vf p = expm1_near_zero(exp_reduce(x, &n, &biased));
    vf power = v_power(biased, 127);
    return p * power + (power - 1.0f);
}

INLINE vf v_reciprocal(vf x, bool rough)
{
#if defined(__AVX512F__)
    if (rough) return (vf)_mm512_rcp14_ps((__m512)x);
#endif
    (void)rough;
    return 1.0f / x;
}

/* Hyperbolic tangent, relative error below 4 ulp: t / (t + 2) with t = e^(2|x|) - 1. */
INLINE vf v_tanh(vf x, bool rough)
{
    vf t = v_expm1_positive(v_min(v_set(20.0f), v_abs(x + x)));
    return v_copy_sign(t * v_reciprocal(t + 2.0f, rough), x);
}

/* 1 / (1 + e^-x). */
INLINE vf v_sigmoid(vf x, bool rough)
{
    return v_reciprocal(1.0f + v_exp(-x, rough), rough);
}

/* The same with its derivative, both accurate far out: from e^-|x|, so that nothing cancels. */
INLINE vf v_sigmoid_slope(vf x, vf *slope_out, bool rough)
{
    vf e = v_exp(-v_abs(x), rough), upper = v_reciprocal(1.0f + e, rough), lower = e * upper;
    *slope_out = lower * upper;
    return v_if_less(x, v_set(0.0f), lower, upper);
}

/* The normal distribution: returns Phi(-|x|), relative error below 2e-7 (1 + x^2), and e^(-x^2/2).
 * Phi(-a) e^(a^2/2) is smooth in t = 1 / (1 + a/4), where a polynomial meets it. */
INLINE vf v_normal_tail(vf x, vf *density_out, bool rough)
{
    static const float fine_terms[] = {0.0998026579618454f,   0.0984327495098114f,  0.1043221727013588f,
                                       0.030757520347833633f, 0.2067001760005951f,  -0.2127532809972763f,
                                       0.30208075046539307f,  -0.1556387096643448f, 0.026295935735106468f};
    static const float rough_terms[] = {0.10132427513599396f, 0.08071405440568924f, 0.17984458804130554f,
                                        -0.10323559492826462f, 0.2413311004638672f};
    const float *terms = rough ? rough_terms : fine_terms;
    vf t = v_reciprocal(1.0f + 0.25f * v_abs(x), rough), density = v_exp(-0.5f * (x * x), rough);
    int last = rough ? 4 : 8;
    vf p = v_set(terms[last]);
    for (int k = last - 1; k >= 0; k--) p = p * t + terms[k];
    *density_out = density;
    return p * t * density;
}

/* Phi(x). */
INLINE vf v_normal(vf x, vf *density_out, bool rough)
{
    vf tail = v_normal_tail(x, density_out, rough);
    return v_if_less(x, v_set(0.0f), tail, 1.0f - tail);
}

#endif
