/* Views, shares of a cut dim, and the work of a launch. */
#include <string.h>

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

yki_view yki_view_of(yki_rank_view form, yki_dtype dtype, bool per_sample, int64_t n, int ndim,
                     const int64_t *dims)
{
    yki_view view = {.dtype = dtype};
    int64_t elems = per_sample ? n : 1;
    for (int i = 0; i < ndim; i++) elems *= dims[i];
    if (form == YKI_VIEW_FLAT) {
        view.ndim = 1;
        view.dims[0] = elems;
    } else if (form == YKI_VIEW_ROWS && (per_sample || ndim > 1)) {
        int64_t last = ndim > 0 ? dims[ndim - 1] : 1, rows = per_sample ? n : 1;
        for (int i = 0; i + 1 < ndim; i++) rows *= dims[i];
        view.ndim = 2;
        view.dims[0] = rows;
        view.dims[1] = last;
    } else {
        if (per_sample) view.dims[view.ndim++] = n;
        for (int i = 0; i < ndim; i++) view.dims[view.ndim++] = dims[i];
    }
    return view;
}

double yki_launch_flops(const yki_launch *launch)
{
    const yki_op_info *info = yki_op((int)launch->kernel);
    if (info->flops) return info->flops(launch);
    double elems = 0;
    for (int i = 0; i < launch->nviews; i++) elems += (double)yki_view_elems(&launch->views[i]);
    return elems;
}

double yki_launch_bytes(const yki_launch *launch)
{
    double bytes = 0;
    for (int i = 0; i < launch->nviews; i++)
        bytes += (double)yki_view_elems(&launch->views[i]) * (double)yki_dtype_bytes(launch->views[i].dtype);
    return bytes;
}
