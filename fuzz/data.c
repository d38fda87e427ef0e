/* Reading what a dataset holds; see data.h. */
#include "fuzz/data.h"

#include <math.h>
#include <stdlib.h>

#include "data/data.h"
#include "fuzz/input.h"

enum { MOST_SAMPLES = 64, MOST_ELEMENTS = 1 << 16 };

static int64_t elements_of(const yoke_row *row)
{
    int64_t elements = 0;
    fuzz_require(yki_row_check(row, "opened", &elements) == YOKE_OK, "the rows of a dataset are valid");
    return elements;
}

/* mark: a negative number that is one of them; 0: none is. */
static void check_values(const yoke_row *row, const void *values, int64_t count, int32_t mark)
{
    for (int64_t i = 0; i < count; i++)
        if (row->type == YOKE_F32)
            fuzz_require(isfinite(((const float *)values)[i]), "a sample is finite");
        else
            fuzz_require(((const int32_t *)values)[i] >= 0 || ((const int32_t *)values)[i] == mark,
                         "an id is not negative");
}

void fuzz_read_all(yoke_data *data)
{
    yoke_row input, target;
    int64_t samples = yoke_data_samples(data);
    yoke_data_rows(data, &input, &target);
    int64_t ninputs = elements_of(&input), ntargets = elements_of(&target);
    fuzz_require(samples > 0, "a dataset has samples");
    if (ninputs <= MOST_ELEMENTS && ntargets <= MOST_ELEMENTS) {
        void *x = malloc((size_t)ninputs * 4), *y = malloc((size_t)ntargets * 4);
        fuzz_require(x && y, "there is memory");
        for (int64_t i = 0; i < samples; i++) {
            if (i == MOST_SAMPLES / 2 && samples > MOST_SAMPLES) i = samples - MOST_SAMPLES / 2;
            if (!fuzz_accepted(yoke_data_get(data, i, x, y))) continue;
            check_values(&input, x, ninputs, 0);
            check_values(&target, y, ntargets, YOKE_UNCOUNTED);
        }
        fuzz_accepted(yoke_data_get(data, samples, x, y));
        free(x);
        free(y);
    }
    yoke_data_destroy(data);
}
