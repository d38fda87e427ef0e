/* Blocks of pages from mmap. Absent on purpose: any pool or reuse; a device has few blocks and keeps them. */
#include "backend/blocks.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/text.h"

/* Large pages pay from a few of them on; smaller blocks would only be rounded up. */
enum { HUGE_PAGES_FROM_BYTES = 16 << 20 };

/* What the system maps for a block: whole pages, one for an empty block. 0: more than there are addresses. */
static size_t mapped_bytes(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (bytes > PTRDIFF_MAX - page) return 0;
    return bytes == 0 ? page : (bytes + page - 1) / page * page;
}

yoke_status yki_blocks_alloc(yki_blocks *blocks, size_t bytes, void **data_out)
{
    char size[24];
    size_t mapped = mapped_bytes(bytes);
    yki_block *block = malloc(sizeof *block);
    if (block == NULL) return yki_fail_memory("the record of a block of memory");
    void *data = MAP_FAILED;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (blocks->reserve ? MAP_NORESERVE : 0);
    if (mapped > 0) data = mmap(NULL, mapped, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (data == MAP_FAILED) {
        free(block);
        return yki_fail(YOKE_SYSTEM, "the system refuses %s of memory", yki_size_print(size, (double)bytes));
    }
#ifdef MADV_HUGEPAGE
    if (mapped >= HUGE_PAGES_FROM_BYTES)
        madvise(data, mapped, MADV_HUGEPAGE); /* advice: a refusal costs only speed */
#endif
    *block = (yki_block){.next = blocks->first, .data = data, .bytes = bytes};
    blocks->first = block;
    blocks->now_bytes += (int64_t)bytes;
    if (blocks->now_bytes > blocks->peak_bytes) blocks->peak_bytes = blocks->now_bytes;
    *data_out = data;
    return YOKE_OK;
}

static void unlink_first(yki_blocks *blocks, yki_block **link)
{
    yki_block *block = *link;
    *link = block->next;
    blocks->now_bytes -= (int64_t)block->bytes;
    munmap(block->data, mapped_bytes(block->bytes));
    free(block);
}

void yki_blocks_free(yki_blocks *blocks, void *data)
{
    if (data == NULL) return;
    yki_block **link = &blocks->first;
    while (*link != NULL && (*link)->data != data) link = &(*link)->next;
    assert(*link != NULL && "memory of another device");
    if (*link != NULL) unlink_first(blocks, link);
}

void yki_blocks_release(yki_blocks *blocks)
{
    while (blocks->first != NULL) unlink_first(blocks, &blocks->first);
}
