/* Parts of work and their team. */
#include "backend/cpu/fused/split.h"

#ifdef YOKE_HAVE_OPENMP
#include <omp.h>
#endif

/* Waking a thread takes a few microseconds, in which one core moves about this much. */
enum { PART_BYTES_LEAST = 64 << 10 };

static int64_t part_border(int64_t units, int parts, int part)
{
    return units / parts * part + units % parts * part / parts;
}

int yki_split(const yki_launch *launch, void *context, int threads, int64_t items, int64_t unit,
              int64_t item_bytes, yki_part body)
{
    if (items <= 0) return 0;
    int64_t units = (items + unit - 1) / unit, worth = items * item_bytes / PART_BYTES_LEAST;
    int64_t most = threads < YKI_PARTS_MAX ? threads : YKI_PARTS_MAX;
    if (most > units) most = units;
    if (most > worth) most = worth;
    int parts = most < 1 ? 1 : (int)most;
    if (parts == 1) {
        body(launch, context, 0, items, 0);
        return 1;
    }
#ifdef YOKE_HAVE_OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(parts)
#endif
    for (int part = 0; part < parts; part++) {
        int64_t begin = part_border(units, parts, part) * unit,
                end = part_border(units, parts, part + 1) * unit;
        if (end > items) end = items;
        if (begin < end) body(launch, context, begin, end, part);
    }
    return parts;
}

double yki_split_sum(const yki_launch *launch, int threads, int64_t items, int64_t unit, int64_t item_bytes,
                     yki_part body)
{
    double sums[YKI_PARTS_MAX] = {0}, sum = 0;
    int parts = yki_split(launch, sums, threads, items, unit, item_bytes, body);
    for (int part = 0; part < parts; part++) sum += sums[part];
    return sum;
}
