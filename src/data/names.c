/* Lists of names. */
#include "data/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

yoke_status yki_names_add(yki_names *list, const char *name, int length)
{
    if ((list->count & (list->count - 1)) == 0) { /* 0, or a power of two: full */
        size_t room = list->count ? 2 * (size_t)list->count : 1;
        char **grown = realloc(list->names, room * sizeof *grown);
        if (!grown) return yki_fail_memory("a list of names");
        list->names = grown;
    }
    char *copy = strndup(name, (size_t)length);
    if (!copy) return yki_fail_memory("a name");
    list->names[list->count++] = copy;
    return YOKE_OK;
}

yoke_status yki_names_copy(yki_names *to, const yki_names *from)
{
    yki_names_release(to);
    for (int i = 0; i < from->count; i++) {
        yoke_status status = yki_names_add(to, from->names[i], (int)strlen(from->names[i]));
        if (status != YOKE_OK) {
            yki_names_release(to);
            return status;
        }
    }
    return YOKE_OK;
}

int yki_names_find(const yki_names *list, const char *name)
{
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0) return i;
    return -1;
}

bool yki_names_same(const yki_names *a, const yki_names *b)
{
    bool same = a->count == b->count;
    for (int i = 0; same && i < a->count; i++) same = strcmp(a->names[i], b->names[i]) == 0;
    return same;
}

void yki_names_release(yki_names *list)
{
    for (int i = 0; i < list->count; i++) free(list->names[i]);
    free(list->names);
    *list = (yki_names){0};
}
