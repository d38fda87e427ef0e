/* What a model was trained on and cannot be used without: the names of its input columns in the order of its
 * weights, of its targets and classes, and how each column was scaled. Made from the data when a run begins,
 * kept in every saved step's config.json (`columns`, `targets`, `classes`, `shape`, `scale`), and from then
 * on the model's: evaluation, prediction and a resume take them from there and compute none.
 *
 * Columns are scaled as x' = (x - shift) * factor. What a column is goes by the first dim of an input, which
 * is a feature of [features] and a channel of [channels, ...], as batch norm counts channels. `standard`:
 * shift is the mean and factor 1 over the standard deviation (of the samples, divided by their count);
 * `minmax`: the smallest value becomes 0 and the largest 1. A constant column is shifted to 0, with factor 1.
 */
#ifndef YKI_DATA_FACTS_H
#define YKI_DATA_FACTS_H

#include <jansson.h>

#include "base/text.h"
#include "data/data.h"
#include "data/names.h"
#include "data/order.h"
#include "yoke/job.h"

/* Zeroed: data without names, not scaled. */
struct yki_facts {
    yki_names columns; /* of the inputs; none: they have no names */
    yki_names targets; /* of target columns */
    yki_names classes; /* class k is the word classes.names[k]; none: classes are numbers */
    /* a sample's inputs in the data, where the model takes them laid out in one row; ndim 0: as the model's
     */
    int ndim;
    int64_t dims[YOKE_MAX_DIMS];
    yoke_scale scale;
    int64_t nscaled; /* columns that are scaled; 0 where scale is none */
    double *shift, *factor;
};

void yki_facts_release(yki_facts *facts);

/* Names from the data (which has them, or not), and the scale of its inputs as the model sees them, from the
 * samples that `order` trains on alone. YOKE_INVALID: inputs that are token ids, or a value that is not
 * finite. `facts` is released first; on failure it is empty. */
yoke_status yki_facts_make(yki_facts *facts, yoke_data *data, yoke_scale scale, const yki_order *order);

/* YOKE_INVALID: facts that were read do not belong to a model of these inputs. `folder` they are from. */
yoke_status yki_facts_check(const yki_facts *facts, const yoke_row *input, const char *folder);
/* YOKE_INVALID: samples have another shape than those of training, so that their elements would be taken for
 * others. */
yoke_status yki_facts_check_data(const yki_facts *facts, const yoke_data *data);

/* Scales a sample's inputs in place: in double, from `real` (NULL: from what they are), and rounded once.
 * YOKE_INVALID names sample and column where a value becomes larger than 32 bits hold. Does nothing where
 * nothing is scaled. */
yoke_status yki_facts_apply(const yki_facts *facts, int64_t sample, const double *real, float *inputs,
                            int64_t elements);

/* Appends the keys that are not empty, each after a comma, to the text of a JSON object with others in it. */
void yki_facts_print(yki_text *text, const yki_facts *facts);
/* Reads them from config.json at `path`; YOKE_INVALID names file and key. A file without them has none. On
 * failure `facts` is empty. */
yoke_status yki_facts_read(const char *path, json_t *config, yki_facts *facts);

/* "none", "standard", "minmax". */
const char *yki_scale_name(yoke_scale scale);

#endif
