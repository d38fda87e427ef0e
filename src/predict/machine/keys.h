/* The keys of a machine file: tables that drive reading, suggestions and printing. What stands inside a key
 * (a list, a mapping) has a table of its own and a function in read.c and print.c. */
#ifndef YKI_PREDICT_MACHINE_KEYS_H
#define YKI_PREDICT_MACHINE_KEYS_H

#include <stddef.h>

#include "base/text.h"
#include "job/value.h"
#include "yoke/machine.h"

typedef enum yki_machine_kind {
    YKI_MACHINE_TEXT,      /* char[size] */
    YKI_MACHINE_DATE,      /* the same, like 2026-01-31 */
    YKI_MACHINE_COUNT,     /* int or int64_t, by size */
    YKI_MACHINE_NUMBER,    /* double */
    YKI_MACHINE_BYTES,     /* int64_t */
    YKI_MACHINE_RATE,      /* double, FLOP/s */
    YKI_MACHINE_BANDWIDTH, /* double, bytes/s */
    YKI_MACHINE_SECONDS,   /* double */
    YKI_MACHINE_INNER,     /* other keys inside it */
} yki_machine_kind;

typedef struct yki_machine_key {
    const char *name;
    yki_machine_kind kind;
    size_t offset, size;
    double least, most; /* the range; most 0: no end */
    bool above, below;  /* the ends themselves are excluded */
    bool needed;
    double standard; /* where the key is absent; not printed */
} yki_machine_key;

/* What a mapping of a machine file may hold. */
typedef struct yki_machine_section {
    const char *what;            /* "a machine", for sentences */
    const char *such;            /* one such, as it is written */
    const yki_machine_key *keys; /* without a name at the end */
} yki_machine_section;

extern const yki_machine_section yki_machine_root, yki_machine_device_keys, yki_machine_rate_keys,
    yki_machine_point_keys, yki_machine_level_keys, yki_machine_straggler_keys, yki_machine_link_keys,
    yki_machine_kernel_keys, yki_machine_move_keys, yki_machine_measured_keys;

/* Prints the tables of kernels and of movements (measured.c). */
void yki_machine_print_tables(yki_text *text, const yoke_machine *machine);
/* The keys of a section that have no others inside: the first after `before`, the others after `between`. */
void yki_machine_print_section(yki_text *text, const yki_machine_section *section, const void *base,
                               const char *before, const char *between);

/* The units of a kind that has some, ascending; those of BYTES are for printing. */
const yki_unit *yki_machine_units(yki_machine_kind kind);
/* What a bandwidth may be read in, too. */
extern const yki_unit yki_machine_bits[];
/* A value of a kind that has units, as a person would write it. */
const char *yki_machine_such(yki_machine_kind kind);

#endif
