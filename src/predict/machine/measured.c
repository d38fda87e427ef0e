/* The tables that `yoke bench` measures: launches of kernels by shape, movements by size. A person may edit
 * them; a machine without them is reckoned by its rates and links alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/signature.h"
#include "base/fail.h"
#include "base/text.h"
#include "move/move.h"
#include "predict/machine/machine.h"
#include "predict/machine/place.h"
#include "predict/measured.h"

/* ---- names ---- */

const char *yoke_machine_kernel_name(int i)
{
    return i >= 0 && i < YKI_KERNEL_COUNT ? yki_kernel_name((yki_kernel)i) : NULL;
}

const char *yoke_machine_move_name(int i)
{
    return i >= 0 && i < YKI_MOVE_COUNT ? yki_movements[i].name : NULL;
}

const char *yoke_machine_kernel_letters(int i)
{
    static _Thread_local char letters[YOKE_MACHINE_DIMS + 1];
    int count = 0;
    letters[0] = '\0';
    if (i < 0 || i >= YKI_KERNEL_COUNT) return letters;
    const yki_signature *signature = yki_kernel_signature((yki_kernel)i);
    for (int w = 0; w < signature->nwords; w++)
        for (int k = 0; k < signature->words[w].nletters; k++) {
            char letter = signature->words[w].letters[k];
            if ((letter >= '0' && letter <= '9') || strchr(letters, letter) || count == YOKE_MACHINE_DIMS)
                continue;
            letters[count++] = letter;
            letters[count] = '\0';
        }
    return letters;
}

int yki_precision_of(bool half)
{
    int i = 0;
    while (strcmp(yoke_machine_precision(i), half ? "bf16" : "f32") != 0) i++;
    return i;
}

/* ---- amounts ---- */

/* What a letter or a digit stands for; 1 where the operand that says it was absent. */
static double number_of(const yoke_machine_kernel *row, char letter)
{
    const char *letters = yoke_machine_kernel_letters(row->kernel), *at = strchr(letters, letter);
    if (letter >= '0' && letter <= '9') return letter - '0';
    return at && row->dims[at - letters] > 0 ? (double)row->dims[at - letters] : 1;
}

double yoke_machine_kernel_flops(const yoke_machine_kernel *row, int64_t mnk_out[3])
{
    static const struct {
        const char *letters; /* that all products of the kind have; then of m, n and k */
        const char *of[3];
    } products[] = {{"RNK", {"R", "N", "K"}}, {"nOyzCkk", {"nyz", "O", "Ckk"}}};
    if (mnk_out) memset(mnk_out, 0, 3 * sizeof *mnk_out);
    if (!row || row->kernel < 0 || row->kernel >= YKI_KERNEL_COUNT) return 0;
    const char *work = yki_kernel_signature((yki_kernel)row->kernel)->work;
    double flops = 1;
    if (!*work) return 0;
    for (const char *at = work; *at; at++)
        flops *= *at == 'P'   ? number_of(row, 'T') * number_of(row, 'S')
                 : *at == 'c' ? 1
                              : number_of(row, *at);
    for (size_t i = 0; i < sizeof products / sizeof *products && mnk_out; i++) {
        if (strcmp(work + 1, products[i].letters) != 0) continue;
        for (int k = 0; k < 3; k++) {
            double number = 1;
            for (const char *at = products[i].of[k]; *at; at++) number *= number_of(row, *at);
            mnk_out[k] = (int64_t)number;
        }
    }
    return flops;
}

double yoke_machine_kernel_bytes(const yoke_machine_kernel *row)
{
    double bytes = 0;
    if (!row || row->kernel < 0 || row->kernel >= YKI_KERNEL_COUNT) return 0;
    const yki_signature *signature = yki_kernel_signature((yki_kernel)row->kernel);
    bool half = row->precision == yki_precision_of(true);
    for (int w = 0; w < signature->nwords; w++) {
        const yki_word *word = &signature->words[w];
        double elements = 1;
        for (int k = 0; k < word->nletters; k++) elements *= number_of(row, word->letters[k]);
        bytes += elements * (half && strchr("xsvzh", word->type) ? 2 : 4);
    }
    return bytes;
}

