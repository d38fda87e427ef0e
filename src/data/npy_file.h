/* One NumPy .npy file: its header, and its elements as f32 or i32. Format: NumPy's numpy.lib.format,
 * versions 1.0 to 3.0. Little-endian numbers in C order; anything else is refused with a sentence that says
 * how to save it instead. */
#ifndef YKI_DATA_NPY_FILE_H
#define YKI_DATA_NPY_FILE_H

#include <stdbool.h>

#include "data/file.h"
#include "yoke/data.h"
#include "yoke/model.h"

enum { YKI_NPY_MAX_DIMS = YOKE_MAX_DIMS + 1 }; /* the samples, then a row's */

/* Converts `count` elements at `from`; returns the position of the first that `to` can't hold, or count. */
typedef int64_t (*yki_npy_convert)(const unsigned char *from, int64_t count, void *to);

/* What numbers become: f32, double, and of integers i32: ids, or classes, some of which are YOKE_UNCOUNTED.
 */
typedef enum yki_npy_as {
    YKI_NPY_FLOAT,
    YKI_NPY_REAL,
    YKI_NPY_INTEGER,
    YKI_NPY_CLASS,
    YKI_NPY_WAYS
} yki_npy_as;

typedef struct yki_npy_type {
    const char *name; /* as in a header, without the byte order: "f4" */
    int bytes;
    bool integer; /* b1 counts as one */
    /* bad: not finite in 32 bits; outside of 0..INT32_MAX, and no mark. NULL: not of floats */
    yki_npy_convert convert[YKI_NPY_WAYS];
} yki_npy_type;

typedef struct yki_npy {
    yki_file file;
    const yki_npy_type *type;
    int ndim; /* at least 1 */
    int64_t dims[YKI_NPY_MAX_DIMS];
    int64_t row_elements; /* of one sample: the product of dims[1..ndim) */
    int64_t elements;     /* where they begin */
} yki_npy;

/* The least and the greatest of integers that are counted, and how many are not. */
typedef struct yki_range {
    int64_t least, most, uncounted;
} yki_range;

/* Opens and checks the header and the size: the file holds exactly the elements its shape promises, at least
 * one sample, no dim 0. YOKE_INVALID names the fault. The values themselves are not looked at. On failure
 * nothing is held. */
yoke_status yki_npy_open(yki_npy *npy, const char *path);
void yki_npy_release(yki_npy *npy);

/* Sample `index` as row_elements numbers: f32, i32 or double. YOKE_INVALID naming sample, element and value
 * where one can't be held (as double: in f32), or where the file was cut short. */
yoke_status yki_npy_read(const yki_npy *npy, int64_t index, yki_npy_as as, void *to);

/* The same check for all samples, keeping nothing but the range of integers. */
yoke_status yki_npy_scan(const yki_npy *npy, yki_npy_as as, yki_range *range_out);

/* The first element, of integers that were scanned, that is `limit` or more; the caller knows that there is
 * one. */
yoke_status yki_npy_find(const yki_npy *npy, yki_npy_as as, int64_t limit, int64_t *position_out,
                         int64_t *value_out);

#endif
