/* Updates of weights, as in backend/cpu/reference/optimizers.c; rest is 1 - beta, made in double by the host.
 */
#include "backend/cuda/kernels/device.cuh"

/* Calls f(g, w, m, v) for elements whose operands are there, and stores what it makes of the last three. */
template <typename F> static __device__ inline void update(const yki_cuda_update &a, F f)
{
    half16 *w16 = (half16 *)a.w16;
    for_all(a.n, head_of(a.g, a.w, a.m, a.v, w16), [&](int64_t i, auto lot) {
        float g[lot.n], w[lot.n], m[lot.n] = {}, v[lot.n] = {};
        fetch(a.g, i, g), fetch(a.w, i, w);
        if (a.m) fetch(a.m, i, m);
        if (a.v) fetch(a.v, i, v);
        for (int k = 0; k < lot.n; k++) f(g[k] * a.scale, w[k], m[k], v[k]);
        give(a.w, i, w);
        if (a.m) give(a.m, i, m);
        if (a.v) give(a.v, i, v);
        if (w16) give(w16, i, w);
    });
}

PLAIN_KERNEL(adam, update)
{
    update(a, [&](float g, float &w, float &m, float &v) {
        if (a.decoupled)
            w -= a.lr * a.decay * w;
        else
            g += a.decay * w;
        m = a.beta1 * m + a.rest1 * g;
        v = a.beta2 * v + a.rest2 * g * g;
        w -= a.rate * m / (sqrtf(v) / a.root2 + a.eps);
    });
}

PLAIN_KERNEL(sgd, update)
{
    update(a, [&](float g, float &w, float &m, float &) {
        g += a.decay * w;
        m = a.momentum * m + g;
        w -= a.lr * (!a.m ? g : a.nesterov ? g + a.momentum * m : m);
    });
}

PLAIN_KERNEL(lion, update)
{
    update(a, [&](float g, float &w, float &m, float &) {
        float c = a.beta1 * m + a.rest1 * g, sign = (float)((c > 0) - (c < 0));
        w -= a.lr * (sign + a.decay * w);
        m = a.beta2 * m + a.rest2 * g;
    });
}

PLAIN_KERNEL(momentum, update) /* u in w */
{
    update(a, [&](float g, float &w, float &m, float &) {
        m = a.momentum * m + a.rest1 * g;
        w = a.nesterov ? a.momentum * m + a.rest1 * g : m;
    });
}
