"""Makes the golden cases beside it: python3 make.py [CASE...] (needs PyTorch 2.9 or later; lora and lora_gpt2 transformers and peft too). Small models are trained for ten steps by PyTorch, in
float64 from weights that float32 holds, and what yoke must reproduce is written down: the loss of every step, and the
gradients of the first. Every file is made here, seeded, so that running it again gives the same numbers."""
import gzip
import json
import math
import os
import struct
import sys

import torch
from torch import nn
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = 10
torch.set_default_dtype(torch.float64)


def folder(name):
    os.makedirs(os.path.join(HERE, name), exist_ok=True)
    return lambda file: os.path.join(HERE, name, file)


def write(path, data):
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def write_safetensors(path, tensors, metadata=None):
    header, at, body = {"__metadata__": metadata} if metadata else {}, 0, b""
    for name, t in tensors.items():
        whole = t.dtype == torch.int64
        data = struct.pack(f"<{t.numel()}{'q' if whole else 'f'}", *t.detach().flatten().tolist())
        header[name] = {"dtype": "I64" if whole else "F32", "shape": list(t.shape), "data_offsets": [at, at + len(data)]}
        at, body = at + len(data), body + data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    write(path, struct.pack("<Q", len(text)) + text + body)


def write_npy(path, tensor, code):
    shape = "".join(f"{n}, " for n in tensor.shape)
    text = f"{{'descr': '{code}', 'fortran_order': False, 'shape': ({shape}), }}"
    text += " " * (63 - (10 + len(text)) % 64) + "\n"
    letter = {"<f4": "f", "<i8": "q"}[code]
    values = tensor.flatten().tolist()
    write(path, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + struct.pack(f"<{len(values)}{letter}", *values))


def to_f32(model):
    """Rounds the weights to what float32 holds."""
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.float().double())


def batches(samples, batch):
    """Samples of each step, in order, a ragged last batch and the next epoch after it."""
    starts = range(0, samples, batch)
    for step in range(STEPS):
        start = starts[step % len(starts)]
        yield slice(start, min(start + batch, samples))


def train(path, model, loss_of, samples, batch, optimizer, rate=None, clip=None, **more):
    losses = []
    for step, rows in enumerate(batches(samples, batch)):
        if rate:
            for group in optimizer.param_groups:
                group["lr"] = rate(step) * group.get("times", 1)
        optimizer.zero_grad()
        loss = loss_of(rows)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            write_safetensors(path("gradients.safetensors"), {n: p.grad for n, p in model.named_parameters()}, {"loss": repr(loss.item())})
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    write(path("expected.json"), json.dumps({"losses": losses, **more}) + "\n")
    return losses


def start(name, model):
    path = folder(name)
    to_f32(model)
    write_safetensors(path("model.safetensors"), {**dict(model.named_parameters()), **dict(model.named_buffers())})
    return path


def mlp():
    """Classes; three activations and a norm; AdamW on all, with a warm-up; 50 samples in batches of 8: ragged."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 9), nn.GELU(), nn.LayerNorm(9), nn.Linear(9, 7, bias=False), nn.Tanh(), nn.Linear(7, 3))
    path = start("mlp", model)
    x, y = torch.randn(50, 6).float().double(), torch.randint(0, 3, (50,))
    write_npy(path("x.npy"), x, "<f4")
    write_npy(path("y.npy"), y, "<i8")
    write(path("job.yaml"), """model:
  family: layers
  input: [6]
  from: model.safetensors
  layers:
    - {type: linear, out: 16}
    - {type: relu}
    - {type: linear, out: 9}
    - {type: gelu}
    - {type: layernorm}
    - {type: linear, out: 7, bias: false}
    - {type: tanh}
    - {type: linear, out: 3}
data: {format: npy, inputs: x.npy, targets: y.npy, shuffle: false}
train:
  steps: 10
  batch: 8
  loss: cross_entropy
  optimizer: {name: adamw, lr: 1e-2, betas: [0.9, 0.98], eps: 1e-8, weight_decay: 0.05}
  schedule: {name: linear, warmup: 3, final_lr: 1e-3}
