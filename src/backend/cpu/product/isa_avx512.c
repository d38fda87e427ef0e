/* Our own products for AVX-512 (x86-64-v4). */
#define PRODUCTS_NAME   yki_products_avx512
#define PRODUCTS_SOURCE "product avx512"
#include "backend/cpu/product/all.h"
