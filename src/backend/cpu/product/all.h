/* All of our own products as one translation unit, for the instruction set it is compiled with. The including
 * file defines PRODUCTS_NAME and PRODUCTS_SOURCE; CMakeLists.txt gives it its compiler flags. Every function
 * is static, so that code of one instruction set cannot be linked in place of another's. */
#include "backend/cpu/product/products.h"
#include "backend/cpu/product/vec.h"

/* In this order: later ones use the earlier. */
/* clang-format off */
#include "backend/cpu/product/gemm.c"
#include "backend/cpu/product/linear.c"
#include "backend/cpu/product/conv.c"
#include "backend/cpu/product/attention.c"
#include "backend/cpu/product/attention_grad.c"
#include "backend/cpu/product/cached.c"
/* clang-format on */

const yki_products PRODUCTS_NAME = {
    .gemm = gemm,
    .linear = {.source = PRODUCTS_SOURCE, .run = linear_run, .workspace_bytes = linear_workspace_bytes},
    .conv = {.source = PRODUCTS_SOURCE, .run = conv_run, .workspace_bytes = conv_workspace_bytes},
    .attention = {.source = PRODUCTS_SOURCE,
                  .run = attention_run,
                  .workspace_bytes = attention_workspace_bytes},
    .attention_grad = {.source = PRODUCTS_SOURCE,
                       .run = attention_grad_run,
                       .workspace_bytes = attention_grad_workspace_bytes},
    .recall = {.source = PRODUCTS_SOURCE, .run = recall_run, .workspace_bytes = recall_workspace_bytes},
};