""")
    rate = lambda s: 1e-2 * (s + 1) / 3 if s < 3 else 1e-2 + (1e-3 - 1e-2) * (s - 3) / (STEPS - 3)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), eps=1e-8, weight_decay=0.05)
    train(path, model, lambda rows: F.cross_entropy(model(x[rows]), y[rows]), 50, 8, optimizer, rate)


def conv():
    """IDX images, one file compressed; both pools, a stride, padding, a convolution without bias."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2, stride=2, padding=1, bias=False), nn.SiLU(),
                          nn.AvgPool2d(2, stride=1), nn.Flatten(), nn.Linear(24, 5))
    path = start("conv", model)
    images, labels = torch.randint(0, 256, (36, 8, 9)), torch.randint(0, 5, (36,))
    with open(path("images.gz"), "wb") as f:
        with gzip.GzipFile("", "wb", 9, f, 0) as z:
            z.write(struct.pack(">IIII", 0x803, 36, 8, 9) + bytes(images.flatten().tolist()))
    write(path("labels"), struct.pack(">II", 0x801, 36) + bytes(labels.tolist()))
    write(path("job.yaml"), """model:
  family: layers
  input: [1, 8, 9]
  from: model.safetensors
  layers:
    - {type: conv2d, out: 4, kernel: 3, padding: 1}
    - {type: relu}
    - {type: maxpool2d, kernel: 2}
    - {type: conv2d, out: 6, kernel: 2, stride: 2, padding: 1, bias: false}
    - {type: silu}
    - {type: avgpool2d, kernel: 2, stride: 1}
    - {type: flatten}
    - {type: linear, out: 5}
data: {format: idx, inputs: images.gz, targets: labels, shuffle: false}
train:
  steps: 10
  batch: 10
  loss: cross_entropy
  optimizer: {name: adamw, lr: 5e-3, weight_decay: 0.1}
""")
    x = images.float().div(255).double().unsqueeze(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
    train(path, model, lambda rows: F.cross_entropy(model(x[rows]), labels[rows]), 36, 10, optimizer)


def batchnorm_model():
    """Batch norm of images and of rows, with and without weights; buffers that have seen something already."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2, bias=False),
                          nn.BatchNorm2d(6, eps=1e-3, momentum=0.3, affine=False), nn.SiLU(), nn.Flatten(), nn.Linear(72, 9), nn.BatchNorm1d(9), nn.Tanh(), nn.Linear(9, 5))
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
                layer.running_mean.copy_(torch.randn(layer.num_features).float())
                layer.running_var.copy_((1 + torch.rand(layer.num_features)).float())
                layer.num_batches_tracked.fill_(7)
                if layer.affine:
                    layer.weight.copy_((1 + 0.2 * torch.randn(layer.num_features)).float())
                    layer.bias.copy_((0.2 * torch.randn(layer.num_features)).float())
    return model


def batchnorm():
    """36 samples in batches of 10, the last 4 held out; the whole batch at once, and in two micro-batches."""
    path = start("batchnorm", batchnorm_model())
    torch.manual_seed(6)
    x, y = torch.randn(40, 1, 8, 10).float().double(), torch.randint(0, 5, (40,))
    write_npy(path("x.npy"), x, "<f4")
    write_npy(path("y.npy"), y, "<i8")
    write(path("job.yaml"), """model:
  family: layers
  input: [1, 8, 10]
  from: model.safetensors
  layers:
    - {type: conv2d, out: 4, kernel: 3, padding: 1}
    - {type: batchnorm}
    - {type: relu}
    - {type: maxpool2d, kernel: 2}
    - {type: conv2d, out: 6, kernel: 2, bias: false}
    - {type: batchnorm, eps: 1e-3, momentum: 0.3, affine: false}
    - {type: silu}
    - {type: flatten}
    - {type: linear, out: 9}
    - {type: batchnorm}
    - {type: tanh}
    - {type: linear, out: 5}
data: {format: npy, inputs: x.npy, targets: y.npy, shuffle: false, holdout: 0.1}
train:
  steps: 10
  batch: 10
  loss: cross_entropy
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 0.01}
""")
    expected = {}
    for parts in (1, 2):
        model, losses = batchnorm_model(), []
        to_f32(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
        for step, rows in enumerate(batches(36, 10)):
            optimizer.zero_grad()
            xs, ys, total = x[rows].tensor_split(parts), y[rows].tensor_split(parts), 0.0
            for a, b in zip(xs, ys):
                loss = F.cross_entropy(model(a), b, reduction="sum") / (rows.stop - rows.start)
                loss.backward()
                total += loss.item()
            losses.append(total)
            if step == 0:
                write_safetensors(path(f"gradients{parts}.safetensors"), {n: p.grad for n, p in model.named_parameters()}, {"loss": repr(total)})
            optimizer.step()
        write_safetensors(path(f"trained{parts}.safetensors"), model.state_dict())
        model.eval()
        expected[str(parts)] = {"losses": losses, "eval": F.cross_entropy(model(x[36:]), y[36:]).item()}
    write(path("expected.json"), json.dumps(expected) + "\n")


class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)


def groupnorm():
    """Group norm of images and of rows, with and without weights; 36 samples in batches of 10."""
    torch.manual_seed(7)
    model = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.GroupNorm(3, 6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 2, bias=False),
                          nn.GroupNorm(4, 8, eps=1e-3, affine=False), nn.SiLU(), nn.Flatten(), nn.Linear(96, 10), nn.GroupNorm(2, 10), nn.Tanh(), nn.Linear(10, 5))
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.GroupNorm) and layer.affine:
                layer.weight.copy_(1 + 0.2 * torch.randn(layer.num_channels))
                layer.bias.copy_(0.2 * torch.randn(layer.num_channels))
    path = start("groupnorm", model)
    x, y = torch.randn(36, 1, 8, 10).float().double(), torch.randint(0, 5, (36,))
    write_npy(path("x.npy"), x, "<f4")
    write_npy(path("y.npy"), y, "<i8")
    write(path("job.yaml"), """model:
  family: layers
  input: [1, 8, 10]
  from: model.safetensors
  layers:
    - {type: conv2d, out: 6, kernel: 3, padding: 1}
    - {type: groupnorm, groups: 3}
    - {type: relu}
    - {type: maxpool2d, kernel: 2}
    - {type: conv2d, out: 8, kernel: 2, bias: false}
    - {type: groupnorm, groups: 4, eps: 1e-3, affine: false}
    - {type: silu}
    - {type: flatten}
    - {type: linear, out: 10}
    - {type: groupnorm, groups: 2}
    - {type: tanh}
    - {type: linear, out: 5}
