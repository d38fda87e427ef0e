/* What the tests of machines share: the contract's file, copies of it with changes, machines from text. */
#ifndef YKI_TESTS_MACHINE_FILES_H
#define YKI_TESTS_MACHINE_FILES_H

#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "predict/machine/machine.h"

#define RACKS YKI_MACHINE_FILES "/racks.yaml"

static inline char *read_all(const char *path)
{
    enum { MOST = 1 << 16 };
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, MOST);
    assert_non_null(text);
    assert_true(fread(text, 1, MOST - 1, file) > 0);
    fclose(file);
    return text;
}

static inline yoke_status read_machine(const char *text, yoke_machine **machine_out)
{
    yki_yaml *root = NULL;
    *machine_out = NULL;
    yoke_status status = yki_yaml_parse(text, strlen(text), "m.yaml", &root);
    if (status == YOKE_OK) status = yki_machine_read(root, "m.yaml", machine_out);
    yki_yaml_destroy(root);
    return status;
}

/* The contract's file with the first `from` replaced by `to`; freed by the caller. */
static inline char *changed(const char *from, const char *to)
{
    char *text = read_all(RACKS), *made = malloc(strlen(text) + strlen(to) + 1);
    assert_non_null(made);
    const char *at = strstr(text, from);
    if (!at) fail_msg("the file has no '%s'", from);
    size_t before = strlen(text) - strlen(at);
    sprintf(made, "%.*s%s%s", (int)before, text, to, text + before + strlen(from));
    free(text);
    return made;
}

static inline yoke_machine *machine_with(const char *from, const char *to)
{
    yoke_machine *machine;
    char *text = changed(from, to);
    if (read_machine(text, &machine) != YOKE_OK) fail_msg("%s: %s", to, yoke_error_get()->message);
    free(text);
    return machine;
}

static inline void assert_same(const yoke_machine *a, const yoke_machine *b)
{
    assert_memory_equal(a, b, offsetof(yoke_machine, stragglers));
    assert_memory_equal(a->measured_on, b->measured_on, sizeof *a - offsetof(yoke_machine, measured_on));
    if (a->nstragglers)
        assert_memory_equal(a->stragglers, b->stragglers, (size_t)a->nstragglers * sizeof *a->stragglers);
    for (int i = 0; i < a->nlinks; i++)
        assert_true(a->links[i].level == b->links[i].level && a->links[i].group == b->links[i].group &&
                    a->links[i].bandwidth == b->links[i].bandwidth);
}

static inline void assert_same_tables(const yoke_machine *a, const yoke_machine *b)
{
    assert_int_equal(a->nkernels, b->nkernels);
    assert_int_equal(a->nmoves, b->nmoves);
    for (int i = 0; i < a->nkernels; i++) {
        const yoke_machine_kernel *x = &a->kernels[i], *y = &b->kernels[i];
        assert_true(x->kernel == y->kernel && x->precision == y->precision && x->threads == y->threads);
        assert_true(x->seconds == y->seconds);
        assert_memory_equal(x->dims, y->dims, sizeof x->dims);
    }
    for (int i = 0; i < a->nmoves; i++) {
        const yoke_machine_move *x = &a->moves[i], *y = &b->moves[i];
        assert_true(x->op == y->op && x->level == y->level && x->ranks == y->ranks);
        assert_true(x->bytes == y->bytes && x->seconds == y->seconds);
    }
}

/* Prints it, and reads back the same. */
static inline void assert_reads_back(const yoke_machine *machine)
{
    yoke_machine *again;
    char *text = yoke_machine_print(machine);
    assert_non_null(text);
    if (read_machine(text, &again) != YOKE_OK)
        fail_msg("line %d: %s, of\n%s", yoke_error_get()->line, yoke_error_get()->message, text);
    assert_same(machine, again);
    assert_same_tables(machine, again);
    yoke_machine_destroy(again);
    free(text);
}

#endif
