/* Machine files; after the mark, what --machine says. What reads: it prints and reads back as the same
 * machine, and what it answers lies in its range. */
#include "yoke/machine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/input.h"

static void require_same(const yoke_machine *a, const yoke_machine *b)
{
    bool rows = a->nstragglers == b->nstragglers && a->nlinks == b->nlinks;
    for (int i = 0; rows && i < a->nstragglers; i++)
        rows = a->stragglers[i].device == b->stragglers[i].device &&
               a->stragglers[i].slower == b->stragglers[i].slower;
    for (int i = 0; rows && i < a->nlinks; i++)
        rows = a->links[i].level == b->links[i].level && a->links[i].group == b->links[i].group &&
               a->links[i].bandwidth == b->links[i].bandwidth;
    rows = rows && a->nkernels == b->nkernels && a->nmoves == b->nmoves;
    for (int i = 0; rows && i < a->nkernels; i++)
        rows = a->kernels[i].kernel == b->kernels[i].kernel &&
               a->kernels[i].seconds == b->kernels[i].seconds &&
               memcmp(a->kernels[i].dims, b->kernels[i].dims, sizeof a->kernels[i].dims) == 0;
    for (int i = 0; rows && i < a->nmoves; i++)
        rows = a->moves[i].op == b->moves[i].op && a->moves[i].bytes == b->moves[i].bytes &&
               a->moves[i].seconds == b->moves[i].seconds;
    size_t scalars = offsetof(yoke_machine, stragglers), rest = offsetof(yoke_machine, measured_on);
    fuzz_require(rows && memcmp(a, b, scalars) == 0 &&
                     memcmp((const char *)a + rest, (const char *)b + rest, sizeof *a - rest) == 0,
                 "a machine that was read back is the same");
}

static void print_and_read(const yoke_machine *machine)
{
    char *text = yoke_machine_print(machine);
    yoke_machine *again;
    fuzz_require(text != NULL, "a machine prints");
    yoke_status status = yoke_machine_load(fuzz_file(1, text, strlen(text)), &again);
    if (status != YOKE_OK)
        fprintf(stderr, "%s\n%d: %s: %s\n", text, yoke_error_get()->line, yoke_error_get()->key,
                yoke_error_get()->message);
    fuzz_require(status == YOKE_OK, "what a machine prints reads back");
    require_same(machine, again);
    yoke_machine_destroy(again);
    free(text);
}

static void ask(const yoke_machine *machine)
{
    fuzz_require(machine->ndevices >= 1 && machine->ndevices <= YOKE_MACHINE_DEVICES, "devices are counted");
    for (double work = 1e-3; work < 1e18; work *= 137) {
        double share = yoke_machine_efficiency(machine, work);
        fuzz_require(share > 0 && share <= 1, "a share of the peak is one");
    }
    for (int devices = 0; devices < 70000; devices = devices * 3 + 1) {
        double rate = yoke_machine_shared_rate(machine, devices);
        fuzz_require(rate > 0 && rate <= 1, "a shared rate is a share");
    }
    bool any = false;
    for (int i = 0; i < YOKE_MACHINE_PRECISIONS; i++) {
        double rate = -1;
        bool has = fuzz_accepted(yoke_machine_rate(machine, yoke_machine_precision(i), &rate));
        fuzz_require(!has || (rate > 0 && isfinite(rate)), "a rate is positive");
        any = any || has;
    }
    fuzz_require(any, "a machine has a rate");
}

static void use(yoke_machine *machine)
{
    print_and_read(machine);
    ask(machine);
    yoke_machine_destroy(machine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char said[200];
    fuzz_part parts[2];
    yoke_machine *machine;
    int count = fuzz_split(data, size, parts, 2);
    if (fuzz_accepted(yoke_machine_load(fuzz_file(0, parts[0].data, parts[0].size), &machine))) use(machine);
    if (count == 1) return 0;
    snprintf(said, sizeof said, "%.*s", (int)(parts[1].size < 199 ? parts[1].size : 199),
             (const char *)parts[1].data);
    if (said[0] == '/' || said[0] == '.' || strcmp(said, "here") == 0) return 0; /* no files but its own */
    if (fuzz_accepted(yoke_machine_find(said, &machine))) use(machine);
    return 0;
}
