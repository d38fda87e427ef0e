/* An arena: memory that is freed all at once. Graphs and programs live in one. */
#ifndef YKI_BASE_ARENA_H
#define YKI_BASE_ARENA_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct yki_arena {
    struct yki_arena_block *block;
    bool failed;     /* an allocation failed; checked once, when a pass ends */
    jmp_buf *escape; /* where to go at once when one fails, for passes that hold nothing but what is in the
                        arena; NULL: nowhere */
} yki_arena;

/* Zeroed memory, aligned for any type. Never NULL for sizes that fit what the system gives; when it gives
 * nothing, `failed` is set and NULL returned. */
void *yki_arena_alloc(yki_arena *arena, size_t bytes);
/* A copy of so many bytes; NULL as above. */
void *yki_arena_own(yki_arena *arena, const void *data, size_t bytes);
char *yki_arena_copy(yki_arena *arena, const char *text);
char *yki_arena_print(yki_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void yki_arena_release(yki_arena *arena);

/* Gives back what was taken since the mark was set; nothing else may have been taken for longer. */
typedef struct yki_arena_mark {
    struct yki_arena_block *block;
    size_t used;
} yki_arena_mark;
yki_arena_mark yki_arena_mark_of(const yki_arena *arena);
void yki_arena_rewind(yki_arena *arena, yki_arena_mark mark);

/* Grows an array in an arena: the pointer at `array`, to *capacity entries of `bytes`, becomes one to at
 * least `count`. Where there is no memory the array stays as it is, and the answer is false. */
bool yki_arena_grow(yki_arena *arena, void *array, int *capacity, int count, size_t bytes);

/* Appends to `array` (fields NAME, nNAME, cNAME of *owner) and evaluates to a pointer to the new, zeroed
 * entry, or NULL. */
#define YKI_APPEND(arena, owner, name)                                                                       \
    (yki_arena_grow((arena), &(owner)->name, &(owner)->c##name, (owner)->n##name + 1, sizeof *(owner)->name) \
         ? &(owner)->name[(owner)->n##name++]                                                                \
         : NULL)

#endif
