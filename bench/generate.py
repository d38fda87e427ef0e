#!/usr/bin/env python3
"""How fast text is generated: generate.py YOKE [--rounds N] [--threads 1,2] [--against PYTHON]. Standard library only.

A GPT-2 of 124M with random weights, batch 1, in f32 and bf16. Round after round, one right after the other: memory is copied
(the yardstick: bytes read and written a second), tokens are made behind a prompt of 8 and behind one of 990, and a training
step's forward pass is taken from its timeline; with --against, transformers' generate by that Python (torch, transformers) takes
its turn, with as many threads, in f32. Medians over the rounds:

  share     of the copy's bandwidth that reading weights and cache takes: bytes of both, times tokens a second
  late      time of a token at position 1,000 over that at 10
  prefill   rate of a prompt of 990 tokens over that of the forward pass
  beside    tokens a second over transformers'
"""
import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

LAYERS, WIDTH, VOCAB, CONTEXT = 12, 768, 50257, 1024
PARAMETERS = 12 * LAYERS * WIDTH * WIDTH + 13 * LAYERS * WIDTH + VOCAB * WIDTH + 2 * WIDTH  # positions are read by the row
JOB = f"""model: {{family: gpt2, layers: {LAYERS}, heads: 12, width: {WIDTH}, context: {CONTEXT}, vocab: {VOCAB}}}
data: {{format: random, samples: 4}}
train: {{steps: 1, batch: 1, sequence: 990, loss: cross_entropy, optimizer: {{name: sgd, lr: 1e-12}}}}
checkpoint: {{dir: ck}}
"""
TRANSFORMERS = """
import json, sys, time, torch
from transformers import AutoModelForCausalLM
folder, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
for line in sys.stdin:
    count, prompt = json.loads(line)
    ids = torch.tensor([prompt])
    with torch.no_grad():
        times = []
        for n in (1, count):
            start = time.perf_counter()
            model.generate(ids, max_new_tokens=n, min_new_tokens=n, do_sample=False, pad_token_id=0)
            times.append(time.perf_counter() - start)
    print((count - 1) / (times[1] - times[0]), flush=True)
"""


def copy_rate(threads, size=1 << 28):
    """Bytes read and written a second, by so many threads."""
    blocks = [(ctypes.create_string_buffer(size // threads), ctypes.create_string_buffer(size // threads)) for _ in range(threads)]
    best = 0
    for _ in range(4):
        workers = [threading.Thread(target=ctypes.memmove, args=(a, b, size // threads)) for a, b in blocks]
        start = time.perf_counter()
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        best = max(best, 2 * size / (time.perf_counter() - start))
    return best


def ask(program, folder, command, *flags):
    out = folder + "/out.json"
    p = subprocess.run([program, command, *map(str, flags), "--json", out], cwd=folder, capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"generate.py: {program} {command}: {p.stderr}")
    with open(out) as f:
        return json.load(f)


def forward_seconds(program, folder, threads, precision):
    said = ask(program, folder, "train", "job.yaml", "--steps", 2, "--threads", threads, "--precision", precision, "--set", "checkpoint=")
    return sum(row["end_ms"] - row["start_ms"] for row in said["timeline"] if row["kind"] == "F") / 1e3


def one_round(o, folder, threads, precision, other, took):
    size, tokens = (2 if precision == "bf16" else 4), o.tokens
    rate = copy_rate(threads)
    how = ["ck", "--tokens", tokens, "--ignore-eos", "--temperature", 0, "--threads", threads, "--precision", precision]
    early = ask(o.program, folder, "generate", *how, "--tokens-file", "short.json")
    late = ask(o.program, folder, "generate", *how, "--tokens-file", "long.json")
    cache = 2 * LAYERS * WIDTH * size * (8 + tokens / 2)
    took["copy"].append(rate)
    took["rate"].append(early["tokens_per_s"])
    took["share"].append((PARAMETERS * size + cache) * early["tokens_per_s"] / rate)
    took["late"].append(early["tokens_per_s"] / late["tokens_per_s"])
    took["prefill"].append(forward_seconds(o.program, folder, threads, precision) / (late["prefill_ms"] / 1e3))
    if other and precision == "f32":
        other.stdin.write(json.dumps([tokens, list(range(1, 9))]) + "\n")
        other.stdin.flush()
        took["beside"].append(early["tokens_per_s"] / float(other.stdout.readline()))


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("program")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--tokens", type=int, default=30)
    options.add_argument("--threads", default="1,2")
    options.add_argument("--against")
    o = options.parse_args()
    o.program = os.path.abspath(o.program)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("job.yaml", JOB), ("short.json", json.dumps(list(range(1, 9)))), ("long.json", json.dumps([7919 * i % VOCAB for i in range(990)]))):
            with open(f"{folder}/{name}", "w") as f:
                f.write(text)
        ask(o.program, folder, "train", "job.yaml", "--set", "train.sequence=8")
        step = next(os.path.join(folder, "ck", name) for name in os.listdir(folder + "/ck") if name.startswith("step-"))
        for threads in map(int, o.threads.split(",")):
            other = o.against and subprocess.Popen([o.against, "-c", TRANSFORMERS, step, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                                   stderr=subprocess.DEVNULL, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
            for precision in ("f32", "bf16"):
                took = {key: [] for key in ("copy", "rate", "share", "late", "prefill", "beside")}
                for _ in range(o.rounds):
                    one_round(o, folder, threads, precision, other, took)
                m = {key: statistics.median(values) for key, values in took.items() if values}
                print(f"{threads} thread{'s' * (threads > 1)}, {precision}: {m['rate']:.1f} tokens/s, copy {m['copy'] / 1e9:.1f} GB/s, share {m['share']:.2f}, "
                      f"late {m['late']:.2f}, prefill {m['prefill']:.2f}" + (f", beside {m['beside']:.2f}" if "beside" in m else ""), flush=True)
            if other:
                other.stdin.close()
                other.wait()


if __name__ == "__main__":
    main()
