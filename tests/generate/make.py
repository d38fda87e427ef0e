"""Makes golden/: small models with random weights, and what transformers makes of them: python3 make.py (torch and
transformers; their versions are in the files). Each folder has config.json, generation_config.json, model.safetensors and
expected.json: prompts as token numbers, and after each the likeliest tokens until one that ends a text, the same without an
end, with a penalty for repetition, and the logits after the prompt."""
import json
import os

import torch
import transformers
from transformers import AutoModelForCausalLM, GenerationConfig

HERE = os.path.dirname(os.path.abspath(__file__))
COMMON = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, vocab_size=96, max_position_embeddings=48,
              bos_token_id=1, eos_token_id=2, rms_norm_eps=1e-5)
CONFIGS = {
    "gpt2": transformers.GPT2Config(n_embd=32, n_layer=3, n_head=4, vocab_size=96, n_positions=48, bos_token_id=1, eos_token_id=2,
                                    attn_pdrop=0, embd_pdrop=0, resid_pdrop=0),
    "llama": transformers.LlamaConfig(num_key_value_heads=2, tie_word_embeddings=False, **COMMON),
    "mistral": transformers.MistralConfig(num_key_value_heads=2, head_dim=8, sliding_window=7, **COMMON),
    "qwen3": transformers.Qwen3Config(num_key_value_heads=1, head_dim=12, tie_word_embeddings=True, **COMMON),
}
TOKENS = 40


def likeliest(model, prompt, **how):
    ids = model.generate(torch.tensor([prompt]), do_sample=False, max_length=48, pad_token_id=0, **how)[0, len(prompt):]
    return ids.tolist()


def make(name, config):
    torch.manual_seed(len(name))
    model = AutoModelForCausalLM.from_config(config).eval().float()
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0, 0.3)  # so that what came before matters
    folder = os.path.join(HERE, "golden", name)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2)
    model.save_pretrained(folder)
    prompts = [[5, 17, 60, 3], [88], [(7 * i + 3) % 96 for i in range(19)]]
    rows = []
    for prompt in prompts:
        free = likeliest(model, prompt, eos_token_id=None)
        end = free[len(free) // 3]  # a token that it comes to, as the end of texts
        with torch.no_grad():
            logits = model(torch.tensor([prompt])).logits[0, -1]
        rows.append(dict(prompt=prompt, free=free, end=end, ended=likeliest(model, prompt, eos_token_id=[2, end]),
                         penalty=likeliest(model, prompt, eos_token_id=None, repetition_penalty=1.3), logits=[round(x, 5) for x in logits.tolist()]))
    with open(os.path.join(folder, "expected.json"), "w") as f:
        json.dump(dict(transformers=transformers.__version__, torch=torch.__version__, context=48, rows=rows), f)


if __name__ == "__main__":
    for name, config in CONFIGS.items():
        make(name, config)
