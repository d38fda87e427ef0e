/* Token files: llm.c's and nanoGPT's, under several lengths of a sample and sizes of a vocabulary. */
#include "fuzz/data.h"
#include "fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        int64_t sequence, vocab;
    } readers[] = {{1, 256}, {3, 50257}, {7, 128256}, {2, INT32_MAX}};
    const char *path = fuzz_file(0, data, size);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        yoke_data *opened;
        if (fuzz_accepted(yoke_data_from_tokens(&opened, path, readers[i].sequence, readers[i].vocab)))
            fuzz_read_all(opened);
    }
    return 0;
}
