/* Who used the cores that this process may run on: times are to be trusted only where hardly anybody else
 * did. */
#ifndef YKI_BASE_USAGE_H
#define YKI_BASE_USAGE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct yki_usage {
    int cores;            /* logical ones, of the calling thread's affinity */
    int64_t wall_ns;      /* a steady clock */
    int64_t busy_ns;      /* by all programs and the machine itself, all those cores together */
    int64_t own_ns;       /* processor time of this process */
    int64_t throttled_ns; /* that its control groups kept it waiting */
} yki_usage;

/* Everything up to now; false where the system does not say. root: as in limits.h. */
bool yki_usage_get(const char *root, yki_usage *out);
/* Adds what was used between two moments to a sum, which has their cores. */
void yki_usage_add(yki_usage *sum, const yki_usage *begin, const yki_usage *end);
/* The share of the cores' time that others took, 0 to 1; not a number where less than a tenth of a second has
 * passed, of which the system's ticks say nothing. */
double yki_usage_taken(const yki_usage *sum);

#endif
