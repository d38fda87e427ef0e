/* A long list of numbers of four bytes, made once from its beginning to its end and then read anywhere: in
 * memory while it is short, past that in a file without a name in $TMPDIR (else /tmp), which is gone when it
 * is released. */
#ifndef YKI_DATA_IDS_H
#define YKI_DATA_IDS_H

#include <stdint.h>

#include "yoke/status.h"

enum { YKI_IDS_HELD = 64 << 20 }; /* numbers: 256 MiB */

/* Zeroed: empty, and holding up to YKI_IDS_HELD. */
typedef struct yki_ids {
    int64_t count;
    int64_t most_held; /* 0: YKI_IDS_HELD */
    int32_t *held;     /* all of them; or those behind the `filed` that are in the file */
    int64_t room, filed;
    int descriptor; /* of the file; 0: there is none */
} yki_ids;

/* Appends. YOKE_SYSTEM: memory is out, or the file cannot be written; the sentence names TMPDIR. */
yoke_status yki_ids_add(yki_ids *ids, const int32_t *numbers, int64_t count);
/* Numbers [first, first + count), which are there. */
yoke_status yki_ids_get(const yki_ids *ids, int64_t first, int64_t count, int32_t *to);
void yki_ids_release(yki_ids *ids);

#endif
