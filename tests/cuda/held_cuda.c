/* CUDA's slots as a table of the CPU's kind: what a launch puts in, the emulator runs. A team of 1, 2 or 3
 * threads stands for an order of a block's threads. */
#include <stdio.h>
#include <stdlib.h>

#include "backend/cuda/slots.h"
#include "backend/held.h"
#include "cuda/emulator.h"

typedef struct emulation {
    yki_cuda_sink sink;
    yki_emulated_order order;
    uint64_t seed;
} emulation;

static void emulate(yki_cuda_sink *sink, yki_cuda_kernel kernel, yki_cuda_shape shape, const void *args)
{
    emulation *e = (emulation *)sink;
    const yki_emulated *found = yki_emulated_find(yki_cuda_kernel_name(kernel));
    yki_emulated_launch launch = {.kernel = found,
                                  .args = args,
                                  .blocks_x = (unsigned)shape.x,
                                  .blocks_y = (unsigned)shape.y,
                                  .threads = (unsigned)shape.threads,
                                  .order = e->order,
                                  .seed = e->seed++};
    const char *wrong = found ? yki_emulate(&launch) : yki_cuda_kernel_name(kernel);
    if (!wrong) return;
    fprintf(stderr, "%s\n", wrong);
    abort();
}

static void run(const yki_launch *launch, void *state, int threads)
{
    (void)state;
    emulation e = {.sink.put = emulate, .order = (yki_emulated_order)(threads - 1), .seed = 11};
    yki_cuda_slots[launch->kernel].run(launch, &e.sink);
}

static size_t workspace_bytes(const yki_launch *shapes, int threads)
{
    (void)threads;
    const yki_cuda_slot *slot = &yki_cuda_slots[shapes->kernel];
    return slot->workspace_bytes ? slot->workspace_bytes(shapes) : 0;
}

int held_tables(held_table tables[HELD_MOST])
{
    static yki_cpu_table table;
    yki_cpu_register_reference(&table);
    for (int k = 0; k < YKI_KERNEL_COUNT; k++) {
        if (!yki_cuda_slots[k].run) {
            fprintf(stderr, "%s has no slot of CUDA\n", yki_kernel_name((yki_kernel)k));
            abort();
        }
        yki_cpu_register(&table, (yki_kernel)k,
                         (yki_cpu_kernel){.source = "cuda", .run = run, .workspace_bytes = workspace_bytes});
    }
    tables[0] = (held_table){
        .table = &table, .teams = {1, 2, 3}, .same_bits = true, .complete = true, .most_bytes = 20000};
    return 1;
}
