/* The reference as a whole. */
#include "backend/cpu/reference/reference.h"

void yki_cpu_register_reference(yki_cpu_table *table)
{
    yki_reference_register_products(table);
    yki_reference_register_conv(table);
    yki_reference_register_pools(table);
    yki_reference_register_embeddings(table);
    yki_reference_register_norms(table);
    yki_reference_register_batchnorm(table);
    yki_reference_register_pointwise(table);
    yki_reference_register_rope(table);
    yki_reference_register_attention(table);
    yki_reference_register_cached(table);
    yki_reference_register_losses(table);
    yki_reference_register_optimizers(table);
}
