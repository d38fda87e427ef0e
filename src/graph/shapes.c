/* Shapes: what a node makes of its inputs'. The signature of its kernel says; what has none has a rule here.
 */
#include <string.h>

#include "graph/ops.h"

/* What a signature's letters stand for in a node. */
typedef struct meaning {
    int64_t of[128];
    bool per_sample;     /* those are of one sample */
    int nleading, nrest; /* dims that R, E or a whole tensor are, and those of a last i */
    int64_t leading[YOKE_MAX_DIMS], rest[YOKE_MAX_DIMS];
} meaning;

static bool ends_in_rest(const yki_word *word)
{
    return word->letters[word->nletters - 1] == 'i' && !word->whole;
}

static void read_input(const yki_word *word, const yki_attr *attr, const yki_value *value, meaning *m)
{
    yki_view view = yki_word_view(word, attr, YKI_F32, value->per_sample, value->ndim, value->dims);
    for (int i = 0; i < word->nletters; i++) m->of[(int)word->letters[i]] = view.dims[i];
    if (yki_word_gathers(word)) {
        m->nleading = value->ndim - (word->nitems - 1);
        m->per_sample = value->per_sample;
        memcpy(m->leading, value->dims, sizeof m->leading);
    }
    if (ends_in_rest(word)) { /* behind the samples and what has a letter */
        m->nrest = value->ndim - (word->nitems - 2);
        memcpy(m->rest, value->dims + (word->nitems - 2), sizeof *m->rest * (size_t)m->nrest);
    }
}

/* What a window leaves of an image. */
static void read_window(const yki_attr *attr, meaning *m)
{
    if (attr->stride < 1) return;
    m->of['y'] = (m->of['h'] + 2 * attr->padding - attr->kernel) / attr->stride + 1;
    m->of['z'] = (m->of['w'] + 2 * attr->padding - attr->kernel) / attr->stride + 1;
}

static yki_role role_of(const yki_word *word)
{
    if (strchr("itaj", word->type)) return YKI_ROLE_INDEX;
    return strchr("fp", word->type) ? YKI_ROLE_STATISTIC : YKI_ROLE_ACTIVATION;
}

static void make_output(yoke_model *model, yki_node *node, const yki_word *word, const meaning *m)
{
    int64_t dims[2 * YOKE_MAX_DIMS];
    bool gathers = yki_word_gathers(word), per_sample = gathers ? m->per_sample : word->letters[0] == 'n';
    int ndim = gathers ? m->nleading : 0;
    memcpy(dims, m->leading, sizeof m->leading);
    for (int k = gathers || per_sample; k < word->nitems; k++) {
        if (k == word->nitems - 1 && ends_in_rest(word)) {
            memcpy(dims + ndim, m->rest, sizeof m->rest);
            ndim += m->nrest;
            continue;
        }
        dims[ndim] = 1;
        for (int i = k > 0 ? word->end[k - 1] : 0; i < word->end[k]; i++)
            dims[ndim] *= m->of[(int)word->letters[i]];
        ndim++;
    }
    node->out[node->nout++] = yki_graph_value(model, role_of(word), per_sample, ndim, dims);
}

void yki_infer(yoke_model *model, yki_node *node)
{
    const yki_op_info *info = yki_op(node->op);
    if (info->infer || node->op >= YKI_KERNEL_COUNT) {
        if (info->infer) info->infer(model, node);
        return;
    }
    const yki_signature *signature = yki_kernel_signature((yki_kernel)node->op);
    meaning m = {.nleading = 0};
    for (int letter = 0; letter < 128; letter++) m.of[letter] = yki_letter_named((char)letter, &node->attr);
    for (int i = 0; i < signature->ninputs; i++)
        if (node->in[i] >= 0) read_input(&signature->words[i], &node->attr, &model->values[node->in[i]], &m);
    read_window(&node->attr, &m);
    for (int i = signature->ninputs; i < signature->nwords && !info->keeps_state; i++)
        make_output(model, node, &signature->words[i], &m);
}
