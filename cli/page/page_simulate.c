/* The page of `yoke simulate`: what a step takes, where it goes, what devices hold, and what they do when. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "html.h"
#include "page.h"
#include "shares.h"
#include "simulated.h"
#include "spans.h"

static void title(FILE *out, const json_t *data)
{
    simulated_title(out, data, "One step, simulated");
}

static void print_lead(FILE *out, const json_t *data)
{
    const json_t *shares = json_object_get(data, "shares");
    const char *key, *worst = NULL;
    json_t *value;
    double lost = 0, computing = 0;
    html_word word, other;
    json_object_foreach((json_t *)shares, key, value)
    {
        double share = json_number_of(shares, key);
        if (share_computes(key))
            computing += share;
        else if (share > lost)
            lost = share, worst = key;
    }
    simulated_lead(out, data);
    if (worst)
        html_paragraph(out, NULL, "%s of the step is computing; most of the rest, %s, is this: %s.",
                       word_share(word, computing), word_share(other, lost), share_name(worst));
    simulated_figures(out, data);
}

static void body(FILE *out, const json_t *data)
{
    print_lead(out, data);
    fputs("<div class=\"pair\">\n", out);
    html_section(out, "Where the step goes",
                 "Shares of the step. What is lost is found by simulating the step again without its cause.");
    shares_bars(out, json_object_get(data, "shares"), NULL);
    html_section_end(out);
    simulated_memory(out, data);
    fputs("</div>\n", out);
    simulated_time(out, data);
    simulated_table(out, data);
}

const page_kind page_simulate = {.command = "simulate", .shows = "stages", .title = title, .body = body};
