/* Constants that depend on which share of a value this rank has. */
#include "base/rng.h"
#include "plan/placer.h"

void yki_localise(const yki_placer *p, const yki_node *node, const yki_cut_query *query,
                  yki_placed_node *placed)
{
    yki_locality l = {.query = query,
                      .rank = p->tp_rank,
                      .tokens = p->tokens,
                      .positions = p->positions,
                      .attr = &placed->attr,
                      .counts_loss = p->tp_rank == 0};
    if (placed->attr.key) placed->attr.key = yki_rng_bits(placed->attr.key, p->plan->options.seed);
    if (yki_op(node->op)->localise) yki_op(node->op)->localise(&l);
    placed->skip_bias = l.skip_bias;
    placed->counts_loss = l.counts_loss;
}
