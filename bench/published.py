#!/usr/bin/env python3
"""Step times that others published, beside what yoke simulates: bench/published.py YOKE [--rows FILE] [--machine NAME=FILE]...

Sources: Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models" (arXiv 2205.05198), tables 3 and 5: A100-80GB,
8 a node, Megatron-LM. MosaicML, llm-foundry, its sweep of MPT models (scripts/train/benchmarking): FSDP; rows of bench/published.csv:
model, sequence, GPUs, kind, MFU, HFU, TFLOP/s, micro-batch, accumulated, batch, tokens/s a GPU, precision, FSDP's precision, sharding,
whether activations are recomputed, parameters. --machine h100-sxm=my.yaml takes another description of that machine."""
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile

SHAPES = {"125m": (768, 12, 12), "350m": (1024, 16, 24), "760m": (1536, 12, 24), "1b": (2048, 16, 24), "3b": (2560, 20, 32), "7b": (4096, 32, 32),
          "13b": (5120, 40, 40), "30b": (7168, 56, 48), "70b": (8192, 64, 80)}
MACHINES = {"h10080gb": "h100-sxm", "a10080gb": "a100-80gb-sxm", "a10040gb": "a100-40gb-sxm"}
JOB = """model: {{family: gpt2, layers: {layers}, heads: {heads}, width: {width}, context: {sequence}, vocab: {vocab}}}
data: {{format: random}}
train: {{steps: 1, batch: {batch}, sequence: {sequence}, loss: cross_entropy, precision: bf16, optimizer: {{name: adamw, lr: 1e-4}}}}
"""


def korthikanti():
    """(name, machine, devices, job, layout, seconds)"""
    for name, heads, width, layers, tp, pp, batch, micro, full, both in (("22B", 64, 6144, 48, 8, 1, 4, 4, 1.42, 1.10), ("175B", 96, 12288, 96, 8, 8, 64, 1, 18.13, 13.75)):
        job = dict(layers=layers, heads=heads, width=width, sequence=2048, vocab=51200, batch=batch)
        pipeline = f",pp={pp},microbatches={batch // micro},chunks=3,schedule=interleaved" if pp > 1 else ""
        yield f"{name} all again", "a100-80gb-sxm", tp * pp, job, f"tp={tp}{pipeline},recompute=full", full
        yield f"{name} selective, sp", "a100-80gb-sxm", tp * pp, job, f"tp={tp},sp=true{pipeline},recompute=selective", both


def mosaic(path):
    with open(path, newline="") as f:
        for model, sequence, gpus, kind, _, _, _, micro, times, batch, rate, precision, mode, sharding, again, _ in csv.reader(f):
            if precision == "amp_fp8" or int(micro) * int(times) * int(gpus) != int(batch):
                continue
            width, heads, layers = SHAPES[model]
            job = dict(layers=layers, heads=heads, width=width, sequence=int(sequence), vocab=50368, batch=int(batch))
            layout = f"dp={gpus},zero={3 if sharding == 'FULL_SHARD' else 2},microbatches={times}" + (",recompute=full" if again == "True" else "")
            yield f"{model} {sequence} {kind} x {gpus}", MACHINES[kind], int(gpus), job, layout, int(batch) * int(sequence) / (float(rate) * int(gpus))


def simulate(yoke, folder, machine, devices, job, layout):
    path = os.path.join(folder, "job.yaml")
    with open(path, "w") as f:
        f.write(JOB.format(**job))
    done = subprocess.run([yoke, "simulate", path, "--machine", machine, "--layout", layout, "--json", "-"], capture_output=True, text=True)
    return json.loads(done.stdout)


def main():
    yoke, own = sys.argv[1], dict(a.split("=") for a in sys.argv[2:] if "=" in a)
    errors = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, machine, devices, job, layout, seconds in [*korthikanti(), *mosaic(os.path.join(os.path.dirname(__file__), "published.csv"))]:
            said = simulate(yoke, folder, own.get(machine) or f"{machine}:8x{(devices + 7) // 8}", devices, job, layout)
            if "error" in said:
                print(f"{name:34} {layout}: {said['error']['message'][:110]}")
                continue
            error = said["step_ms"] / 1e3 / seconds - 1
            errors.setdefault(machine, []).append(error)
            waits = {k: round(v, 2) for k, v in said["shares"].items() if v >= 0.02 and k != "compute"}
            print(f"{name:34} {seconds * 1e3:9.0f} ms, simulated {said['step_ms']:9.0f}: {100 * error:+6.1f} %  {layout}  {waits}")
    for machine, of in errors.items():
        print(f"{machine}: {len(of)} rows, mean {100 * statistics.mean(map(abs, of)):.1f} %, most {100 * max(of, key=abs):+.1f} %")


main()
