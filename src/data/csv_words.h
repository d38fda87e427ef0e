/* The words of a CSV file's target column: each different one is a class. */
#ifndef YKI_DATA_CSV_WORDS_H
#define YKI_DATA_CSV_WORDS_H

#include <stdint.h>

#include "data/names.h"

/* Zeroed: none yet. Released by yki_words_release. */
typedef struct yki_words {
    yki_names names; /* as they came, or the classes of training */
    int *sorted;     /* places in `names`, in the order of their bytes */
    int room;
    bool known; /* no more may come */
} yki_words;

/* The place in `sorted` where a word is, or would be. */
int yki_words_place(const yki_words *w, const char *word, bool *found);
/* Adds a word that is not there, at that place. */
yoke_status yki_words_add(yki_words *w, const char *word, int place);
/* The classes of training, before the first row; no more may come then. YOKE_INVALID: one is there twice. */
yoke_status yki_words_take(yki_words *w, const yki_names *classes);
/* Where training has not numbered them, classes are numbered as their words are sorted: `classes` get the
 * words in that order, and `values`, which are places in `names`, become their numbers. */
yoke_status yki_words_finish(const yki_words *w, int32_t *values, int64_t count, yki_names *classes);
/* "a, b, c, ...": some of them. Returns buffer. */
char *yki_words_some(const yki_words *w, char *buffer, size_t size);
void yki_words_release(yki_words *w);

#endif
