/* Shares of a cut dim. */
#include "graph/ops.h"

bool yki_spec_equal(yki_spec a, yki_spec b)
{
    if (a.state != b.state || a.divided != b.divided) return false;
    return a.state != YKI_SHARDED || (a.dim == b.dim && a.sections == b.sections && a.unit == b.unit &&
                                      yki_spec_copies(a) == yki_spec_copies(b));
}

int64_t yki_spec_share(yki_spec spec, int64_t size, int k, int i)
{
    if (spec.state != YKI_SHARDED) return size;
    int copies = yki_spec_copies(spec);
    return yki_share(size / spec.sections / spec.unit, k / copies, i / copies) * spec.unit * spec.sections;
}

int64_t yki_spec_start(yki_spec spec, int64_t size, int k, int i)
{
    if (spec.state != YKI_SHARDED) return 0;
    int copies = yki_spec_copies(spec);
    return yki_share_start(size / spec.sections / spec.unit, k / copies, i / copies) * spec.unit;
}
