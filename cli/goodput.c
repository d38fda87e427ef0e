/* Reading the steps of a run log. Its lines are yoke's own: no general reader of JSON is needed. */
#include "goodput.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void goodput_open(goodput *g, const char *path)
{
    *g = (goodput){.path = path};
    FILE *log = fopen(path, "r");
    if (!log) return;
    if (fseek(log, 0, SEEK_END) == 0) g->from = ftell(log);
    fclose(log);
}

/* The number of a line's key; NAN: it has none. */
static double number(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    char *end;
    if (!at) return NAN;
    at += strlen(key);
    double value = strtod(at, &end);
    return end == at ? NAN : value;
}

static int keep(goodput *g, int64_t step, double seconds)
{
    if (step >= g->steps) {
        int64_t room = step + 1 + step / 2;
        double *grown = realloc(g->seconds, sizeof *grown * (size_t)room);
        if (!grown) return -1;
        memset(grown + g->steps, 0, sizeof *grown * (size_t)(room - g->steps));
        g->seconds = grown;
        g->steps = room;
    }
    g->seconds[step] = seconds;
    return 0;
}

void goodput_read(goodput *g)
{
    char *line = NULL;
    size_t room = 0;
    FILE *log = fopen(g->path, "r");
    if (log && fseek(log, g->from, SEEK_SET) == 0)
        while (getline(&line, &room, log) > 0) {
            double step = number(line, "\"step\":"), seconds = number(line, "\"seconds\":");
            if (!(step >= 0 && step < 1e9 && seconds >= 0) || keep(g, (int64_t)step, seconds)) continue;
        }
    free(line);
    if (log) fclose(log);
}

double goodput_seconds(const goodput *g)
{
    double sum = 0;
    for (int64_t i = 0; i < g->steps; i++) sum += g->seconds[i];
    return sum;
}

void goodput_release(goodput *g)
{
    free(g->seconds);
}
