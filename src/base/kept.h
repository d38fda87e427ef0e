/* Lists that values point to. A struct that callers copy, compare and throw away (yoke_layout) cannot own a
 * list; so what the library makes of one is kept here, each different list once, as long as the process
 * lives. Equal lists are one, and so structs that hold them are equal as memory. */
#ifndef YKI_BASE_KEPT_H
#define YKI_BASE_KEPT_H

#include <stddef.h>

/* The kept copy of `bytes` bytes of a list, aligned for any type; NULL when memory is out. Any thread may
 * call. */
const void *yki_keep(const void *list, size_t bytes);

#endif