/* ---- reading ---- */

/* The number of the name at `key`, of a table of them; what: "a kernel". */
static yoke_status read_name(const yki_place *at, const char *key, const char *what,
                             const char *(*name_of)(int i), int *number_out)
{
    const char *names[YKI_KERNEL_COUNT + YKI_MOVE_COUNT];
    char path[YKI_PLACE_PATH], shown[96];
    int count = 0;
    yki_place here = yki_place_inner(at, key, path);
    if (here.node->kind != YKI_YAML_SCALAR) return yki_place_fail_value(&here, "a name");
    while ((names[count] = name_of(count))) count++;
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], here.node->text) == 0) {
            *number_out = i;
            return YOKE_OK;
        }
    const char *near = yki_nearest(here.node->text, names, count);
    yki_yaml_shown(shown, here.node->text);
    if (near) return yki_place_fail(&here, "there is no %s '%s'; did you mean '%s'?", what, shown, near);
    return yki_place_fail(&here, "there is no %s '%s'", what, shown);
}

/* "R1024 K128 N384", by the letters of the kernel. */
static yoke_status read_shape(const yki_place *at, yoke_machine_kernel *kernel)
{
    char path[YKI_PLACE_PATH], expected[160], letters[YOKE_MACHINE_DIMS + 1], spaced[64] = "";
    yki_place here = yki_place_inner(at, "shape", path);
    const char *text = here.node->kind == YKI_YAML_SCALAR ? here.node->text : "";
    memcpy(letters, yoke_machine_kernel_letters(kernel->kernel), sizeof letters);
    for (int i = 0; letters[i]; i++)
        snprintf(spaced + 2 * i, sizeof spaced - 2 * (size_t)i, " %c", letters[i]);
    snprintf(expected, sizeof expected, "a number after each of the letters%s, as the kernel %s has them",
             spaced, yoke_machine_kernel_name(kernel->kernel));
    for (int i = 0; letters[i]; i++) {
        char *end;
        if (*text != letters[i] || text[1] < '0' || text[1] > '9')
            return yki_place_fail_value(&here, expected);
        kernel->dims[i] = strtoll(text + 1, &end, 10);
        if (kernel->dims[i] > INT64_C(1) << 53) return yki_place_fail_value(&here, expected);
        text = end + strspn(end, " ");
    }
    return *text ? yki_place_fail_value(&here, expected) : YOKE_OK;
}

static yoke_status read_kernel(const yki_place *at, yoke_machine_kernel *kernel)
{
    YKI_TRY(yki_place_read(at, &yki_machine_kernel_keys, kernel));
    YKI_TRY(read_name(at, "name", "kernel", yoke_machine_kernel_name, &kernel->kernel));
    YKI_TRY(read_name(at, "type", "precision", yoke_machine_precision, &kernel->precision));
    return read_shape(at, kernel);
}

static yoke_status read_move(const yki_place *at, const yoke_machine *machine, yoke_machine_move *move)
{
    char path[YKI_PLACE_PATH];
    YKI_TRY(yki_place_read(at, &yki_machine_move_keys, move));
    YKI_TRY(read_name(at, "op", "movement", yoke_machine_move_name, &move->op));
    yki_place level = yki_place_inner(at, "level", path);
    move->level = level.node->kind == YKI_YAML_SCALAR ? yki_level_named(machine, level.node->text) : -1;
    return move->level < 0 ? yki_place_fail_level(&level, machine) : YOKE_OK;
}

