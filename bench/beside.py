#!/usr/bin/env python3
"""Two builds of yoke beside each other: beside.py OLD NEW [--rounds N] [--only NAME,...]. Standard library only.

The same jobs by both programs, one right after the other, round after round: medians over the rounds of each run's median step,
and of the rounds' ratios. Peak bytes of all devices are compared too. Random data; no saves."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

GPT2 = """model: {family: gpt2, layers: 12, heads: 12, width: 768, context: 1024, vocab: 50257}
data: {format: random, samples: 64}
train: {steps: 5, batch: 2, sequence: 128, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-4}, clip: 1.0}
"""
MLP = """model: {family: layers, input: [784], layers: [
  {type: linear, out: 512}, {type: relu}, {type: linear, out: 512}, {type: relu}, {type: linear, out: 10}]}
data: {format: random, samples: 1024}
train: {steps: 200, batch: 64, loss: cross_entropy, optimizer: {name: sgd, lr: 0.01, momentum: 0.9}}
"""
CONV = """model: {family: layers, input: [3, 32, 32], layers: [
  {type: conv2d, out: 32, kernel: 3, padding: 1}, {type: relu}, {type: maxpool2d, kernel: 2},
  {type: conv2d, out: 64, kernel: 3, padding: 1}, {type: relu}, {type: maxpool2d, kernel: 2}, {type: flatten}, {type: linear, out: 10}]}
data: {format: random, samples: 512}
train: {steps: 60, batch: 32, loss: cross_entropy, optimizer: {name: adam, lr: 0.001}}
"""
TOY = """model: {family: layers, input: [10], layers: [{type: linear, out: 5}]}
data: {format: random, samples: 512}
train: {steps: 5000, batch: 8, loss: cross_entropy, optimizer: {name: sgd, lr: 0.01}}
"""
RUNS = {
    "gpt2": (GPT2, ["--threads", "1"]),
    "gpt2 dp 2": (GPT2, ["--threads", "1", "--dp", "2"]),
    "mlp": (MLP, ["--threads", "1"]),
    "mlp dp 2": (MLP, ["--threads", "1", "--dp", "2"]),
    "conv": (CONV, ["--threads", "1"]),
    "linear": (TOY, ["--threads", "1"]),
    "linear dp 2": (TOY, ["--threads", "1", "--dp", "2"]),
}


def run(program, folder, job, flags):
    with open(folder + "/job.yaml", "w") as f:
        f.write(job)
    out = folder + "/out.json"
    p = subprocess.run([program, "train", "job.yaml", *flags, "--json", out], cwd=folder, capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"beside.py: {program} {' '.join(flags)}: {p.stderr}")
    with open(out) as f:
        said = json.load(f)
    return said["step_ms_median"], sum(d["measured_peak_bytes"] for d in said["devices"])


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("programs", nargs=2)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", default="")
    o = options.parse_args()
    programs = [os.path.abspath(p) for p in o.programs]
    print(f"{'':14}{'old ms':>12}{'new ms':>12}{'ratio':>9}{'spread':>9}{'old bytes':>15}{'new bytes':>15}")
    with tempfile.TemporaryDirectory() as folder:
        for name, (job, flags) in RUNS.items():
            if o.only and name not in o.only.split(","):
                continue
            ms, peaks = ([], []), [0, 0]
            for round in range(o.rounds):
                for which in (0, 1) if round % 2 else (1, 0):
                    once, peaks[which] = run(programs[which], folder, job, flags)
                    ms[which].append(once)
            ratios = sorted(new / old for old, new in zip(*ms, strict=True))
            old, new = (statistics.median(m) for m in ms)
            print(f"{name:14}{old:12.4f}{new:12.4f}{statistics.median(ratios):9.3f}{ratios[-1] - ratios[0]:9.3f}{peaks[0]:15}{peaks[1]:15}",
                  flush=True)


if __name__ == "__main__":
    main()
