/* CSV files, with one target column and with two. */
#include "fuzz/data.h"
#include "fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const targets[] = {"y", "z"};
    const char *path = fuzz_file(0, data, size);
    for (int count = 1; count <= 2; count++) {
        yoke_data *opened;
        if (fuzz_accepted(yoke_data_from_csv(&opened, path, count, targets))) fuzz_read_all(opened);
    }
    return 0;
}
