/* A long list of numbers, past some length in a file. */
#include "data/ids.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"

enum { PIECE = 1 << 18 }; /* numbers that are written at once */

static const char *folder(void)
{
    const char *named = getenv("TMPDIR");
    return named && named[0] == '/' ? named : "/tmp";
}

static yoke_status make_file(yki_ids *ids)
{
    char path[1300];
    int n = snprintf(path, sizeof path, "%s/yoke-tokens-XXXXXX", folder());
    int descriptor = n < (int)sizeof path ? mkostemp(path, O_CLOEXEC) : -1;
    if (descriptor < 0)
        return yki_fail(YOKE_SYSTEM,
                        "tokens that are too many for memory go to a file in %s, which cannot be made there: "
                        "TMPDIR names another folder",
                        folder());
    unlink(path);
    ids->descriptor = descriptor;
    return YOKE_OK;
}

/* Puts what is held behind what is in the file. */
static yoke_status file_away(yki_ids *ids)
{
    size_t bytes = sizeof(int32_t) * (size_t)(ids->count - ids->filed);
    if (!ids->descriptor) YKI_TRY(make_file(ids));
    YKI_TRY(yki_disk_write(ids->descriptor, folder(), ids->held, bytes, sizeof(int32_t) * (size_t)ids->filed,
                           bytes));
    ids->filed = ids->count;
    free(ids->held);
    ids->held = NULL;
    ids->room = 0;
    return YOKE_OK;
}

static yoke_status reserve(yki_ids *ids, int64_t count)
{
    if (ids->room >= count) return YOKE_OK;
    int64_t room = ids->room + ids->room / 2 + count;
    int32_t *held = realloc(ids->held, sizeof *held * (size_t)room);
    if (!held) return yki_fail_memory("the tokens of the data");
    ids->held = held;
    ids->room = room;
    return YOKE_OK;
}

yoke_status yki_ids_add(yki_ids *ids, const int32_t *numbers, int64_t count)
{
    int64_t most = ids->most_held ? ids->most_held : YKI_IDS_HELD, held = ids->count - ids->filed;
    if (ids->filed ? held >= PIECE : held + count > most) YKI_TRY(file_away(ids));
    held = ids->count - ids->filed;
    YKI_TRY(reserve(ids, held + count));
    if (count > 0) memcpy(ids->held + held, numbers, sizeof *numbers * (size_t)count);
    ids->count += count;
    return YOKE_OK;
}

yoke_status yki_ids_get(const yki_ids *ids, int64_t first, int64_t count, int32_t *to)
{
    int64_t filed = first >= ids->filed ? 0 : ids->filed - first < count ? ids->filed - first : count;
    if (filed > 0)
        YKI_TRY(yki_disk_read_at(ids->descriptor, folder(), to, sizeof *to * (size_t)filed,
                                 sizeof *to * (size_t)first));
    if (count > filed)
        memcpy(to + filed, ids->held + (first + filed - ids->filed), sizeof *to * (size_t)(count - filed));
    return YOKE_OK;
}

void yki_ids_release(yki_ids *ids)
{
    if (ids->descriptor) close(ids->descriptor);
    free(ids->held);
    *ids = (yki_ids){0};
}
