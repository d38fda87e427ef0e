/* What the control groups that the process is in allow it, versions 1 and 2: the least on the way from its
 * group up to the root. */
#ifndef YKI_BASE_LIMITS_H
#define YKI_BASE_LIMITS_H

#include <stdint.h>

/* root: the folder in which /proc and /sys are looked for; "" but in tests. */
/* INT64_MAX: no limit. */
int64_t yki_limit_memory_bytes(const char *root);
/* Processor time as cores, rounded up, at least 1: two and a half cores are three, each of which may be used
 * for five sixths of the time. INT_MAX: no limit. */
int yki_limit_cores(const char *root);
/* Nanoseconds that the process's groups were kept from running, since they began, because they had used up
 * their time; the most of them. 0: never, or there is no limit. */
int64_t yki_limit_throttled_ns(const char *root);

#endif