data: {format: npy, inputs: x.npy, targets: y.npy, shuffle: false}
train:
  steps: 10
  batch: 10
  loss: cross_entropy
  optimizer: {name: adamw, lr: 5e-3, weight_decay: 0.1}
""")
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
    train(path, model, lambda rows: F.cross_entropy(model(x[rows]), y[rows]), 36, 10, optimizer)


def tokens():
    """Ids through an embedding, a residual, norms and a softmax to squared errors; SGD with momentum."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Embedding(20, 8), nn.LayerNorm(8), Residual(nn.Linear(8, 8), nn.GELU(approximate="tanh"), nn.Linear(8, 8)),
                          nn.RMSNorm(8, eps=1e-6), nn.Sigmoid(), nn.Linear(8, 5), nn.Softmax(dim=-1))
    path = start("tokens", model)
    x, y = torch.randint(0, 20, (21, 6)), torch.rand(21, 6, 5).float().double()
    write_npy(path("x.npy"), x, "<i8")
    write_npy(path("y.npy"), y, "<f4")
    write(path("job.yaml"), """model:
  family: layers
  input: [6]
  from: model.safetensors
  layers:
    - {type: embedding, rows: 20, out: 8}
    - {type: layernorm}
    - {type: residual, layers: [{type: linear, out: 8}, {type: gelu, approximate: tanh}, {type: linear, out: 8}]}
    - {type: rmsnorm}
    - {type: sigmoid}
    - {type: linear, out: 5}
    - {type: softmax}
data: {format: npy, inputs: x.npy, targets: y.npy, shuffle: false}
train:
  steps: 10
  batch: 8
  loss: mse
  optimizer: {name: sgd, lr: 0.5, momentum: 0.9, nesterov: true, weight_decay: 0.01}
""")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, nesterov=True, weight_decay=0.01)
    train(path, model, lambda rows: F.mse_loss(model(x[rows]), y[rows]), 21, 8, optimizer)


