/* adapter_config.json of adapters. What reads: it reads again with itself as the job's wishes, prints, and
 * reads back from the print. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "fuzz/input.h"

static void require_same(const yoke_adapter_spec *a, const yoke_adapter_spec *b, const char *what)
{
    fuzz_require(a->rank == b->rank && a->alpha == b->alpha && a->dropout == b->dropout, what);
    fuzz_require(a->rank_stabilized == b->rank_stabilized && a->targets.count == b->targets.count, what);
    for (int i = 0; i < a->targets.count; i++)
        fuzz_require(strcmp(a->targets.list[i], b->targets.list[i]) == 0, what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *folder = fuzz_folder(YKI_ADAPTER_CONFIG, 0);
    yoke_adapter_spec read = {.dropout = -1}, again;
    fuzz_file(0, data, size);
    fuzz_require(yki_is_adapter(folder), "a folder that has adapters is seen to have them");
    if (!fuzz_accepted(yki_adapter_read(folder, &read))) return 0;
    again = read;
    fuzz_require(yki_adapter_read(folder, &again) == YOKE_OK, "adapters agree with themselves");
    require_same(&read, &again, "adapters read twice are the same");
    fuzz_require(yki_adapter_settle(&read, false) == YOKE_OK, "adapters are complete");
    require_same(&read, &again, "what says everything is complete");
    char *text = yki_adapter_print(&read, false, "base");
    fuzz_require(text != NULL, "adapters print");
    fuzz_file(0, text, strlen(text));
    free(text);
    again = (yoke_adapter_spec){.dropout = -1};
    fuzz_require(yki_adapter_read(folder, &again) == YOKE_OK, "what adapters print reads back");
    require_same(&read, &again, "what adapters print says the same");
    return 0;
}
