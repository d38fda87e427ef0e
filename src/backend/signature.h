/* Signatures of kernels, read (kernel.h says how they are written): what a launch is held to, how a kernel
 * sees a tensor, and how much work a launch is. */
#ifndef YKI_BACKEND_SIGNATURE_H
#define YKI_BACKEND_SIGNATURE_H

#include "backend/kernel.h"

/* Where an output may lie. */
typedef enum yki_in_place {
    YKI_IN_PLACE_NO,
    YKI_IN_PLACE,     /* in the memory of the first input, if no other input is there */
    YKI_IN_PLACE_ANY, /* even then */
} yki_in_place;

/* An operand's word. Its letters are the dims of the view; its items those of the tensor, each of one or
 * several letters. */
typedef struct yki_word {
    char type;
    bool optional;
    yki_in_place in_place;
    bool whole; /* the first item is in parentheses, and of the whole tensor */
    int nletters, nitems;
    char letters[YOKE_MAX_DIMS];
    int end[YOKE_MAX_DIMS]; /* of each item: its letters are those before */
} yki_word;

typedef struct yki_signature {
    int ninputs, nwords;
    yki_word words[YKI_MAX_VIEWS]; /* inputs, then outputs */
    const char *work;              /* "": as many FLOPs as its operands have elements */
} yki_signature;

/* Static; read once. */
const yki_signature *yki_kernel_signature(yki_kernel kernel);

/* What a letter is by itself, of one sample: a digit, or what attr has of it; -1: nothing. */
int64_t yki_letter_named(char letter, const yki_attr *attr);

/* Whether a word's first item is all dims that the others leave. */
static inline bool yki_word_gathers(const yki_word *word)
{
    return word->whole || word->letters[0] == 'R' || word->letters[0] == 'E';
}

/* A kernel's view of a tensor of these dims, of one sample where it is per sample: dims[0] then counts
 * samples. word NULL: all its elements in a row. data is NULL. */
yki_view yki_word_view(const yki_word *word, const yki_attr *attr, yki_dtype dtype, bool per_sample, int ndim,
                       const int64_t *dims);

/* An operand's type and dims; ndim 0: it is absent. */
typedef struct yki_argument {
    yki_dtype dtype;
    int ndim;
    const int64_t *dims;
} yki_argument;

/* The first operand that the kernel's signature does not allow there, by its type, its dims or its absence;
 * count where operands are missing at the end; -1: it may be launched. */
int yki_kernel_misfit(yki_kernel kernel, int count, const yki_argument *arguments);
/* The same of a launch's views. Data is not looked at. */
int yki_launch_misfit(const yki_launch *launch);

/* FLOPs and bytes of a launch, by its shapes. */
double yki_launch_flops(const yki_launch *shapes);
double yki_launch_bytes(const yki_launch *shapes);

#endif
