/* Words and their numbers. */
#include "data/csv_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

int yki_words_place(const yki_words *w, const char *word, bool *found)
{
    int low = 0, high = w->names.count;
    *found = false;
    while (low < high) {
        int middle = (low + high) / 2, order = strcmp(w->names.names[w->sorted[middle]], word);
        *found = *found || order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

yoke_status yki_words_add(yki_words *w, const char *word, int place)
{
    if (w->names.count == w->room) {
        int room = w->room ? 2 * w->room : 16;
        int *grown = realloc(w->sorted, (size_t)room * sizeof *grown);
        if (!grown) return yki_fail_memory("the classes of a CSV file");
        w->sorted = grown;
        w->room = room;
    }
    YKI_TRY(yki_names_add(&w->names, word, (int)strlen(word)));
    int last = w->names.count - 1;
    memmove(w->sorted + place + 1, w->sorted + place, (size_t)(last - place) * sizeof *w->sorted);
    w->sorted[place] = last;
    return YOKE_OK;
}

yoke_status yki_words_take(yki_words *w, const yki_names *classes)
{
    bool found;
    for (int i = 0; i < classes->count; i++) {
        int place = yki_words_place(w, classes->names[i], &found);
        if (found)
            return yki_fail(YOKE_INVALID, "the model's classes have \"%.200s\" twice", classes->names[i]);
        YKI_TRY(yki_words_add(w, classes->names[i], place));
        w->known = true;
    }
    return YOKE_OK;
}

yoke_status yki_words_finish(const yki_words *w, int32_t *values, int64_t count, yki_names *classes)
{
    if (w->known) return yki_names_copy(classes, &w->names);
    int32_t *rank = malloc(sizeof *rank * (size_t)w->names.count);
    if (!rank) return yki_fail_memory("the classes of a CSV file");
    for (int i = 0; i < w->names.count; i++) rank[w->sorted[i]] = i;
    for (int64_t r = 0; r < count; r++) values[r] = rank[values[r]];
    free(rank);
    for (int i = 0; i < w->names.count; i++) {
        const char *name = w->names.names[w->sorted[i]];
        YKI_TRY(yki_names_add(classes, name, (int)strlen(name)));
    }
    return YOKE_OK;
}

char *yki_words_some(const yki_words *w, char *buffer, size_t size)
{
    size_t n = 0;
    buffer[0] = '\0';
    for (int i = 0; i < w->names.count && n + 48 < size; i++)
        n += (size_t)snprintf(buffer + n, size - n, "%s%.40s", i ? ", " : "", w->names.names[i]);
    if (n + 48 >= size) snprintf(buffer + n, size - n, ", ...");
    return buffer;
}

void yki_words_release(yki_words *w)
{
    yki_names_release(&w->names);
    free(w->sorted);
    *w = (yki_words){0};
}
