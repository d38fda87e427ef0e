/* oneDNN's places in the table; nothing where it is not built in. */
#include "backend/cpu/onednn/onednn.h"

#include <string.h>

void yki_onednn_spoil(const yki_view *out)
{
    memset(out->data, 0xff, (size_t)yki_view_elems(out) * yki_dtype_bytes(out->dtype));
}

void yki_cpu_register_onednn(yki_cpu_table *table)
{
#ifdef YOKE_HAVE_ONEDNN
    yki_onednn_register_linear(table);
    yki_onednn_register_conv(table);
#else
    (void)table;
#endif
}