static int by_kernel(const void *a, const void *b)
{
    const yoke_machine_kernel *x = a, *y = b;
    if (x->kernel != y->kernel) return x->kernel - y->kernel;
    if (x->precision != y->precision) return x->precision - y->precision;
    if (x->threads != y->threads) return x->threads - y->threads;
    for (int i = 0; i < YOKE_MACHINE_DIMS; i++)
        if (x->dims[i] != y->dims[i]) return x->dims[i] < y->dims[i] ? -1 : 1;
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static int by_move(const void *a, const void *b)
{
    const yoke_machine_move *x = a, *y = b;
    if (x->op != y->op) return x->op - y->op;
    if (x->level != y->level) return x->level - y->level;
    if (x->ranks != y->ranks) return x->ranks - y->ranks;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

void yki_machine_sort_tables(yoke_machine *machine)
{
    if (machine->nkernels > 0)
        qsort(machine->kernels, (size_t)machine->nkernels, sizeof *machine->kernels, by_kernel);
    if (machine->nmoves > 0) qsort(machine->moves, (size_t)machine->nmoves, sizeof *machine->moves, by_move);
}

static yoke_status read_kernels(const yki_place *at, yoke_machine *machine)
{
    char path[YKI_PLACE_PATH];
    YKI_TRY(yki_place_need_list(at, "a list of measured kernels", YOKE_MACHINE_KERNELS));
    machine->kernels = calloc((size_t)at->node->count + 1, sizeof *machine->kernels);
    if (!machine->kernels) return yki_fail_memory("a machine");
    for (int i = 0; i < at->node->count; i++) {
        yki_place here = yki_place_item(at, i, path);
        YKI_TRY(read_kernel(&here, &machine->kernels[machine->nkernels]));
        machine->nkernels++;
    }
    return YOKE_OK;
}

static yoke_status read_moves(const yki_place *at, yoke_machine *machine)
{
    char path[YKI_PLACE_PATH];
    YKI_TRY(yki_place_need_list(at, "a list of measured movements", YOKE_MACHINE_MOVES));
    machine->moves = calloc((size_t)at->node->count + 1, sizeof *machine->moves);
    if (!machine->moves) return yki_fail_memory("a machine");
    for (int i = 0; i < at->node->count; i++) {
        yki_place here = yki_place_item(at, i, path);
        YKI_TRY(read_move(&here, machine, &machine->moves[machine->nmoves]));
        machine->nmoves++;
    }
    return YOKE_OK;
}

yoke_status yki_machine_read_tables(const yki_place *at, yoke_machine *machine)
{
    char path[YKI_PLACE_PATH];
    yki_place here = yki_place_inner(at, "kernels", path);
    if (here.node) YKI_TRY(read_kernels(&here, machine));
    here = yki_place_inner(at, "moves", path);
    if (here.node) YKI_TRY(read_moves(&here, machine));
    yki_machine_sort_tables(machine);
    return YOKE_OK;
}

/* ---- printing ---- */

void yki_machine_print_shape(yki_text *text, const yoke_machine_kernel *kernel)
{
    const char *letters = yoke_machine_kernel_letters(kernel->kernel);
    for (int i = 0; letters[i]; i++)
        yki_text_append(text, "%s%c%lld", i ? " " : "", letters[i], (long long)kernel->dims[i]);
}

void yki_machine_print_tables(yki_text *text, const yoke_machine *machine)
{
    for (int i = 0; i < machine->nkernels; i++) {
        const yoke_machine_kernel *k = &machine->kernels[i];
        yki_text_append(text, "%s  - {name: %s, type: %s, shape: ", i ? "" : "kernels:\n",
                        yoke_machine_kernel_name(k->kernel), yoke_machine_precision(k->precision));
        yki_machine_print_shape(text, k);
        yki_machine_print_section(text, &yki_machine_kernel_keys, k, ", ", ", ");
        yki_text_append(text, "}\n");
    }
    for (int i = 0; i < machine->nmoves; i++) {
        const yoke_machine_move *m = &machine->moves[i];
        yki_text_append(text, "%s  - {op: %s, level: ", i ? "" : "moves:\n", yoke_machine_move_name(m->op));
        yki_value_print_text(text, machine->levels[m->level].name);
        yki_machine_print_section(text, &yki_machine_move_keys, m, ", ", ", ");
        yki_text_append(text, "}\n");
    }
}
