"""Makes the folders beside it: python3 make.py [CASE...] (needs the PyPI packages torch and transformers). Each is a small model as
`save_pretrained` writes it, a job that trains it, its tokens, and what transformers computes: logits of the first SAMPLES
samples from the weights as saved, and after the job's steps, taken in float64 by PyTorch's SGD; and the first step's gradients, where
logits alone say little of them. Seeded: running it again
gives the same numbers."""
import os
import struct
import sys

import torch
from safetensors.torch import save_file
from transformers import (GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLES, SEQUENCE, BATCH, STEPS, VOCAB = 2, 12, 4, 5, 31

LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}


def llama(model=LlamaForCausalLM, config=LlamaConfig, **more):
    return model(config(vocab_size=VOCAB, hidden_size=16, intermediate_size=22, num_hidden_layers=2, max_position_embeddings=128,
                                        bos_token_id=None, eos_token_id=None, **more))


# The last have their first gradients too. A tied table; a free head, grouped queries, in shards; stretched positions, one head of keys, a tied table, in bf16;
# biases everywhere, heads wider than the width has, positions stretched by one factor; biases of q, k and v, a tied table; a norm of each head,
# biases of attention, one head of keys; a window shorter than a sample, narrow heads.
CASES = {
    "gpt2": (lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_positions=16, n_embd=16, n_layer=2, n_head=4, embd_pdrop=0, attn_pdrop=0,
                                                resid_pdrop=0, bos_token_id=None, eos_token_id=None)), torch.float32, {}),
    "llama": (lambda: llama(num_attention_heads=4, num_key_value_heads=2), torch.float32, {"max_shard_size": "6KB"}),
    "llama3": (lambda: llama(num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, rope_parameters=LLAMA3), torch.bfloat16, {}),
    "biased": (lambda: llama(num_attention_heads=4, num_key_value_heads=2, head_dim=6, attention_bias=True, mlp_bias=True, rope_parameters=LINEAR),
               torch.float32, {}),
    "qwen2": (lambda: llama(Qwen2ForCausalLM, Qwen2Config, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True), torch.float32, {}),
    "qwen3": (lambda: llama(Qwen3ForCausalLM, Qwen3Config, num_attention_heads=4, num_key_value_heads=1, head_dim=10, attention_bias=True), torch.float32, {}),
    "mistral": (lambda: llama(MistralForCausalLM, MistralConfig, num_attention_heads=4, num_key_value_heads=2, head_dim=2, sliding_window=5),
                torch.float32, {}),
}
WITH_GRADIENTS = ("biased", "qwen2", "qwen3", "mistral")

JOB = f"""model: {{family: %s, from: .}}
data: {{format: tokens, path: tokens.bin, shuffle: false}}
train:
  steps: {STEPS}
  batch: {BATCH}
  sequence: {SEQUENCE}
  loss: cross_entropy
  optimizer: {{name: sgd, lr: 0.02, momentum: 0.9}}
"""


def make(name, build, dtype, saving):
    torch.manual_seed(list(CASES).index(name) + 1)
    path = lambda file: os.path.join(HERE, name, file)
    model = build()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    model.to(dtype).save_pretrained(path(""), **saving)
    if os.path.exists(path("generation_config.json")):
        os.remove(path("generation_config.json"))
    count = STEPS * BATCH * SEQUENCE + 1
    ids = torch.randint(0, VOCAB, (count,))
    with open(path("tokens.bin"), "wb") as f:
        f.write(struct.pack("<256i", 20240520, 1, count, *[0] * 253) + struct.pack(f"<{count}H", *ids.tolist()))
    with open(path("job.yaml"), "w") as f:
        f.write(JOB % model.config.model_type)
    x, y = ids[:-1].view(-1, SEQUENCE), ids[1:].view(-1, SEQUENCE)
    model = type(model).from_pretrained(path(""), dtype=torch.float64).train()
    logits = lambda: model(x[:SAMPLES]).logits.detach().float().contiguous()
    before = logits()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x[rows]).logits.flatten(0, 1), y[rows].flatten())
        loss.backward()
        if step == 0 and name in WITH_GRADIENTS:
            gradients = {n: p.grad.float().contiguous() for n, p in model.named_parameters()}
            save_file(gradients, path("gradients.golden"), {"loss": repr(loss.item())})
        optimizer.step()
    after = logits()
    print(name, "logits", before.abs().max().item(), "change", (after - before).abs().max().item())
    save_file({"before": before, "after": after}, path("logits.golden"))


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        make(name, *CASES[name])
