#include "why.h"

#include "json.h"
#include "simulation.h"
#include "text.h"

static void write_strategy(json *j, const yoke_strategy *s)
{
    put_begin_object(j, NULL);
    put_string(j, "strategy", s->name);
    put_boolean(j, "possible", s->possible);
    if (s->possible) {
        put_string(j, "layout", s->text);
        put_integer(j, "devices", s->devices);
        put_boolean(j, "fits", s->fits);
        put_number(j, "step_ms", s->step_s * 1e3);
        put_integer(j, "peak_bytes", s->peak_bytes);
        put_begin_object(j, "bytes");
        simulation_write_bytes(j, &s->bytes);
        put_end_object(j);
        put_integer(j, "moved_bytes_per_step", s->moved_bytes);
    }
    put_string(j, "limit", s->limit);
    put_end_object(j);
}

static void write_reasons(json *j, const yoke_reasons *r)
{
    put_begin_array(j, "why");
    for (int i = 0; i < r->nsentences; i++) put_string(j, NULL, r->sentences[i]);
    put_end_array(j);
    put_begin_array(j, "strategies");
    for (int i = 0; i < r->nstrategies; i++) write_strategy(j, &r->strategies[i]);
    put_end_array(j);
    put_begin_array(j, "break_even");
    for (int i = 0; i < r->nbreak_even; i++) {
        const yoke_break_even *b = &r->break_even[i];
        put_begin_object(j, NULL);
        put_string(j, "parameter", b->parameter);
        put_number(j, "now", b->now);
        put_number(j, "value", b->value);
        put_string(j, "from", b->from);
        put_string(j, "to", b->to);
        put_string(j, "sentence", b->sentence);
        put_end_object(j);
    }
    put_end_array(j);
    put_integer(j, "simulated_for_why", r->simulated);
}

yoke_status why_show(cli *run, const yoke_job *job, const yoke_machine *machine, int devices,
                     const yoke_planned *planned)
{
    yoke_reasons *reasons;
    yoke_status status = yoke_plan_why(job, machine, devices, planned, &reasons);
    if (status != YOKE_OK) return status;
    if (run->json) write_reasons(run->json, reasons);
    fputs("\nwhy:\n", run->out);
    for (int i = 0; i < reasons->nsentences; i++) {
        fputs("- ", run->out);
        text_wrap(run->out, reasons->sentences[i], 2, run->width);
    }
    yoke_reasons_destroy(reasons);
    return YOKE_OK;
}
