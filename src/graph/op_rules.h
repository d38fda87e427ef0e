/* What the descriptors of ops.c are made of: shape inference, cuts and gradients, one function an operator.
 */
#ifndef YKI_GRAPH_OP_RULES_H
#define YKI_GRAPH_OP_RULES_H

#include "graph/ops.h"

/* shapes.c */
void yki_infer_same(yoke_model *model, yki_node *node);
void yki_infer_flat(yoke_model *model, yki_node *node);

/* cuts.c */
yoke_status yki_cut_linear(yki_cut_query *query);
yoke_status yki_cut_conv2d(yki_cut_query *query);
yoke_status yki_cut_follow(yki_cut_query *query);
yoke_status yki_cut_rows(yki_cut_query *query);
yoke_status yki_cut_flatten(yki_cut_query *query);
yoke_status yki_cut_channels(yki_cut_query *query);
yoke_status yki_cut_embed(yki_cut_query *query);
yoke_status yki_cut_add(yki_cut_query *query);
yoke_status yki_cut_attention(yki_cut_query *query);
yoke_status yki_cut_rope(yki_cut_query *query);
yoke_status yki_cut_gqa(yki_cut_query *query);
yoke_status yki_cut_xent_max(yki_cut_query *query);
yoke_status yki_cut_xent_sum(yki_cut_query *query);
yoke_status yki_cut_xent_loss(yki_cut_query *query);
yoke_status yki_cut_mse(yki_cut_query *query);

/* gradients.c */
void yki_gradient_linear(yki_grad_context *context);
void yki_gradient_conv2d(yki_grad_context *context);
void yki_gradient_maxpool2d(yki_grad_context *context);
void yki_gradient_avgpool2d(yki_grad_context *context);
void yki_gradient_reshape(yki_grad_context *context);
void yki_gradient_embed(yki_grad_context *context);
void yki_gradient_position(yki_grad_context *context);
void yki_gradient_layernorm(yki_grad_context *context);
void yki_gradient_batchnorm(yki_grad_context *context);
void yki_gradient_rmsnorm(yki_grad_context *context);
void yki_gradient_activate(yki_grad_context *context);
void yki_gradient_softmax(yki_grad_context *context);
void yki_gradient_dropout(yki_grad_context *context);
void yki_gradient_add(yki_grad_context *context);
void yki_gradient_attention(yki_grad_context *context);
void yki_gradient_rope(yki_grad_context *context);
void yki_gradient_gate(yki_grad_context *context);
void yki_gradient_gqa(yki_grad_context *context);
void yki_gradient_join(yki_grad_context *context);
void yki_gradient_split(yki_grad_context *context);
void yki_gradient_xent_loss(yki_grad_context *context);
void yki_gradient_mse(yki_grad_context *context);

#endif
