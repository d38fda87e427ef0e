/* Numbers, sizes and texts as people write them in job and machine files: strict, and the same in every
 * locale. */
#ifndef YKI_JOB_VALUE_H
#define YKI_JOB_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

typedef enum yki_value_fault {
    YKI_VALUE_OK,
    YKI_VALUE_NOT_A_NUMBER,
    YKI_VALUE_FRACTION,  /* a number, but not a whole one */
    YKI_VALUE_TOO_LARGE, /* does not fit the type; a size: more than 2^62 */
    YKI_VALUE_AMBIGUOUS, /* a size in "K", "M", "G", "T": of 1000 or of 1024? */
    YKI_VALUE_NO_UNIT,
} yki_value_fault;

/* Decimal digits with an optional sign: no 1_000, 0x10, 1e3. Outputs are written only on YKI_VALUE_OK. */
yki_value_fault yki_value_int(const char *text, int64_t *value_out);
yki_value_fault yki_value_uint(const char *text, uint64_t *value_out);
/* Decimal, with an optional fraction and exponent; finite. */
yki_value_fault yki_value_double(const char *text, double *value_out);
/* Bytes: a number >= 0 with an optional unit, "512MiB", "2GB", "1.5 GiB", "4096": KiB is 1024, kB 1000 bytes.
 */
yki_value_fault yki_value_bytes(const char *text, int64_t *bytes_out);

/* A unit: the value of one of it is times / per, both whole, so that 5 us is the double nearest to 5e-6. */
typedef struct yki_unit {
    const char *name;
    double times, per;
} yki_unit;
/* A number with one of `units` (NULL at the end; upper and lower case differ), finite: "300 GB/s", "5us".
 * YKI_VALUE_NO_UNIT: a number and nothing else; YKI_VALUE_NOT_A_NUMBER: another unit, too. */
yki_value_fault yki_value_quantity(const char *text, const yki_unit *units, double *value_out);
/* Its text in the unit, of those ascending, that makes it shortest and reads back to the same value. One of
 * them is 1. */
void yki_value_print_quantity(yki_text *text, const yki_unit *units, double value);

/* The shortest decimal that reads back to the same value. */
void yki_value_print_double(yki_text *text, double value);
/* Bytes with the largest binary unit that divides them: "512MiB", "1000". */
void yki_value_print_bytes(yki_text *text, int64_t bytes);
/* A YAML scalar that reads back as this text, in quotes where it must be. */
void yki_value_print_text(yki_text *text, const char *value);

#endif
