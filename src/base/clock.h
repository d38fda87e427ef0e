/* Time that passes: for measuring, not for dates. */
#ifndef YKI_BASE_CLOCK_H
#define YKI_BASE_CLOCK_H

/* Nanoseconds since some moment before the program began, by a clock that nobody sets. */
double yki_now_ns(void);

#endif
