/* Launches made from a few words: a kernel's signature says what its operands are, a shape is a string like
 * "R5 D37". */
#ifndef YKI_TESTS_BACKEND_CASES_H
#define YKI_TESTS_BACKEND_CASES_H

#include "backend/cpu/cpu.h"

/* A launch that owns everything it points to. Each operand has a block of exactly its size, so that a
 * sanitizer sees what goes past its end. */
typedef struct kernel_case {
    yki_launch launch;
    yki_attr attr;
    yki_update update;
    double loss[2];
    int ninputs;
    size_t bytes[YKI_MAX_VIEWS];
} kernel_case;

/* Makes a launch of random operands. shape: letters with numbers; those of dims are the signature's, those of
 * attributes are s stride, q padding, k kernel, @ offset, g global, o outer, l local, i inner, u group, e
 * first_group, f scaling.factor, I inverse, a b j rows' first, split and jump, m p r keys', L length. type:
 * of activations; YKI_REFERENCE_F64 makes every floating operand a double. Equal arguments give equal bits.
 */
void case_make(kernel_case *c, yki_kernel kernel, const char *shape, yki_dtype type, uint64_t seed);
/* The same launch on copies of all operands, the loss included. */
void case_copy(kernel_case *copy, const kernel_case *c);
void case_release(kernel_case *c);

/* Makes what a gradient gets from its forward pass fit together: attention's result and sums, which random
 * numbers would turn into weights in the thousands. Call it when flags and attributes are set. */
void case_settle(kernel_case *c);

/* Runs it, workspace and prepared state included. */
void case_run(kernel_case *c, const yki_cpu_kernel *kernel, int threads);

/* Uniform in [-1, 1), from its own stream. */
double case_random(uint64_t seed, uint64_t counter);

#endif
