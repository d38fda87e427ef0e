/* What the system gives and takes, with the n-th call failing: memory, or files. The names stand before the C
 * library's. Calls of libraries that answer a failed allocation by ending the process, or that throw, are let
 * through: OpenMP's, oneDNN's and what they stand on, and those of libfyaml, which reads through the pointer.
 * What callers of memory have not given back is counted.
 */
#ifndef YKI_TESTS_FAULTS_INJECT_H
#define YKI_TESTS_FAULTS_INJECT_H

#include <stdbool.h>

typedef enum inject_kind { INJECT_NOTHING, INJECT_MEMORY, INJECT_FILES } inject_kind;

/* Once, before threads. */
void inject_open(void);
/* From now on the n-th call fails (0: none, they are only counted). */
void inject_begin(inject_kind kind, int n);
/* How many calls there were; *failed_out: whether one failed, and what it was. */
int inject_end(bool *failed_out, const char **what_out);
/* Blocks of memory taken since the last begin that have not been given back. */
int inject_live(void);
/* Where the first of them was taken, for people. */
void inject_print_live(void);
/* Where the call that failed was made. Both only with INJECT_TRACE in the environment. */
void inject_print_failed(void);

#endif
