/* Machines, real or imagined, as a machine file describes them: devices of one kind, the levels of links that
 * join them, and what departs from the rule. Nothing here looks at the machine that the program runs on.
 * docs/machine-file.md says what every key means. */
#ifndef YOKE_MACHINE_H
#define YOKE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/export.h"
#include "yoke/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    YOKE_MACHINE_LEVELS = 8,        /* at most */
    YOKE_MACHINE_POINTS = 64,       /* of each table of a device, at most */
    YOKE_MACHINE_EXCEPTIONS = 4096, /* at most, of both kinds together */
    YOKE_MACHINE_PRECISIONS = 6,    /* of yoke_machine_precisions */
    YOKE_MACHINE_DEVICES = 1 << 24, /* at most */
    YOKE_MACHINE_KERNELS = 16384,   /* at most */
    YOKE_MACHINE_MOVES = 4096,      /* at most */
    YOKE_MACHINE_DIMS = 12,         /* of a kernel's shape, at most */
};

typedef struct yoke_machine_point {
    double work;  /* FLOP of one product */
    double share; /* of the device's rate that it reaches, in (0, 1] */
} yoke_machine_point;

typedef struct yoke_machine_shared {
    int64_t devices; /* that work at a time, from 2 */
    double rate;     /* of each of them, as a share of its rate when it works alone, in (0, 1] */
} yoke_machine_shared;

typedef struct yoke_machine_device {
    char name[64];
    int64_t memory_bytes, reserve_bytes;   /* a process may use what is left of memory without the reserve */
    double rates[YOKE_MACHINE_PRECISIONS]; /* FLOP/s of a product at its peak, by precision; 0: not said */
    double bandwidth;                      /* of its memory, bytes/s */
    double launch_s;                       /* per kernel */
    double step_s;                         /* per step, beside kernels and movements */
    int cores;                             /* that all devices share; 0: each has its own */
    int nshared;
    yoke_machine_shared shared[YOKE_MACHINE_POINTS]; /* by devices, ascending */
    int npoints;
    yoke_machine_point points[YOKE_MACHINE_POINTS]; /* by work, ascending; none: every product at its peak */
} yoke_machine_device;

/* Links that join `count` members to a group. Members of the innermost level are devices, of the others the
 * groups one level down. */
typedef struct yoke_machine_level {
    char name[64];
    int64_t count;
    double bandwidth; /* bytes/s in each direction: of an adapter, or, where a member has none, of a device */
    double latency_s;
    int64_t adapters;        /* of a member, shared by its devices; 0: every device has a link of its own */
    double oversubscription; /* at least 1: what all members may send at once is divided by it */
} yoke_machine_level;

typedef struct yoke_machine_straggler {
    int64_t device;
    double slower; /* all it computes takes so many times as long; at least 1 */
} yoke_machine_straggler;

typedef struct yoke_machine_link {
    int level;
    int64_t group;    /* the member whose links these are, from 0 over the whole machine */
    double bandwidth; /* in place of the level's */
} yoke_machine_link;

/* How long one launch of a kernel took. Its shape is a number for each letter of the kernel's signature, in
 * their order there (docs/machine-file.md); 0 where the operand that says it was absent. */
typedef struct yoke_machine_kernel {
    int kernel;    /* its number among all: yoke_machine_kernel_name */
    int precision; /* bf16 where one of its operands is, else f32; as rates are indexed */
    int threads;   /* that the device had */
    int64_t dims[YOKE_MACHINE_DIMS];
    double seconds;
} yoke_machine_kernel;

/* How long a movement over a group took, from its start until all have waited for it. */
typedef struct yoke_machine_move {
    int op; /* yoke_machine_move_name */
    int level;
    int ranks;     /* of the group */
    int64_t bytes; /* that a member receives */
    double seconds;
} yoke_machine_move;

