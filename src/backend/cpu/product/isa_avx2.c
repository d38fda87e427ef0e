/* Our own products for AVX2 and FMA (x86-64-v3). */
#define PRODUCTS_NAME   yki_products_avx2
#define PRODUCTS_SOURCE "product avx2"
#include "backend/cpu/product/all.h"
