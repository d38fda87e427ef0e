/* Products of a base that may be adapted. */
#ifndef YKI_MODEL_ADAPTER_H
#define YKI_MODEL_ADAPTER_H

#include "model/model.h"

typedef struct yki_product {
    int x, weight, bias; /* values; bias -1: none */
    bool own;            /* the weight is this product's alone, and no embedding too */
    int64_t sections, unit;
    bool even; /* as in yki_node */
} yki_product;

/* y = W x + b of the module of that name ("h.0.attn.c_attn"), and what an adapter adds where the module is
 * one of its targets. */
int yki_model_product(yoke_model *model, const char *module, const yki_product *product);
/* Sets the model's error where a target was no product's. */
void yki_model_check_adapter(yoke_model *model);

#endif