typedef struct yoke_machine {
    char name[128];
    yoke_machine_device device;
    int nlevels;
    yoke_machine_level levels[YOKE_MACHINE_LEVELS]; /* innermost first */
    int64_t ndevices;                               /* the product of their counts; 1 without levels */
    double contention; /* share of a product's rate lost while data move, in [0, 1) */
    int nstragglers, nlinks;
    yoke_machine_straggler *stragglers; /* owned; by device */
    yoke_machine_link *links;           /* owned; by level and group */
    int nkernels, nmoves;
    yoke_machine_kernel *kernels; /* owned; by kernel, precision, threads and dims */
    yoke_machine_move *moves;     /* owned; by op, level, ranks and bytes */
    char measured_on[16], measured_by[64], measured_command[256]; /* "" in an invented machine */
} yoke_machine;

/* Reads a machine file. YOKE_INVALID with file, line and key: bad YAML (as yoke_job_load), an unknown key
 * (the nearest is named), a number without its unit or out of range, an exception of what is not there. Owns:
 * the caller; yoke_machine_destroy. */
YOKE_API yoke_status yoke_machine_load(const char *path, yoke_machine **machine_out);

/* The machine that `--machine TEXT` means: "here" (what `yoke bench` wrote: yoke/machine.yaml in
 * XDG_DATA_HOME, or in ~/.local/share), a preset, "h100-sxm", which is one node, "h100-sxm:8x1280", 1280
 * nodes of 8 devices (a node's adapters stay in proportion to its devices), or else a file. YOKE_INVALID:
 * none of them, or as yoke_machine_load. Owns: the caller; yoke_machine_destroy. */
YOKE_API yoke_status yoke_machine_find(const char *text, yoke_machine **machine_out);

/* The names of presets; NULL past the last. Static storage. */
YOKE_API const char *yoke_machine_preset(int i);

/* NULL is nothing. */
YOKE_API void yoke_machine_destroy(yoke_machine *machine);

/* The machine as YAML that yoke_machine_load reads back as the same machine, every figure to the bit. Freed
 * by the caller with free(). NULL when memory is out. */
YOKE_API char *yoke_machine_print(const yoke_machine *machine);

/* The names of precisions that `rates` is indexed by: f64, f32, tf32, bf16, f16, f8. Static storage. */
YOKE_API const char *yoke_machine_precision(int i);

/* The names of kernels and of movements that tables of measurements have; NULL past the last. Static storage.
 */
YOKE_API const char *yoke_machine_kernel_name(int i);
YOKE_API const char *yoke_machine_move_name(int i);
/* The letters that a kernel's shape is said by, a dim each. Static storage. */
YOKE_API const char *yoke_machine_kernel_letters(int i);

/* Of a launch of that shape: its FLOPs, where its work is arithmetic, else 0 (of attention: all pairs of a
 * query and a key); bytes of its operands. mnk_out: of a product [m, k] x [k, n], or of the one that a
 * convolution comes to; zeros: it is no product. */
YOKE_API double yoke_machine_kernel_flops(const yoke_machine_kernel *row, int64_t mnk_out[3]);
YOKE_API double yoke_machine_kernel_bytes(const yoke_machine_kernel *row);

/* The rate of a product in FLOP/s. YOKE_INVALID where the machine says none for that precision, or there is
 * no such precision: names it, and those it has. */
YOKE_API yoke_status yoke_machine_rate(const yoke_machine *machine, const char *precision,
                                       double *flops_per_s_out);

/* The share of the rate that a product of so much work reaches: between points linear in the logarithm of
 * work, before the first and past the last as at them; 1 where the machine has no points. */
YOKE_API double yoke_machine_efficiency(const yoke_machine *machine, double work);

/* The rate of each of `devices` that compute at a time, as a share of what it has alone: linear between those
 * the machine says (one device: 1). Past the last, cores are dealt out: all together do what they did there.
 */
YOKE_API double yoke_machine_shared_rate(const yoke_machine *machine, int devices);

#ifdef __cplusplus
}
#endif
#endif
