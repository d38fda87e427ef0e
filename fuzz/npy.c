/* NumPy files: one as samples and as targets both, so that their counts agree; or two. */
#include <stdlib.h>

#include "data/npy_file.h"
#include "fuzz/data.h"
#include "fuzz/input.h"
#include "yoke/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_part parts[2];
    int count = fuzz_split(data, size, parts, 2);
    const char *inputs = fuzz_file(0, parts[0].data, parts[0].size);
    const char *targets = count > 1 ? fuzz_file(1, parts[1].data, parts[1].size) : inputs;
    yki_npy npy;
    if (fuzz_accepted(yki_npy_open(&npy, inputs))) {
        yki_range range;
        fuzz_accepted(yki_npy_scan(&npy, YKI_NPY_FLOAT, &range));
        if (npy.type->integer) fuzz_accepted(yki_npy_scan(&npy, YKI_NPY_CLASS, &range));
        yki_npy_release(&npy);
    }
    yoke_data *opened;
    if (fuzz_accepted(yoke_data_from_npy(&opened, inputs, targets))) fuzz_read_all(opened);
    return 0;
}
