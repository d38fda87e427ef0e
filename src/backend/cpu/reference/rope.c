/* Rotary positions. */
#include <math.h>

#include "backend/cpu/reference/reference.h"
#include "backend/rope.h"

static void rope(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *y = &launch->views[1];
    const yki_attr *attr = launch->attr;
    int64_t n = x->dims[0], T = x->dims[1], H = x->dims[2], d = x->dims[3], half = d / 2;
    for (int64_t row = 0; row < n * T * H; row++) {
        int64_t t = row / H % T;
        for (int64_t i = 0; i < half; i++) {
            double angle =
                (double)(attr->offset + yki_position(&attr->rows, t)) * yki_rope_frequency(attr, i, d);
            double c = cos(angle), s = attr->inverse ? -sin(angle) : sin(angle);
            double a = yki_get(x, row * d + i), b = yki_get(x, row * d + half + i);
            yki_set(y, row * d + i, a * c - b * s);
            yki_set(y, row * d + half + i, b * c + a * s);
        }
    }
}

void yki_reference_register_rope(yki_cpu_table *table)
{
    yki_reference_add(table, YKI_KERNEL_ROPE, rope);
}
