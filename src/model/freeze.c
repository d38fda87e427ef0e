/* What of a model does not train, by patterns of names. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/adapter.h"

/* Files of some models have all names under "transformer.", those of adapters under what PEFT puts there. */
static bool matches_name(const char *pattern, const char *name)
{
    static const char *const above[] = {"transformer.", YKI_ADAPTER_PREFIX};
    bool found = name && fnmatch(pattern, name, 0) == 0;
    for (int i = 0; i < 2 && name && !found; i++) {
        size_t length = strlen(above[i]);
        found = (strncmp(pattern, above[i], length) == 0 && fnmatch(pattern + length, name, 0) == 0) ||
                (strncmp(name, above[i], length) == 0 && fnmatch(pattern, name + length, 0) == 0);
    }
    return found;
}

static bool matches(const char *pattern, const yki_parameter *p)
{
    return !p->buffer && (matches_name(pattern, p->name) || matches_name(pattern, p->also));
}

/* The name of a layer or tensor that the pattern nearly is, or NULL; in `buffer`. */
static const char *near(const yoke_model *model, const char *pattern, char buffer[200])
{
    char word[200], (*modules)[200] = calloc((size_t)model->nparameters + 1, sizeof *modules);
    const char **names = calloc(2 * (size_t)model->nparameters + 1, sizeof *names);
    int count = 0;
    snprintf(word, sizeof word, "%.190s", pattern + strspn(pattern, "*."));
    while (word[0] && strchr("*.", word[strlen(word) - 1])) word[strlen(word) - 1] = '\0';
    for (int i = 0; i < model->nparameters && names && modules; i++) {
        const char *name = model->parameters[i].name, *dot = strrchr(name, '.');
        if (model->parameters[i].buffer) continue;
        snprintf(modules[i], sizeof *modules, "%.*s", (int)(dot ? dot - name : 0), name);
        names[count++] = name;
        if (modules[i][0]) names[count++] = modules[i];
    }
    const char *found = names && modules && word[0] ? yki_nearest(word, names, count) : NULL;
    if (found) snprintf(buffer, 200, "%.190s%s", found, yki_graph_find(model, found) < 0 ? ".*" : "");
    free(names);
    free(modules);
    return found ? buffer : NULL;
}

void yoke_model_freeze(yoke_model *model, const char *pattern)
{
    bool found = false;
    if (!yki_model_grows(model, __func__)) return;
    if (!pattern) {
        yki_graph_fail(model, "%s: pattern is NULL", __func__);
        return;
    }
    for (int i = 0; i < model->nparameters; i++) {
        if (!matches(pattern, &model->parameters[i])) continue;
        model->parameters[i].frozen = found = true;
    }
    if (found) return;
    char shown[YKI_QUOTE_BYTES], buffer[200];
    const char *other = near(model, pattern, buffer);
    yki_quote(shown, pattern);
    if (other)
        yki_graph_fail(model, "%s matches no weight of the model; did you mean '%s'?", shown, other);
    else
        yki_graph_fail(model, "%s matches no weight of the model, whose names are like '%s'", shown,
                       model->nparameters > 0 ? model->parameters[0].name : "");
}
