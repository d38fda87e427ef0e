/* A job's data as its model would see them, without a run: what is to be looked at before one. */
#include <string.h>

#include "base/fail.h"
#include "model/model.h"
#include "model/source.h"
#include "train/trainer.h"
#include "yoke/compare.h"

/* Of tokens that a file has by number: what they are called, where a tokenizer that can be read lies beside
 * the model. */
static void find_names(const yoke_job *job, const char *folder, yoke_data_view *view)
{
    yoke_error before = *yoke_error_get();
    if (!view->tokenizer && view->tokens && job->data.format != YOKE_DATA_TEXT)
        yki_tokenizer_open(job, NULL, folder, &view->tokenizer);
    yki_error_set(&before);
}

static yoke_status count(const yoke_job *job, yoke_data_view *view)
{
    const yoke_data *data = view->data;
    const yoke_train_options *t = &job->train;
    yki_order order;
    YKI_TRY(yki_order_init(&order, data->samples, t->holdout, t->holdout_by, t->batch, t->shuffle,
                           t->drop_last, t->seed));
    view->tokens = data->input.type == YOKE_I32;
    view->samples = data->samples;
    view->held_out = order.held;
    view->counted = data->samples * data->target_elements - data->uncounted;
    view->padding = data->padding;
    view->left_out = data->left_out;
    return YOKE_OK;
}

static yoke_status open_view(const yki_source *source, yoke_model *model, yoke_data_view *view)
{
    const yoke_job *job = &source->job;
    const yki_language language = {source->tokenizer, source->eos, &source->chat};
    YKI_TRY(yki_data_from_job(job, model, language, job->train.sequence, NULL, &view->data));
    YKI_TRY(yki_data_check(view->data, yki_model_tokens(model), yki_model_classes(model)));
    YKI_TRY(count(job, view));
    find_names(job, source->folder, view);
    view->bytes = job->data.format == YOKE_DATA_TEXT && !view->tokenizer;
    return YOKE_OK;
}

static void tell(const yoke_data *data, yoke_notice notice, void *context)
{
    for (int i = 0; notice && i < data->notes.count; i++) {
        yki_fail(YOKE_OK, "%s", data->notes.names[i]);
        yoke_error record = *yoke_error_get();
        notice(context, &record);
    }
}

yoke_status yoke_data_view_open(const yoke_job *job, yoke_notice notice, void *context,
                                yoke_data_view *view_out)
{
    YKI_NEED(job, view_out);
    yki_source source;
    yoke_model *model = NULL;
    yoke_data_view view = {0};
    yoke_status status = yki_source_read(job, NULL, false, 0, &source);
    view.tokenizer = source.tokenizer;
    if (status == YOKE_OK) status = yki_model_from_job(&source.job, &model);
    if (status == YOKE_OK) status = open_view(&source, model, &view);
    if (status == YOKE_OK) tell(view.data, notice, context);
    yoke_model_destroy(model);
    if (status != YOKE_OK)
        yoke_data_view_release(&view);
    else
        *view_out = view;
    return status;
}

void yoke_data_view_release(yoke_data_view *view)
{
    if (!view) return;
    yoke_data_destroy(view->data);
    yoke_tokenizer_destroy(view->tokenizer);
    *view = (yoke_data_view){0};
}
