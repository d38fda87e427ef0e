/* Our own products for the instructions every CPU of this architecture has. */
#define PRODUCTS_NAME   yki_products_base
#define PRODUCTS_SOURCE "product base"
#include "backend/cpu/product/all.h"
