/* Memory of a device: blocks of zero pages straight from the system, counted. One thread at a time. */
#ifndef YKI_BACKEND_BLOCKS_H
#define YKI_BACKEND_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/status.h"

typedef struct yki_block {
    struct yki_block *next;
    void *data;
    size_t bytes; /* as asked for; this is what counts */
} yki_block;

typedef struct yki_blocks {
    yki_block *first;
    int64_t now_bytes, peak_bytes;
    bool reserve; /* address space only: more than the machine has may be asked for */
} yki_blocks;

/* `bytes` zero bytes on pages that nobody has touched yet; 0 bytes give a valid address too. YOKE_SYSTEM:
 * refused. */
yoke_status yki_blocks_alloc(yki_blocks *blocks, size_t bytes, void **data_out);
/* NULL does nothing; any other address must come from these blocks. */
void yki_blocks_free(yki_blocks *blocks, void *data);
void yki_blocks_release(yki_blocks *blocks);

#endif
