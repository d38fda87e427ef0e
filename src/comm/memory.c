/* Memory that operations work on: at rest when they start, and carried through the host's where their
 * transport does not reach it. */
#include "comm/memory.h"

#include <stdlib.h>

#include "backend/blocks.h"
#include "base/fail.h"
#include "comm/transport.h"

struct yki_comm_memory {
    yki_queue *work, *copies; /* what computes; what carries */
    yki_event *worked, *copied;
    char *data, *host; /* the device's, and the host's copy of it; NULL: it is not needed */
    size_t bytes;
    yki_blocks blocks; /* of the copy */
    bool carried;      /* the operation at hand has addresses of the device's */
};

/* What is done with memory that an operation reads, writes or both. */
typedef void visitor(yki_comm_memory *memory, void **address, int64_t bytes, bool reads, bool writes);

static void use_segments(yki_comm_memory *memory, yki_request *request, visitor *use)
{
    yki_segment *segments = request->nsegments == 1 ? &request->segment : request->segments;
    int64_t size = (int64_t)yki_dtype_bytes(request->dtype);
    for (int i = 0; i < request->nsegments; i++)
        use(memory, &segments[i].data, segments[i].elems * size, true, true);
}

static void use_pieces(yki_comm_memory *memory, yki_request *request, visitor *use)
{
    yki_piece *pieces = request->npieces == 1 ? &request->piece : request->pieces;
    bool gathers = request->kind == YKI_COMM_ALL_GATHER;
    for (int i = 0; i < request->npieces; i++) {
        yki_piece *p = &pieces[i];
        bool in_place = p->mine == p->all;
        int64_t row = p->cut.outer * p->cut.inner * (int64_t)yki_dtype_bytes(request->dtype);
        int64_t all = row * yki_shares_before(p->cut.share, request->comm->size),
                mine = row * p->cut.share[request->comm->rank];
        use(memory, &p->all, all, in_place || !gathers, in_place || gathers);
        if (in_place)
            p->mine = p->all;
        else
            use(memory, &p->mine, mine, gathers || p->adds, !gathers);
    }
}

static void use_all(yki_comm_memory *memory, yki_request *request, visitor *use)
{
    void *in = (void *)(uintptr_t)request->in;
    use_segments(memory, request, use);
    if (request->kind == YKI_COMM_ALL_GATHER || request->kind == YKI_COMM_REDUCE_SCATTER)
        use_pieces(memory, request, use);
    use(memory, &in, (int64_t)request->in_bytes, true, false);
    request->in = in;
    bool root = request->kind == YKI_COMM_BROADCAST && request->comm->rank == request->root;
    use(memory, &request->out, (int64_t)request->out_bytes, root, !root);
}

static bool lies_in(const char *data, size_t bytes, const void *address)
{
    return (uintptr_t)address >= (uintptr_t)data && (uintptr_t)address < (uintptr_t)data + bytes;
}

static void fetch(yki_comm_memory *memory, void **address, int64_t bytes, bool reads, bool writes)
{
    (void)writes;
    if (bytes == 0 || !lies_in(memory->data, memory->bytes, *address)) return;
    void *from = *address;
    *address = memory->host + ((char *)from - memory->data);
    memory->carried = true;
    if (reads) yki_queue_transfer(memory->copies, YKI_DOWNLOAD, *address, from, (size_t)bytes);
}

static void give_back(yki_comm_memory *memory, void **address, int64_t bytes, bool reads, bool writes)
{
    (void)reads;
    if (bytes == 0 || !lies_in(memory->host, memory->bytes, *address)) return;
    void *from = *address;
    *address = memory->data + ((char *)from - memory->host);
    memory->carried |= writes;
    if (writes) yki_queue_transfer(memory->copies, YKI_UPLOAD, *address, from, (size_t)bytes);
}

/* Whatever is carried for an operation, its uploads too, comes behind what computed before its start; and
 * what an earlier upload has to take from the copy is gone before the transport writes there. */
yoke_status yki_memory_begin(yki_comm_memory *memory, yki_request *request)
{
    if (!memory) return YOKE_OK;
    const yki_backend_ops *backend = memory->work->backend;
    if (!memory->host) return backend->synchronize(memory->work);
    memory->carried = false;
    backend->record(memory->work, memory->worked);
    backend->wait(memory->copies, memory->worked);
    use_all(memory, request, fetch);
    if (!memory->carried) return YOKE_OK;
    backend->record(memory->copies, memory->copied);
    return backend->reach(memory->copied);
}

void yki_memory_end(yki_comm_memory *memory, yki_request *request)
{
    if (!memory || !memory->host) return;
    const yki_backend_ops *backend = memory->work->backend;
    memory->carried = false;
    use_all(memory, request, give_back);
    if (!memory->carried) return;
    backend->record(memory->copies, memory->copied);
    backend->wait(memory->work, memory->copied);
}

/* What carries: a queue of its own, so that it need not wait for what computes meanwhile. */
static yoke_status make_copy(yki_comm_memory *memory)
{
    const yki_backend_ops *backend = memory->work->backend;
    void *host;
    memory->blocks.reserve = true;
    YKI_TRY(backend->queue_create(memory->work->device, &memory->copies));
    YKI_TRY(backend->event_create(memory->work->device, &memory->worked));
    YKI_TRY(backend->event_create(memory->work->device, &memory->copied));
    YKI_TRY(yki_blocks_alloc(&memory->blocks, memory->bytes, &host));
    memory->host = host;
    return YOKE_OK;
}

yoke_status yki_comm_use(yki_comm *comm, yki_queue *queue, void *data, size_t bytes,
                         yki_comm_memory **memory_out)
{
    yki_comm_memory *memory = calloc(1, sizeof *memory);
    if (!memory) return yki_fail_memory("a rank's memory");
    *memory = (yki_comm_memory){.work = queue, .data = data, .bytes = bytes};
    if (comm->transport->memory != queue->backend->memory) {
        yoke_status status = make_copy(memory);
        if (status != YOKE_OK) {
            yki_comm_memory_destroy(memory);
            return status;
        }
    }
    comm->memory = *memory_out = memory;
    return YOKE_OK;
}

void yki_comm_memory_destroy(yki_comm_memory *memory)
{
    if (!memory) return;
    const yki_backend_ops *backend = memory->work->backend;
    backend->queue_destroy(memory->copies);
    backend->event_destroy(memory->worked);
    backend->event_destroy(memory->copied);
    yki_blocks_release(&memory->blocks);
    free(memory);
}

void yki_comm_copy(yki_comm *comm, const yki_rect *rect)
{
    if (comm->memory)
        comm->memory->work->backend->transfer(comm->memory->work, YKI_COPY, rect);
    else
        yki_rect_copy(rect);
}
