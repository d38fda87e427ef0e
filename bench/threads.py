#!/usr/bin/env python3
"""What a thread is worth: threads.py YOKE [--against OLDER_YOKE] [--rounds N] [--steps N]. Standard library only.

One small GPT-2 on the sources' own text, as single (--threads 1), whole (--threads 2) and data (--dp 2), and as two
independent runs of half the batch, each bound to a core, at the same time; then single, whole and data again beside one
program that computes without end: bound to the first core, and free. All are run in turns, round after round; figures are
medians over the rounds. Others' share of the cores is measured all along and printed: on a machine that is not idle the
ratios say little. With --against each run is done by both programs, one right after the other, and ratios of step times
and of processor time (which others disturb less) are printed."""
import argparse
import glob
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

JOB = """model: {family: gpt2, layers: 4, heads: 4, width: 128, context: 128}
data: {format: text, path: code.txt}
train: {steps: 100000, batch: 16, loss: cross_entropy, optimizer: {name: adamw, lr: 2e-3}, clip: 1.0}
"""
RUNS = {"single": ["--threads", "1"], "whole": ["--threads", "2"], "data": ["--dp", "2", "--threads", "1"]}


def busy():
    """Seconds that the cores this process may use were busy, and how many they are."""
    ticks, cores = 0, os.sched_getaffinity(0)
    with open("/proc/stat") as f:
        for line in f:
            word, *numbers = line.split()
            if word[:3] == "cpu" and word[3:].isdigit() and int(word[3:]) in cores:
                n = [int(x) for x in numbers]
                ticks += n[0] + n[1] + n[2] + n[5] + n[6] + n[7]
    return ticks / os.sysconf("SC_CLK_TCK"), len(cores)


def start(yoke, folder, steps, arguments, core=None, batch=16):
    bound = ["taskset", "-c", str(core)] if core is not None else []
    name = f"{folder}/{core}.json"
    p = subprocess.Popen([*bound, yoke, "train", "job.yaml", "--set", f"train.steps={steps}", "--set", f"train.batch={batch}",
                          *arguments, "--json", name], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return p, name


def finish(p, name):
    if p.wait() != 0:
        sys.exit(f"threads.py: {p.args} ended with {p.returncode}")
    with open(name) as f:
        return json.load(f)


class Bench:
    def __init__(self, folder, steps):
        self.folder, self.steps, self.values = folder, steps, {}
        self.wall = self.others = 0.0

    def note(self, key, value):
        self.values.setdefault(key, []).append(value)

    def median(self, key):
        return statistics.median(self.values[key])

    def timed(self, work):
        """Runs it; returns its result and its processor time, and adds up what others took meanwhile."""
        before, begin, used = busy()[0], time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        result = work()
        after, cores = busy()
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        wall = time.monotonic() - begin
        self.wall += wall * cores
        self.others += max(0.0, after - before - own)
        return result, own

    def run(self, yoke, key, arguments):
        r, cpu = self.timed(lambda: finish(*start(yoke, self.folder, self.steps, arguments)))
        self.note(key, r["step_ms_median"])
        self.note(key + " cpu", 1e3 * cpu / self.steps)

    def run_pair(self, yoke):
        cores = sorted(os.sched_getaffinity(0))[:2]
        both = lambda: [finish(*s) for s in [start(yoke, self.folder, self.steps, ["--threads", "1"], c, 8) for c in cores]]
        self.note("pair", sum(r["samples_per_s"] for r in self.timed(both)[0]))


def main():
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("yoke")
    a.add_argument("--against")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--steps", type=int, default=30)
    a = a.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        here = os.path.dirname(os.path.abspath(__file__))
        with open(folder + "/code.txt", "w") as f:
            for name in sorted(glob.glob(here + "/../src/*/*.c")):
                with open(name) as source:
                    f.write(source.read())
        with open(folder + "/job.yaml", "w") as f:
            f.write(JOB)
        programs = {"": os.path.abspath(a.yoke), **({"older ": os.path.abspath(a.against)} if a.against else {})}
        b = Bench(folder, a.steps)
        first = str(min(os.sched_getaffinity(0)))
        spin = [sys.executable, "-c", "while True: pass"]
        for _ in range(a.rounds):
            for name, arguments in RUNS.items():
                for which, yoke in programs.items():
                    b.run(yoke, which + name, arguments)
            b.run_pair(programs[""])
        taken = b.others / b.wall
        for beside, command in (("bound", ["taskset", "-c", first, *spin]), ("free", spin)):
            for _ in range(a.rounds):
                neighbour = subprocess.Popen(command)
                try:
                    for name, arguments in RUNS.items():
                        for which, yoke in programs.items():
                            b.run(yoke, f"{which}{name} {beside}", arguments)
                finally:
                    neighbour.kill()
                    neighbour.wait()
        report(b, programs, taken)


def report(b, programs, taken):
    print(f"others took {100 * taken:.0f} % of the cores while nothing was started beside the runs")
    print(f"{'':14}{'ms':>9}{'CPU ms':>9}{'bound':>9}{'x':>7}{'free':>9}{'x':>7}")
    for which in programs:
        for name in RUNS:
            key, idle = which + name, b.median(which + name)
            row = [f"{idle:9.1f}{b.median(key + ' cpu'):9.1f}"]
            row += [f"{b.median(f'{key} {x}'):9.1f}{b.median(f'{key} {x}') / idle:7.2f}" for x in ("bound", "free")]
            print(f"{key:14}" + "".join(row))
    single, data = b.median("single"), b.median("data")
    pair = b.median("pair")
    print(f"data over single: {single / data:.2f}; data over two bound runs of half the batch: {16e3 / data / pair:.3f}")
    if len(programs) > 1:
        for name in RUNS:
            times = [x / y for x, y in zip(b.values[name], b.values["older " + name])]
            cpu = [x / y for x, y in zip(b.values[name + " cpu"], b.values["older " + name + " cpu"])]
            print(f"{name}: new over older, medians of pairs: step {statistics.median(times):.3f}, processor time "
                  f"{statistics.median(cpu):.3f}")


main()
