/* What each copy of our own products gives to the table. */
#ifndef YKI_PRODUCT_PRODUCTS_H
#define YKI_PRODUCT_PRODUCTS_H

#include "backend/cpu/gemm.h"

typedef struct yki_products {
    yki_gemm gemm;
    yki_cpu_kernel linear, conv, attention, attention_grad, recall;
} yki_products;

extern const yki_products yki_products_base, yki_products_avx2, yki_products_avx512;

#endif
