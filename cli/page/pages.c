/* The commands that have a page. */
#include "page.h"

const page_kind *const page_kinds[] = {&page_compare,  &page_explain, &page_plan, &page_schedule,
                                       &page_simulate, &page_train,   NULL};
