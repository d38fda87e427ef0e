"""Makes the files of this folder with Hugging Face's `transformers` and `tokenizers` (PyPI; 5.24.0 and 0.23.3 made those committed):
python3 make.py. The tokenizers are trained here, on generated text; nothing is downloaded.

NAME.json       a tokenizer.json: `level` of bytes with a template's words as tokens, `space` of characters (Metaspace, spelled
                bytes) with them, `plain` of bytes without
FILE.jsonl      rows
rows.golden     case TOKENIZER FILE CHAT PACK LENGTH EOS SAMPLES LEFT_OUT
                inputs and targets of each sample, a line each: how many, and they; those behind, up to LENGTH, are eos and -100

What is counted of messages is transformers' assistant mask: the tokens that hold a character between {% generation %} tags."""
import json
import os
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../tokenizer")
import text  # noqa: E402

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
WORDS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|im_start|>", "<|im_end|>"]
TEMPLATES = {
    "chatml": "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] "
              "+ '<|im_end|>' }}{% endgeneration %}{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}",
    "llama3": "{{ '<|begin_of_text|>' }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' }}"
              "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] | trim + '<|eot_id|>' }}{% endgeneration %}{% else %}"
              "{{ m['content'] | trim + '<|eot_id|>' }}{% endif %}{% endfor %}"}


def corpus():
    chat = "".join(f"<|im_start|>{r}\nok\n\n{r}<|im_end|>\n<|start_header_id|>{r}\n\n" for r in ("system", "user", "assistant"))
    return [text.make(seed, 6000) for seed in range(1, 9)] + [chat] * 20


def begins(tokenizer, bos):
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])


def level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return tokenizer


def space():
    spelled = ["<0x%02X>" % byte for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(vocab_size=480, special_tokens=["<unk>", *spelled], limit_alphabet=60, show_progress=False)
    tokenizer.train_from_iterator([w for t in corpus() for w in t.split(" ")], trainer)
    return tokenizer


def make_tokenizers():
    made = {"level": level(), "space": space(), "plain": level()}
    for name in ("level", "space"):
        made[name].add_special_tokens([AddedToken(w, normalized=False, special=True) for w in WORDS])
        begins(made[name], "<|begin_of_text|>")
    made["plain"].add_special_tokens([AddedToken("</s>", special=True)])
    for name, tokenizer in made.items():
        tokenizer.save(f"{HERE}/{name}.json", pretty=False)
    return {name: (t, PreTrainedTokenizerFast(tokenizer_object=t)) for name, t in made.items()}


def phrase(draw, most):
    whole = text.make(draw.randrange(1 << 30), 400).replace("\x00", "")
    at = draw.randrange(100)
    return draw.choice(["", "", " ", "\n", "\n\n", "\t "]) + whole[at:at + draw.randrange(most)] + draw.choice(["", "", " ", "\n", "\n\n"])


def make_rows():
    draw = random.Random(7)
    texts = [{"text": phrase(draw, 60)} for _ in range(9)] + [{"text": "zero \x00 byte <|eot_id|> spelled"}]
    pairs = [{"prompt": phrase(draw, 50), "completion": phrase(draw, 30)} for _ in range(10)]
    pairs += [{"prompt": "", "completion": "nothing asked"}, {"prompt": "yes?", "completion": ""}, {"prompt": phrase(draw, 300) + "long " * 20, "completion": "cut"}]
    chats = []
    for _ in range(12):
        turns = [{"role": "system", "content": phrase(draw, 20)}] if draw.random() < .5 else []
        for _ in range(draw.randrange(1, 4)):
            turns += [{"role": "user", "content": phrase(draw, 25)}, {"role": "assistant", "content": phrase(draw, 25)}]
        chats.append({"messages": turns})
    chats += [{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}]},
              {"messages": [{"role": "user", "content": "é" * 60}, {"role": "assistant", "content": "cut"}]},
              {"messages": [{"role": "assistant", "content": "\n\n\n starts\u00a0"}, {"role": "user", "content": "<|im_end|>\u3000"}]}]
    for name, rows in (("texts", texts), ("pairs", pairs), ("chats", chats)):
        with open(f"{HERE}/{name}.jsonl", "w", encoding="utf-8") as f:
            f.writelines(json.dumps(row, ensure_ascii=bool(i % 2)) + "\n" for i, row in enumerate(rows))
    return {"texts": texts, "pairs": pairs, "chats": chats, "mixed": pairs + texts}


def ids_of(row, tokenizer, fast, chat, eos):
    """[(id, counted)]"""
    def plain(words):
        return tokenizer.encode(words, add_special_tokens=False).ids
    begin = tokenizer.encode("", add_special_tokens=True).ids
    if "text" in row:
        return [(i, True) for i in begin + plain(row["text"]) + [eos]]
    if "prompt" in row:
        return [(i, False) for i in begin + plain(row["prompt"])] + [(i, True) for i in plain(row["completion"]) + [eos]]
    made = fast.apply_chat_template(row["messages"], chat_template=TEMPLATES[chat], return_assistant_tokens_mask=True, return_dict=True)
    return list(zip(made["input_ids"], (bool(m) for m in made["assistant_masks"])))


def samples_of(rows, length, pack, eos):
    if pack:
        whole = [t for row in rows for t in row]
        cuts = [whole[i * length:i * length + length + 1] for i in range((len(whole) - 1) // length)]
    else:
        cuts = [row[:length + 1] for row in rows]
        cuts = [row for row in cuts if any(counted for _, counted in row[1:])]
    for row in cuts:
        row = row + [(eos, False)] * (length + 1 - len(row))
        yield [i for i, _ in row[:-1]], [i if counted else -100 for i, counted in row[1:]]


def shown(values, padding):
    """As a line, without what fills it up."""
    count = len(values)
    while count and values[count - 1] == padding:
        count -= 1
    return " ".join(map(str, [count, *values[:count]])) + "\n"


def main():
    made, rows = make_tokenizers(), make_rows()
    cases = [(t, f, c, p, n) for t in made for f, c, p, n in (("texts", "-", 1, 16), ("texts", "-", 0, 24), ("pairs", "-", 0, 40), ("pairs", "-", 1, 12),
             ("mixed", "-", 0, 32), ("chats", "chatml", 0, 90), ("chats", "llama3", 0, 120), ("chats", "chatml", 1, 32))]
    with open(HERE + "/rows.golden", "w") as f:
        for name, file, chat, pack, length in cases:
            tokenizer, fast = made[name]
            eos = tokenizer.token_to_id("</s>" if name == "plain" else "<|end_of_text|>")
            whole = [ids_of(row, tokenizer, fast, chat, eos) for row in rows[file]]
            samples = list(samples_of(whole, length, pack, eos))
            left_out = 0 if pack else len(whole) - len(samples)
            f.write(f"case {name} {file} {chat} {pack} {length} {eos} {len(samples)} {left_out}\n")
            for inputs, targets in samples:
                f.write(shown(inputs, eos) + shown(targets, -100))


if __name__ == "__main__":
    main()