class GPT2(nn.Module):
    """Names and shapes of Hugging Face's GPT-2: products are [in, out]."""

    def __init__(self, layers, heads, width, context, vocab):
        super().__init__()
        self.sizes = layers, heads, width
        shapes = {"wte.weight": (vocab, width), "wpe.weight": (context, width)}
        for i in range(layers):
            for name, shape in (("ln_1.weight", (width,)), ("ln_1.bias", (width,)), ("attn.c_attn.weight", (width, 3 * width)), ("attn.c_attn.bias", (3 * width,)),
                                ("attn.c_proj.weight", (width, width)), ("attn.c_proj.bias", (width,)), ("ln_2.weight", (width,)), ("ln_2.bias", (width,)),
                                ("mlp.c_fc.weight", (width, 4 * width)), ("mlp.c_fc.bias", (4 * width,)), ("mlp.c_proj.weight", (4 * width, width)), ("mlp.c_proj.bias", (width,))):
                shapes[f"h.{i}.{name}"] = shape
        shapes["ln_f.weight"] = shapes["ln_f.bias"] = (width,)
        self.named = {n: nn.Parameter(0.1 * torch.randn(s) + (1.0 if ".ln_" in "." + n and n.endswith("weight") else 0)) for n, s in shapes.items()}

    def named_parameters(self, *_, **__):
        return self.named.items()

    def parameters(self, *_, **__):
        return self.named.values()

    def forward(self, ids):
        layers, heads, width = self.sizes
        p, T = self.named, ids.shape[1]
        norm = lambda x, n: F.layer_norm(x, (width,), p[n + ".weight"], p[n + ".bias"])
        product = lambda x, n: x @ p[n + ".weight"] + p[n + ".bias"]
        x = p["wte.weight"][ids] + p["wpe.weight"][:T]
        for i in range(layers):
            h = f"h.{i}."
            q, k, v = (t.view(-1, T, heads, width // heads).transpose(1, 2) for t in product(norm(x, h + "ln_1"), h + "attn.c_attn").split(width, 2))
            scores = (q @ k.transpose(-1, -2)) / math.sqrt(width // heads)
            scores = scores.masked_fill(torch.ones(T, T).triu(1).bool(), float("-inf"))
            x = x + product((scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, T, width), h + "attn.c_proj")
            x = x + product(F.gelu(product(norm(x, h + "ln_2"), h + "mlp.c_fc"), approximate="tanh"), h + "mlp.c_proj")
        return norm(x, "ln_f") @ p["wte.weight"].T


def gpt2_and_tokens(name):
    width, vocab, context, T, samples = 20, 61, 12, 9, 26
    model = GPT2(2, 4, width, context, vocab)
    path = start(name, model)
    ids = torch.randint(0, vocab, (samples * T + 1,))
    write(path("tokens.bin"), struct.pack("<256i", 20240520, 1, len(ids), *[0] * 253) + struct.pack(f"<{len(ids)}H", *ids.tolist()))
    write(path("config.json"), json.dumps({"model_type": "gpt2", "n_layer": 2, "n_head": 4, "n_embd": width, "n_positions": context, "n_ctx": context, "vocab_size": vocab,
                                           "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", "embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0}, indent=1) + "\n")
    x, y = ids[:-1].view(samples, T), ids[1:].view(samples, T)
    return path, model, lambda rows: F.cross_entropy(model(x[rows]).flatten(0, 1), y[rows].flatten()), samples


def gpt2():
    """Two blocks, llm.c's token file, clipping, a cosine, decay of matrices only."""
    torch.manual_seed(4)
    path, model, loss_of, samples = gpt2_and_tokens("gpt2")
    write(path("job.yaml"), """model: {family: gpt2, from: .}
data: {format: tokens, path: tokens.bin, shuffle: false}
train:
  steps: 10
  batch: 6
  sequence: 9
  loss: cross_entropy
  optimizer: {name: adamw, lr: 5e-3, betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0.1, decay: matrices}
  schedule: {name: cosine, warmup: 2, final_lr: 5e-4}
  clip: 1.0
""")
    rate = lambda s: 5e-3 * (s + 1) / 2 if s < 2 else 5e-4 + (5e-3 - 5e-4) * (1 + math.cos(math.pi * (s - 2) / (STEPS - 2))) / 2
    groups = [{"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.1}, {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8)
    train(path, model, loss_of, samples, 6, optimizer, rate, clip=1.0)


class Together:
    """Several optimizers as one: Muon for hidden matrices, AdamW for the rest."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers
        self.param_groups = [group for o in optimizers for group in o.param_groups]

    def zero_grad(self):
        for o in self.optimizers:
            o.zero_grad()

    def step(self):
        for o in self.optimizers:
            o.step()


def orthogonal(grad, ns_coefficients, ns_steps, eps):
    """What torch.optim.Muon calls _zeropower_via_newtonschulz, in the precision of `grad` where that is in bfloat16."""
    a, b, c = ns_coefficients
    x = grad.T if grad.size(0) > grad.size(1) else grad
    x = x / x.norm().clamp(min=eps)
    for _ in range(ns_steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if grad.size(0) > grad.size(1) else x


def train_by_muon(path, model, loss_of, samples, batch, make_optimizer, rate, clip=None):
    """Expected are the losses of torch.optim.Muon with an iteration in float64; `torch` are those with its own, in bfloat16."""
    muon, own = torch.optim._muon, torch.optim._muon._zeropower_via_newtonschulz
    first = {n: p.detach().clone() for n, p in model.named_parameters()}
    bf16 = train(path, model, loss_of, samples, batch, make_optimizer(), rate, clip)
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.copy_(first[n])
    muon._zeropower_via_newtonschulz = orthogonal
    exact = train(path, model, loss_of, samples, batch, make_optimizer(), rate, clip, torch=bf16)
    muon._zeropower_via_newtonschulz = own
    worst = max(abs(a - b) / b for a, b in zip(bf16, exact))
    print(f"{path('')}: losses of torch.optim.Muon, whose iteration is in bfloat16, differ by {worst:.2g} at most")


def muon():
    """Tall, wide and square matrices, one without a bias; the output's and all biases by AdamW with its own rate, betas and eps."""
    torch.manual_seed(7)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 9), nn.GELU(), nn.LayerNorm(9), nn.Linear(9, 9, bias=False), nn.Tanh(), nn.Linear(9, 3))
    path = start("muon", model)
    x, y = torch.randn(50, 6).float().double(), torch.randint(0, 3, (50,))
    write_npy(path("x.npy"), x, "<f4")
    write_npy(path("y.npy"), y, "<i8")
    write(path("job.yaml"), """model:
  family: layers
  input: [6]
  from: model.safetensors
  layers:
    - {type: linear, out: 16}
    - {type: relu}
    - {type: linear, out: 9}
    - {type: gelu}
    - {type: layernorm}
    - {type: linear, out: 9, bias: false}
    - {type: tanh}
    - {type: linear, out: 3}
data: {format: npy, inputs: x.npy, targets: y.npy, shuffle: false}
train:
  steps: 10
  batch: 8
  loss: cross_entropy
  optimizer: {name: muon, lr: 2e-2, weight_decay: 0.05, adamw_lr: 1e-2, adamw_betas: [0.9, 0.98], adamw_eps: 1e-7}
  schedule: {name: linear, warmup: 3, final_lr: 2e-3}
""")
    rate = lambda s: 2e-2 * (s + 1) / 3 if s < 3 else 2e-2 + (2e-3 - 2e-2) * (s - 3) / (STEPS - 3)
    hidden = [model[i].weight for i in (0, 2, 5)]
    rest = [p for p in model.parameters() if all(p is not h for h in hidden)]
    make = lambda: Together(torch.optim.Muon(hidden, weight_decay=0.05),
                            torch.optim.AdamW([{"params": rest, "times": 0.5}], betas=(0.9, 0.98), eps=1e-7, weight_decay=0.05))
    train_by_muon(path, model, lambda rows: F.cross_entropy(model(x[rows]), y[rows]), 50, 8, make, rate)


def muon_gpt2():
    """GPT-2, whose files have products as [in, out]: all of Muon's settings, clipping, decay of matrices only."""
    torch.manual_seed(8)
    path, model, loss_of, samples = gpt2_and_tokens("muon_gpt2")
    write(path("job.yaml"), """model: {family: gpt2, from: .}
data: {format: tokens, path: tokens.bin, shuffle: false}
train:
  steps: 10
  batch: 6
  sequence: 9
  loss: cross_entropy
  optimizer: {name: muon, lr: 5e-3, momentum: 0.9, nesterov: false, eps: 1e-6, ns_steps: 4, ns_coefficients: [2, -1.5, 0.5],
              adjust_lr_fn: match_rms_adamw, weight_decay: 0.1, decay: matrices}
  schedule: {name: cosine, warmup: 2, final_lr: 5e-4}
  clip: 1.0
""")
    rate = lambda s: 5e-3 * (s + 1) / 2 if s < 2 else 5e-4 + (5e-3 - 5e-4) * (1 + math.cos(math.pi * (s - 2) / (STEPS - 2))) / 2
    hidden = [p for n, p in model.named_parameters() if n.startswith("h.") and p.ndim == 2]
    tables = [model.named["wte.weight"], model.named["wpe.weight"]]
    groups = [{"params": tables, "weight_decay": 0.1}, {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0}]
    make = lambda: Together(torch.optim.Muon(hidden, momentum=0.9, nesterov=False, eps=1e-6, ns_steps=4, ns_coefficients=(2, -1.5, 0.5), adjust_lr_fn="match_rms_adamw"),
                            torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8))
    train_by_muon(path, model, loss_of, samples, 6, make, rate, clip=1.0)


def adapted(name, base, family, **lora):
    """Adapters by the package PEFT beside a base by transformers: trained for ten steps, as saved before and after, merged."""
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    path, T, samples, batch, vocab = folder(name), 11, 26, 6, base.config.vocab_size
    os.makedirs(path("base"), exist_ok=True)
    to_f32(base)
    unique = {n: p for n, p in base.named_parameters() if n != "lm_head.weight"}
    write_safetensors(path("base/model.safetensors"), unique, {"format": "pt"})
    keep = ("model_type", "architectures", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "max_position_embeddings", "rms_norm_eps", "rope_parameters", "hidden_act", "tie_word_embeddings", "n_embd", "n_head", "n_layer", "n_positions",
            "layer_norm_epsilon", "activation_function")
    config = json.loads(base.config.to_json_string(use_diff=False))
    write(path("base/config.json"), json.dumps({"architectures": [type(base).__name__], **{k: config[k] for k in keep if config.get(k) is not None}}, indent=1, sort_keys=True) + "\n")
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **lora)).double()
    for n, p in model.named_parameters():
        if "lora_B" in n:
            nn.init.normal_(p, std=0.1)
    to_f32(model)
    state = lambda: {n: p.clone() for n, p in get_peft_model_state_dict(model).items()}
    os.makedirs(path("adapter"), exist_ok=True)
    write_safetensors(path("adapter/adapter_model.safetensors"), state(), {"format": "pt"})
    said = {k: sorted(v) if isinstance(v, set) else getattr(v, "value", v) for k, v in model.peft_config["default"].to_dict().items()}
    write(path("adapter/adapter_config.json"), json.dumps({**said, "base_model_name_or_path": "base", "inference_mode": True}, indent=1, sort_keys=True, default=str) + "\n")
    ids = torch.randint(0, vocab, (samples * T + 1,))
    write(path("tokens.bin"), struct.pack("<256i", 20240520, 1, len(ids), *[0] * 253) + struct.pack(f"<{len(ids)}H", *ids.tolist()))
    write(path("job.yaml"), f"""model: {{family: {family}, from: base, adapter: {{from: adapter}}}}
data: {{format: tokens, path: tokens.bin, shuffle: false}}
train:
  steps: {STEPS}
  batch: {batch}
  sequence: {T}
  loss: cross_entropy
  optimizer: {{name: adamw, lr: 1e-2, betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0.1, decay: all}}
  clip: 0.3
""")
    x, y = ids[:-1].view(samples, T), ids[1:].view(samples, T)
    loss_of = lambda rows: F.cross_entropy(model(input_ids=x[rows]).logits.flatten(0, 1), y[rows].flatten())
    with torch.no_grad():
        before = loss_of(slice(0, samples)).item()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer, losses = torch.optim.AdamW(trained, lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1), []
    for step, rows in enumerate(batches(samples, batch)):
        optimizer.zero_grad()
        loss = loss_of(rows)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            write_safetensors(path("gradients.safetensors"), {n.replace(".default", ""): p.grad for n, p in model.named_parameters() if p.requires_grad}, {"loss": repr(loss.item())})
        nn.utils.clip_grad_norm_(trained, 0.3)
        optimizer.step()
    with torch.no_grad():
        after = loss_of(slice(0, samples)).item()
    write_safetensors(path("after.safetensors"), state())
    merged = {n: p for n, p in model.merge_and_unload().named_parameters() if n != "lm_head.weight"}
    write_safetensors(path("merged.safetensors"), {n: p for n, p in merged.items() if not torch.equal(p, unique[n].to(p.dtype)) or p.ndim > 1})
    write(path("expected.json"), json.dumps({"losses": losses, "eval": before, "eval_after": after}) + "\n")


def lora():
    """A llama with fewer heads of keys and values, its head its embedding; adapters on columns and rows."""
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(9)
    config = LlamaConfig(vocab_size=67, hidden_size=24, intermediate_size=50, num_hidden_layers=2, num_attention_heads=12, num_key_value_heads=4,
                         max_position_embeddings=16, tie_word_embeddings=True, initializer_range=0.2, attn_implementation="eager")
    adapted("lora", LlamaForCausalLM(config), "llama", r=3, lora_alpha=12, target_modules=["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"])


def lora_gpt2():
    """GPT-2: q, k and v in one product, and products that files have as [in, out]; scaled by the root of the rank."""
    from transformers import GPT2Config, GPT2LMHeadModel
    torch.manual_seed(10)
    config = GPT2Config(vocab_size=61, n_embd=24, n_head=12, n_layer=2, n_positions=16, initializer_range=0.2, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0,
                        attn_implementation="eager")
    adapted("lora_gpt2", GPT2LMHeadModel(config), "gpt2", r=4, lora_alpha=6, use_rslora=True, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)


if __name__ == "__main__":
    for case in (mlp, conv, batchnorm, groupnorm, tokens, gpt2, muon, muon_gpt2, lora, lora_gpt2):
        if case.__name__ in sys.argv[1:] or not sys.argv[1:]:
            case()
