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
    max_align_t data[];
};

void *yki_arena_alloc(yki_arena *arena, size_t bytes)
{
    size_t rounded = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct yki_arena_block *block = arena->block;
    if (!block || block->capacity - block->used < rounded) {
        size_t capacity = rounded > YKI_ARENA_BLOCK ? rounded : YKI_ARENA_BLOCK;
        if (rounded < bytes || !(block = calloc(1, sizeof *block + capacity))) {
            arena->failed = true;
            if (arena->escape) longjmp(*arena->escape, 1);
            return NULL;
        }
        block->capacity = capacity;
        block->next = arena->block;
        arena->block = block;
    }
    void *data = (char *)block->data + block->used;
    block->used += rounded;
    return data;
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
