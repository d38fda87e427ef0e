#include "auto.h"

#include <string.h>

#include "text.h"
#include "yoke/cluster.h"
#include "yoke/planning.h"
#include "yoke/train.h"

/* What is chosen cannot be given too. */
static int refuse_named(cli *run)
{
    static const char *const chosen[] = {"layout.dp",           "layout.tp",       "layout.pp",
                                         "layout.cp",           "layout.sp",       "layout.zero",
                                         "layout.microbatches", "layout.schedule", "layout.chunks",
                                         "layout.recompute",    "layout.dp_shard", "layout.dp_replicate"};
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
        const char *flag = arguments_flag_of(&run->arguments, chosen[i]);
        if (flag)
            return cli_fail(
                run, 2, "--layout",
                "%s stands beside --layout auto, which chooses that itself: leave one of them out", flag);
    }
    if (yoke_cluster_size() > 1)
        return cli_fail(
            run, 2, "--layout",
            "--layout auto chooses for one process, and there are %d: take what `yoke plan JOB --machine "
            "FILE` says for all of them",
            yoke_cluster_size());
    return 0;
}

/* As many as were measured, or else as there are cores. */
static int devices_here(void)
{
    yoke_machine *measured = NULL;
    yoke_device_info here;
    int devices = 1;
    if (yoke_machine_find("here", &measured) == YOKE_OK)
        devices =
            measured->ndevices < YOKE_MAX_LOCAL_DEVICES ? (int)measured->ndevices : YOKE_MAX_LOCAL_DEVICES;
    else if (yoke_devices(&here, 1) > 0 && here.cores > 1)
        devices = here.cores;
    yoke_machine_destroy(measured);
    return devices;
}

static void take(cli *run, yoke_job *job, const yoke_machine *machine, int devices,
                 const yoke_planned *planned)
{
    const yoke_planned_row *best = &planned->rows[0];
    const int *names = job->layout.devices;
    char text[512], ms[32];
    job->layout = best->layout;
    job->layout.devices = names; /* the first of those that were named */
    job->layout.ndevices = names ? yoke_job_devices(job, &best->layout) : 0;
    job->has_layout = true;
    yoke_layout plain = best->layout; /* what was chosen of it */
    plain.threads = 0, plain.device_memory_bytes = 0;
    yoke_layout_print(&plain, text, sizeof text);
    text_milliseconds(ms, best->step_s * 1e3);
    cli_notice(run,
               "--layout auto is %s: %s a step is predicted on %s, the least of %lld layouts over up to %d "
               "device%s%s",
               text[0] ? text : "one device", ms, machine->name, (long long)planned->considered, devices,
               devices == 1 ? "" : "s", planned->measured ? "" : "; not measured, it may be off by a fifth");
    if (!run->json) return;
    put_begin_object(run->json, "auto");
    put_string(run->json, "layout", text[0] ? text : "dp=1");
    put_integer(run->json, "devices", devices);
    put_number(run->json, "step_ms", best->step_s * 1e3);
    put_number(run->json, "error_bound", planned->error_bound);
    put_end_object(run->json);
}

int auto_choose(cli *run, yoke_job *job, const yoke_machine *machine)
{
    yoke_machine *host = NULL;
    yoke_planned *planned = NULL;
    yoke_status status = YOKE_OK;
    int devices = job->layout.ndevices;
    if (!run->arguments.layout_auto) return 0;
    int code = refuse_named(run);
    if (code != 0) return code;
    if (devices == 0) devices = machine ? 0 : devices_here();
    if (!machine) status = yoke_machine_of_host(job, devices, &host);
    if (host) machine = host;
    if (status == YOKE_OK) status = yoke_plan_job(job, machine, devices, 1, &planned);
    if (status == YOKE_OK)
        take(run, job, machine, devices ? devices : (int)machine->ndevices, planned);
    else
        code = cli_fail_library(run);
    yoke_planned_destroy(planned);
    yoke_machine_destroy(host);
    return code;
}
