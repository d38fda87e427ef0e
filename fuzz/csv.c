/* CSV files, with one target column and with two. What is accepted reads again by the facts that it gives,
 * its inputs alone too, to the same samples. */
#include <stdlib.h>
#include <string.h>

#include "data/facts.h"
#include "fuzz/data.h"
#include "fuzz/input.h"

static void require_same(yoke_data *a, yoke_data *b)
{
    size_t bytes = sizeof(float) * (size_t)a->input_elements;
    float *x = malloc(bytes), *y = malloc(bytes);
    fuzz_require(x && y, "there is memory");
    fuzz_require(a->samples == b->samples && a->input_elements == b->input_elements,
                 "facts find the same rows");
    for (int64_t i = 0; i < a->samples; i++) {
        fuzz_require(yki_data_get_inputs(a, i, x) == YOKE_OK && yki_data_get_inputs(b, i, y) == YOKE_OK,
                     "inputs are read");
        fuzz_require(memcmp(x, y, bytes) == 0, "facts find the same inputs");
    }
    free(x);
    free(y);
}

static void read_by_facts(yoke_data *data, yki_data_spec spec)
{
    yki_facts facts = {.scale = YOKE_SCALE_NONE};
    yki_order order;
    fuzz_require(yki_order_init(&order, data->samples, 0, YOKE_HOLDOUT_END, 1, false, false, 0) == YOKE_OK,
                 "samples have an order");
    for (int scale = YOKE_SCALE_NONE; scale <= YOKE_SCALE_MINMAX; scale++) {
        if (!fuzz_accepted(yki_facts_make(&facts, data, (yoke_scale)scale, &order))) return;
        spec.facts = &facts;
        spec.no_targets = scale == YOKE_SCALE_MINMAX;
        yoke_data *again;
        if (fuzz_accepted(yki_data_from_csv(&again, &spec))) {
            require_same(data, again);
            yoke_data_destroy(again);
        }
    }
    yki_facts_release(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const targets[] = {"y", "z"};
    const char *path = fuzz_file(0, data, size);
    for (int count = 1; count <= 2; count++) {
        yki_data_spec spec = {.npaths = 1, .paths = &path, .ncolumns = count, .columns = targets};
        yoke_data *opened;
        if (!fuzz_accepted(yki_data_from_csv(&opened, &spec))) continue;
        read_by_facts(opened, spec);
        fuzz_read_all(opened);
    }
    return 0;
}
