/* Lists of names: of columns, of classes. Invariant: names[0..count) are owned, and end with '\0'. */
#ifndef YKI_DATA_NAMES_H
#define YKI_DATA_NAMES_H

#include <stdbool.h>

#include "yoke/status.h"

/* Zeroed: no names. */
typedef struct yki_names {
    int count;
    char **names;
} yki_names;

/* Adds a copy of `length` bytes. YOKE_SYSTEM: memory; the list is as it was. */
yoke_status yki_names_add(yki_names *list, const char *name, int length);
/* Replaces what `to` holds by copies. On failure `to` is empty. */
yoke_status yki_names_copy(yki_names *to, const yki_names *from);
/* The place of `name`, or -1. */
int yki_names_find(const yki_names *list, const char *name);
/* The same names in the same order. */
bool yki_names_same(const yki_names *a, const yki_names *b);
void yki_names_release(yki_names *list);

#endif
