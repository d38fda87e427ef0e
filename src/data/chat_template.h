/* Which chat template a text in Jinja is. */
#ifndef YKI_DATA_CHAT_TEMPLATE_H
#define YKI_DATA_CHAT_TEMPLATE_H

#include "yoke/job.h"

/* YOKE_CHAT_AUTO: neither. */
yoke_chat yki_chat_template_kind(const char *jinja);

#endif
