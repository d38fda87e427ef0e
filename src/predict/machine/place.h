/* Reading a machine file: a value of it and where it stands, and how what is wrong there is said. */
#ifndef YKI_PREDICT_MACHINE_PLACE_H
#define YKI_PREDICT_MACHINE_PLACE_H

#include "job/yaml.h"
#include "predict/machine/keys.h"

enum { YKI_PLACE_PATH = 128 };

typedef struct yki_place {
    const char *file;
    const yki_yaml *node;
    const char *path; /* the dotted key */
} yki_place;

/* The entry `key` of the mapping at `at`, or its i-th, with its path in path[YKI_PLACE_PATH]; the node is
 * NULL where there is none. */
yki_place yki_place_inner(const yki_place *at, const char *key, char *path);
yki_place yki_place_item(const yki_place *at, int i, char *path);

/* YOKE_INVALID, with file, line and key. The second: "must be EXPECTED, not ...". */
yoke_status yki_place_fail(const yki_place *at, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
yoke_status yki_place_fail_value(const yki_place *at, const char *expected);
yoke_status yki_place_need_list(const yki_place *at, const char *what, int most);

/* Reads the keys of a mapping into `base`, but for those with others inside, of which only says what is
 * missing. */
yoke_status yki_place_read(const yki_place *at, const yki_machine_section *section, void *base);

/* The level of that name; -1: there is none, which the second says. */
int yki_level_named(const yoke_machine *machine, const char *name);
yoke_status yki_place_fail_level(const yki_place *at, const yoke_machine *machine);

/* measured.c: `kernels` and `moves` of the machine at `at`, whose levels are read. */
yoke_status yki_machine_read_tables(const yki_place *at, yoke_machine *machine);

#endif
