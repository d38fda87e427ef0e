#!/usr/bin/env python3
"""Predicted beside measured: `yoke bench`, then `simulate --machine` and the median step of `train`, over families, sizes, layouts
of 1, 2 and 4 ranks, f32 and bf16. On an idle machine; where ranks exceed cores, it is said. predicted.py YOKE [--quick] [--machine
FILE] [--steps N] [--only TEXT]: --machine takes a file instead of measuring one; --only runs whose name has the text."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

GPT = "{{family: gpt2, layers: {L}, heads: {H}, width: {W}, context: {T}, vocab: 256}}"
LLAMA = "{{family: llama, layers: {L}, heads: {H}, width: {W}, hidden: {F}, context: {T}, vocab: 256}}"
ADAMW = "optimizer: {name: adamw, lr: 1e-3}, clip: 1.0"
SGD = "optimizer: {name: sgd, lr: 1e-2, momentum: 0.9}"
CONV = "{{type: conv2d, out: {0}, kernel: 3, padding: 1}}, {{type: relu}}"
MODELS = {
    "gpt2 4x128": (GPT.format(L=4, H=4, W=128, T=128), 8, f"sequence: 128, {ADAMW}"),
    "gpt2 4x256": (GPT.format(L=4, H=8, W=256, T=64), 16, f"sequence: 64, {ADAMW}"),
    "gpt2 2x320": (GPT.format(L=2, H=10, W=320, T=96), 8, f"sequence: 96, {ADAMW}"),
    "llama 4x128": (LLAMA.format(L=4, H=4, W=128, F=352, T=128), 8, f"sequence: 128, {ADAMW}"),
    "llama 2x192": (LLAMA.format(L=2, H=6, W=192, F=512, T=64), 16, f"sequence: 64, {ADAMW}"),
    "mlp 3x512": ("{family: layers, input: [256], layers: [{type: linear, out: 512}, {type: relu}, {type: linear, out: 512}, {type: relu}, "
                  "{type: linear, out: 512}, {type: relu}, {type: linear, out: 10}]}", 256, SGD),
    "mlp 2x1024": ("{family: layers, input: [128], layers: [{type: linear, out: 1024}, {type: relu}, {type: linear, out: 1024}, {type: relu}, "
                   "{type: linear, out: 10}]}", 128, ADAMW),
    "convnet 32": ("{family: layers, input: [3, 32, 32], layers: [" + CONV.format(32) + ", {type: maxpool2d, kernel: 2}, " + CONV.format(32) +
                   ", {type: maxpool2d, kernel: 2}, {type: flatten}, {type: linear, out: 10}]}", 32, SGD),
    "convnet 16": ("{family: layers, input: [1, 28, 28], layers: [" + CONV.format(16) + ", " + CONV.format(24) +
                   ", {type: maxpool2d, kernel: 2}, {type: flatten}, {type: linear, out: 64}, {type: relu}, {type: linear, out: 10}]}", 32, ADAMW),
}
SEQUENCES = ["", "dp=2", "tp=2", "pp=2,microbatches=4", "dp=4"]
OTHERS = ["", "dp=2", "dp=4"]


def yoke(program, *arguments):
    done = subprocess.run([program, *map(str, arguments), "--json", "-"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def runs():
    for name, (model, batch, train) in MODELS.items():
        for layout in SEQUENCES if "sequence" in train else OTHERS:
            for precision in ("f32", "bf16"):
                if precision == "f32" or layout in ("", "dp=2", "tp=2"):
                    yield name, model, batch, train, layout, precision


def main():
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("yoke")
    given.add_argument("--quick", action="store_true")
    given.add_argument("--machine")
    given.add_argument("--steps", type=int, default=0)
    given.add_argument("--only", default="")
    g = given.parse_args()
    folder = tempfile.mkdtemp(prefix="yoke-predicted-")
    machine = g.machine or folder + "/machine.yaml"
    if not g.machine:
        b = yoke(g.yoke, "bench", "--out", machine, *(["--quick"] if g.quick else []))
        print(f"bench: {b['seconds']:.1f} s, spread {b['noise']['spread']:.3f}, others took {b['noise']['cores_taken']:.3f}"
              f"{', too noisy to trust' if b['noise']['noisy'] else ''}")
    errors, cores = [], os.cpu_count()
    print(f"{'model':12} {'layout':22} {'type':5} {'predicted':>10} {'measured':>10} {'error':>7}")
    for name, model, batch, train, layout, precision in runs():
        if g.only not in f"{name} {layout} {precision}":
            continue
        job = folder + "/job.yaml"
        with open(job, "w") as f:
            f.write(f"model: {model}\ndata: {{format: random, samples: 512}}\ntrain: {{steps: 10, batch: {batch}, loss: cross_entropy, "
                    f"precision: {precision}, {train}}}\n")
        flags = ["--layout", layout] if layout else []
        s = yoke(g.yoke, "simulate", job, "--machine", machine, *flags)
        steps = g.steps or max(12, min(60, int(1500 / s["step_ms"])))
        m = yoke(g.yoke, "train", job, *flags, "--steps", steps)["step_ms_median"]
        errors.append((abs(s["step_ms"] / m - 1), s["step_ms"] / m - 1))
        more = " ranks exceed cores" if s["devices"] > cores else ""
        print(f"{name:12} {layout or 'one device':22} {precision:5} {s['step_ms']:10.3f} {m:10.3f} {errors[-1][1]:+7.1%}{more}", flush=True)
    if errors:
        print(f"{len(errors)} runs: mean error {sum(e[0] for e in errors) / len(errors):.1%}, largest {max(errors)[1]:+.1%}")


if __name__ == "__main__":
    main()
