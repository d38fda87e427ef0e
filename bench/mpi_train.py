#!/usr/bin/env python3
"""Two data-parallel ranks: as two processes under MPI beside two threads of one process; or over two hosts, with gradients reduced
while the backward pass runs beside all of them after it. Both sides in turns; medians of the runs' median steps.

usage: bench/mpi_train.py openmpi|mpich BUILD [--job FILE] [--rounds N] [--hosts RATE]
    --hosts RATE  two network namespaces joined by a link of RATE, 1gbit say (needs root), instead of one machine
    --job FILE    bench/layouts.yaml"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "../tests/mpi"))
import hosts  # noqa: E402
import launch  # noqa: E402


def step_ms(a, before, *flags, **env):
    with tempfile.TemporaryDirectory() as folder:
        out = folder + "/run.json"
        p = subprocess.run([*before, f"{a.build}/yoke", "train", a.job, "--dp", "2", *flags, "--json", out],
                           cwd=folder, env=launch.environment(a.build, **env), capture_output=True, text=True)
        if p.returncode != 0:
            sys.exit(f"{p.stderr[-600:]}\nbench/mpi_train.py: the run failed, code {p.returncode}")
        with open(out) as f:
            figures = json.load(f)
        return figures["step_ms_median"], figures["moved_bytes_per_step"]


def in_turns(rounds, sides):
    """By name, the median over rounds of what each side's function gives."""
    found = {name: [] for name in sides}
    for i in range(rounds):
        for name in list(sides)[:: -1 if i % 2 else 1]:
            found[name].append(sides[name]())
    return {name: (statistics.median(ms for ms, _ in runs), runs[0][1]) for name, runs in found.items()}


def on_one_machine(a):
    under = launch.command(a.mpi, 2)
    found = in_turns(a.rounds, {"local": lambda: step_ms(a, []), a.mpi: lambda: step_ms(a, under)})
    local, mpi = found["local"][0], found[a.mpi][0]
    print(f"dp 2: two threads {local:.1f} ms a step, two processes under {a.mpi} {mpi:.1f} ms, ratio of rates {local / mpi:.3f}")


def over_hosts(a):
    whole = ["--set", "layout.bucket=1GiB"]
    one = ["--set", "layout.threads=1"]  # each host believes that all cores are its own
    with hosts.Hosts(2, a.hosts) as slow, hosts.Hosts(2, "100gbit", tag="f") as fast:
        def over(made, *flags):  # UCX would find the same kernel on all hosts, and go through its memory
            return lambda: step_ms(a, made.launcher(a.mpi, 1), *one, *flags, UCX_TLS="tcp,self")

        sides = {"unlimited": over(fast), "buckets": over(slow), "at the end": over(slow, *whole)}
        found = in_turns(a.rounds, sides)
    (free, _), (buckets, moved), (end, _) = found.values()
    print(f"{a.mpi}, two hosts, {a.hosts}, {moved / 2e6:.1f} MB to each in a step: {free:.1f} ms a step without a limit, {buckets:.1f} ms "
          f"in buckets, {end:.1f} ms all at the end: {100 * (end - buckets) / (end - free):.0f} % of the movement's {end - free:.0f} ms "
          "is hidden behind the backward pass")


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("mpi", choices=("openmpi", "mpich"))
    p.add_argument("build", type=os.path.abspath)
    p.add_argument("--job", type=os.path.abspath, default=f"{HERE}/layouts.yaml")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--hosts")
    a = p.parse_args()
    why = launch.skip(a.mpi, a.build) or (hosts.skip() if a.hosts else None)
    if why:
        sys.exit(f"bench/mpi_train.py: {why}")
    over_hosts(a) if a.hosts else on_one_machine(a)


main()
