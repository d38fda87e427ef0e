/* Speed of kernels, in bytes of operands per second, beside what the memory does. */
#ifndef YKI_TESTS_BACKEND_BENCH_H
#define YKI_TESTS_BACKEND_BENCH_H

/* Prints a line per implementation of the kernels whose names contain `name`. Returns an exit code: 2 for no
 * such kernel. */
int bench_kernels(const char *name, int threads);

#endif
