#!/usr/bin/env python3
"""A step with LoRA adapters, of all weights, and by the package PEFT, by turns, of a llama of 110 million weights at batch 1 x 512:

  PYTHON bench/lora.py build/release/yoke [--rounds N] [--steps N] [--threads N] [--rank N] [--targets q_proj,v_proj] [--precision f32|bf16]

PYTHON has torch, transformers and peft for the third (left out where it has not). Printed: the medians over the rounds of each round's median
step, their ratios, and the bytes that a device holds at most."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]  # a file here has a package's name
SHAPE = dict(layers=12, heads=12, width=768, hidden=2048, context=512, vocab=32000)
PLAIN = "train: {{steps: {steps}, batch: 1, sequence: 512, loss: cross_entropy, precision: {precision}, optimizer: {{name: adamw, lr: 1e-4}}}}\ndata: {{format: random, samples: 64}}\nlayout: {{threads: {threads}}}\n"


def yoke(program, folder, job, *more):
    p = subprocess.run([program, "train", job, "--json", "out.json", *more], cwd=folder, capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"lora.py: {p.stderr}")
    with open(os.path.join(folder, "out.json")) as f:
        return json.load(f)


def by_peft(options):
    """Milliseconds of steps of a model by transformers with PEFT's adapters."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.set_num_threads(options.threads)
    kind = torch.bfloat16 if options.precision == "bf16" else torch.float32
    model = LlamaForCausalLM(LlamaConfig(vocab_size=SHAPE["vocab"], hidden_size=SHAPE["width"], intermediate_size=SHAPE["hidden"], num_hidden_layers=SHAPE["layers"],
                                         num_attention_heads=SHAPE["heads"], max_position_embeddings=SHAPE["context"], tie_word_embeddings=True)).to(kind)
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=options.rank, lora_alpha=2 * options.rank, target_modules=options.targets.split(",")))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    while True:
        times = []
        for _ in range(options.steps):
            ids, began = torch.randint(0, SHAPE["vocab"], (1, 512)), time.perf_counter()
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            times.append(1e3 * (time.perf_counter() - began))
        yield statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("yoke", type=os.path.abspath)
    for name, usual in (("rounds", 5), ("steps", 6), ("threads", 1), ("rank", 8)):
        parser.add_argument("--" + name, type=int, default=usual)
    parser.add_argument("--targets", default="q_proj,v_proj")
    parser.add_argument("--precision", default="f32", choices=("f32", "bf16"))
    options = parser.parse_args()
    try:
        peft = by_peft(options)
        next(peft)
    except ImportError:
        peft = None
    times, bytes_of = {"adapters": [], "all weights": [], "PEFT": []}, {}
    with tempfile.TemporaryDirectory() as folder:
        plain = PLAIN.format(**vars(options))
        with open(folder + "/base.yaml", "w") as f:
            f.write(f"model: {{family: llama, tied: true, {', '.join(f'{k}: {v}' for k, v in SHAPE.items())}}}\n{plain}")
        yoke(options.yoke, folder, "base.yaml", "--steps", "1", "--set", "train.optimizer={name: sgd, lr: 1e-30}", "--set", "checkpoint.dir=base")
        for name, more in (("all weights", ""), ("adapters", f", adapter: {{rank: {options.rank}, alpha: {2 * options.rank}, targets: [{options.targets}]}}")):
            with open(f"{folder}/{name}.yaml", "w") as f:
                f.write(f"model: {{family: llama, from: base{more}}}\n{plain}")
        for _ in range(options.rounds):
            for name in ("adapters", "all weights"):
                said = yoke(options.yoke, folder, name + ".yaml")
                times[name].append(said["step_ms_median"])
                device = said["devices"][0]
                bytes_of[name] = device["measured_peak_bytes"]
                if device["predicted_peak_bytes"] != device["measured_peak_bytes"]:
                    sys.exit("lora.py: bytes are not as predicted")
            if peft:
                times["PEFT"].append(next(peft))
    mine = statistics.median(times["adapters"])
    for name, all_of in times.items():
        if all_of:
            print(f"{name:12} {statistics.median(all_of):9.1f} ms  {min(all_of):.1f} .. {max(all_of):.1f}" + (f"  {bytes_of[name] / 2**20:.0f} MiB" if name in bytes_of else ""))
    print(f"adapters take {mine / statistics.median(times['all weights']):.3f} of the step of all weights, and {bytes_of['adapters'] / bytes_of['all weights']:.3f} of its bytes")
    if times["PEFT"]:
        print(f"{statistics.median(times['PEFT']) / mine:.2f} of PEFT's rate")


if __name__ == "__main__":
    main()
