/* A bump allocator over a list of blocks. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef YKI_ARENA_BLOCK
#define YKI_ARENA_BLOCK                                                                                      \
    (1 << 16) /* bytes; tests of memory that runs out make it 1: a block for each piece                      \
               */
#endif

struct yki_arena_block {
    struct yki_arena_block *next;
    size_t used, capacity;
    bool large; /* for one piece, zero when made */
    max_align_t data[];
};

void *yki_arena_alloc(yki_arena *arena, size_t bytes)
{
    size_t rounded = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct yki_arena_block *block = arena->block;
    if (!block || block->capacity - block->used < rounded) {
        size_t capacity = rounded > YKI_ARENA_BLOCK ? rounded : YKI_ARENA_BLOCK;
        bool large = rounded >= YKI_ARENA_BLOCK; /* the system's zeros: pages that nobody has touched */
        if (rounded >= bytes)
            block = large ? calloc(1, sizeof *block + capacity) : malloc(sizeof *block + capacity);
        if (rounded < bytes || !block) {
            arena->failed = true;
            if (arena->escape) longjmp(*arena->escape, 1);
            return NULL;
        }
        block->used = 0;
        block->large = large;
        block->capacity = capacity;
        block->next = arena->block;
        arena->block = block;
    }
    void *data = (char *)block->data + block->used;
    block->used += rounded;
    if (!block->large) memset(data, 0, rounded);
    return data;
}

void *yki_arena_own(yki_arena *arena, const void *data, size_t bytes)
{
    void *own = yki_arena_alloc(arena, bytes);
    if (own && bytes > 0) memcpy(own, data, bytes);
    return own;
}

char *yki_arena_copy(yki_arena *arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = yki_arena_alloc(arena, bytes);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

char *yki_arena_print(yki_arena *arena, const char *format, ...)
{
    char buffer[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    return yki_arena_copy(arena, buffer);
}

void yki_arena_release(yki_arena *arena)
{
    for (struct yki_arena_block *block = arena->block, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    *arena = (yki_arena){0};
}

yki_arena_mark yki_arena_mark_of(const yki_arena *arena)
{
    return (yki_arena_mark){arena->block, arena->block ? arena->block->used : 0};
}

void yki_arena_rewind(yki_arena *arena, yki_arena_mark mark)
{
    for (struct yki_arena_block *next; arena->block != mark.block; arena->block = next) {
        next = arena->block->next;
        free(arena->block);
    }
    if (mark.block) mark.block->used = mark.used;
}

bool yki_arena_grow(yki_arena *arena, void *array, int *capacity, int count, size_t bytes)
{
    if (count <= *capacity) return true;
    int larger = *capacity ? *capacity : 8;
    while (larger < count) larger *= 2;
    void *old, *copy = yki_arena_alloc(arena, (size_t)larger * bytes);
    if (!copy) return false;
    memcpy(&old, array, sizeof old);
    if (old) memcpy(copy, old, (size_t)*capacity * bytes);
    memcpy(array, &copy, sizeof copy);
    *capacity = larger;
    return true;
}
