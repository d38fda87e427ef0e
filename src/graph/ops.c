/* The table of operators: the rows of graph/ops, and what their kernels' signatures say. */
#include "graph/ops.h"

#define DECLARE(id, ...) extern YKI_OPERATOR(id);
#define NO_ROW(id, ...)
YKI_KERNEL_LIST(DECLARE, NO_ROW)
DECLARE(RESHAPE)
DECLARE(COPY)

static const yki_op_info source = {.tokens = YKI_TOKENS_APART};

/* clang-format off */
static const yki_op_info *const rows[YKI_OP_COUNT] = {
#define ROW(id, ...) [YKI_KERNEL_##id] = &yki_op_##id,
    YKI_KERNEL_LIST(ROW, NO_ROW)
#undef ROW
    [YKI_OP_INPUT] = &source,
    [YKI_OP_TARGET] = &source,
    [YKI_OP_PLACES] = &source,
    [YKI_OP_PICKED] = &source,
    [YKI_OP_RESHAPE] = &yki_op_RESHAPE,
    [YKI_OP_MOVE + YKI_MOVE_COPY] = &yki_op_COPY,
};
/* clang-format on */

const yki_op_info *yki_op(int op)
{
    static const yki_op_info none;
    return rows[op] ? rows[op] : &none;
}

const char *yki_op_name(int op)
{
    static const char *const others[] = {"input", "target", "places", "picked", "reshape"};
    if (op < YKI_KERNEL_COUNT) return yki_kernel_name((yki_kernel)op);
    return op < YKI_OP_MOVE ? others[op - YKI_OP_INPUT] : yki_movements[op - YKI_OP_MOVE].name;
}

const yki_word *yki_op_word(int op, int i)
{
    return op < YKI_KERNEL_COUNT ? &yki_kernel_signature((yki_kernel)op)->words[i] : NULL;
}

int yki_op_inputs(int op, int nin)
{
    return op < YKI_KERNEL_COUNT ? yki_kernel_signature((yki_kernel)op)->ninputs : nin;
}

yki_in_place yki_op_in_place(int op)
{
    return op < YKI_KERNEL_COUNT ? yki_op_word(op, yki_op_inputs(op, 0))->in_place : YKI_IN_PLACE_NO;
}
