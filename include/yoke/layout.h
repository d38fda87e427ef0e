/* Layouts: how a model and its batch are split over devices. */
#ifndef YOKE_LAYOUT_H
#define YOKE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the backward pass makes again instead of keeping it: docs/memory.md. */
typedef enum yoke_recompute {
    YOKE_RECOMPUTE_NONE,
    YOKE_RECOMPUTE_SELECTIVE, /* what attention's core makes */
    YOKE_RECOMPUTE_FULL       /* all but what goes from one group of layers to the next */
} yoke_recompute;
typedef enum yoke_cp_kind { YOKE_CP_RING, YOKE_CP_ULYSSES } yoke_cp_kind;
/* What the devices of a layout are, all of them: the CPU's (cpu:0, ...), or NVIDIA's GPUs (cuda:0, ...). */
typedef enum yoke_device_kind { YOKE_CPU, YOKE_CUDA } yoke_device_kind;
typedef enum yoke_precision { YOKE_PRECISION_F32, YOKE_PRECISION_BF16 } yoke_precision;

/* The most devices of a layout: so many times what is counted of each is still an int. */
#define YOKE_MAX_DEVICES (1 << 20)
/* And of a process that runs them: each has a thread. */
#define YOKE_MAX_LOCAL_DEVICES 1024

/* Ranks run fastest first over tp, cp, dp, pp. Start from YOKE_LAYOUT_DEFAULT. A layout is a value: copied by
 * assignment, thrown away, two that were read from the same text compare equal as memory. The lists that it
 * points to are borrowed: those of a C program last until the call that was given the layout returns (a
 * trainer copies them), in a job as long as the job does; those that the library made are never freed. */
typedef struct yoke_layout {
    int dp, tp, pp, cp; /* degrees of data, tensor, pipeline and context parallelism; each at least 1 */
    yoke_cp_kind
        cp_kind; /* what moves for attention: keys and values round a ring, or heads to one device each */
    bool sp;     /* sequence parallelism between tensor-parallel products */
    int microbatches;           /* parts that each data-parallel rank's share of the batch is run in */
    char schedule[256];         /* gpipe, 1f1b, ..., or a file */
    int chunks;                 /* virtual stages per device */
    int zero;                   /* 0..3: what data-parallel ranks deal out among themselves (ZeRO) */
    int dp_shard, dp_replicate; /* how many neighbours along dp deal it out, and how many such groups have the
                                   same; 0: what the other leaves of dp, all of it if both are 0 */
    int64_t bucket_bytes; /* gradients of so many bytes are reduced over dp together, while the backward pass
                             goes on (zero 0 and 1); 0: 4 MiB */
    yoke_recompute recompute;
    int threads;                  /* per device; 0: cores / local ranks, at least 1 */
    int64_t device_memory_bytes;  /* 0: what the device has */
    int ndevices;                 /* 0: as many devices as the degrees need */
    const int *devices;           /* [ndevices]: device i of the layout is cpu:devices[i]; NULL: cpu:i */
    yoke_device_kind device_kind; /* YOKE_CUDA: cuda:devices[i], which may be named several times */
    /* 0: `recompute` holds for all. Else the number of stages, and each has its own; `recompute` is then
     * NONE. */
    int nrecompute;
    const yoke_recompute *recompute_of; /* [nrecompute]; NULL: there are none */
} yoke_layout;

/* One device. As an initialiser, and for languages without C's. */
YOKE_API void yoke_layout_default(yoke_layout *layout);
#ifdef __cplusplus
static inline yoke_layout yoke_layout_made()
{
    yoke_layout made;
    yoke_layout_default(&made);
    return made;
}
#define YOKE_LAYOUT_DEFAULT yoke_layout_made()
#else
#define YOKE_LAYOUT_DEFAULT                                                                                  \
    {                                                                                                        \
        .dp = 1, .tp = 1, .pp = 1, .cp = 1, .microbatches = 1, .schedule = "1f1b", .chunks = 1               \
    }
#endif

/* The number of the device that a rank of the layout is on: of cpu:3, 3. */
YOKE_API int yoke_layout_device(const yoke_layout *layout, int rank);
/* Its name: "cpu:3", "cuda:0". */
#define YOKE_DEVICE_NAME_BYTES 24
YOKE_API void yoke_layout_device_name(const yoke_layout *layout, int rank, char name[YOKE_DEVICE_NAME_BYTES]);

/* Reads "dp=2,zero=1" over `layout`: keys of the job file's layout, `devices=[cpu:0,cpu:1]` and the path of a
 * schedule, relative to the current folder, among them. A degree named discards the device list; devices
 * named without dp make dp what they leave (so for a job with `device:` keys name dp too). YOKE_INVALID, and
 * `layout` unchanged: an unknown key, a value out of range, devices that cannot be shared out. */
YOKE_API yoke_status yoke_layout_parse(yoke_layout *layout, const char *text);
/* The shortest text that yoke_layout_parse reads back to the same layout from the default; "" is one device.
 * Writes at most `size` bytes with the end. */
YOKE_API void yoke_layout_print(const yoke_layout *layout, char *text, int size);
/* Every key, at its default too: read over any layout it gives this one, but for devices where it names none.
 * Much longer: some 300 bytes, and 20 more for each stage and device that it names. */
YOKE_API void yoke_layout_print_whole(const yoke_layout *layout, char *text, int size);
/* The shortest flags of `yoke train` that mean it, for a job whose file says nothing of a layout; "" is one
 * device. Devices are named only where they are not cpu:0, cpu:1, ... in order. */
YOKE_API void yoke_layout_flags(const yoke_layout *layout, char *text, int size);

#ifdef __cplusplus
}
#endif
#endif
