"""Makes the tokenizers and the expected ids of this folder with Hugging Face's `tokenizers` (PyPI; 0.23.3 made those
committed): python3 make.py. Every tokenizer is trained here, on generated text; nothing is downloaded.

NAME.json     a tokenizer.json
NAME.golden   text HASH BYTES               the 1 MiB of text, so that another generator is seen as such
              ids COUNT                     ids of that text, encoded at once
              block HASH                    of 512 ids each, the last of the rest
              string HEX ID ...             short texts
              whole HEX ID ...              the same with special tokens, of tokenizers that add some
              decoded HEX ID ...            what ids decode to, where that is UTF-8
Hashes are FNV-1a, 32 bits, of bytes; ids count as four bytes, little-endian."""
import json
import os
import random
import struct
import sys
import unicodedata

import tokenizers
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

import text

HERE = os.path.dirname(os.path.abspath(__file__))
SEED, BYTES, BLOCK = 2024, 1 << 20, 512
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPELLED = ["<0x%02X>" % byte for byte in range(256)]


def fnv(data):
    value = 0x811c9dc5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xffffffff
    return value


def isolated(pattern):
    return pre_tokenizers.Split(Regex(pattern), behavior="isolated")


def byte_level(use_regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def trained(pre_tokenizer, size, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator([text.make(seed, 20000) for seed in range(1, 21)], trainer)
    return tokenizer


def special(content, **more):
    return AddedToken(content, special=True, **more)


def gpt2():
    tokenizer = trained(byte_level(True), 2000)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([special("<|endoftext|>", normalized=True)])
    return tokenizer


def llama3():
    tokenizer = trained(pre_tokenizers.Sequence([isolated(LLAMA3), byte_level()]), 3000, ignore_merges=True)
    tokenizer.add_special_tokens([special("<|begin_of_text|>"), special("<|endoftext|>"), special("<|eot_id|>")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))])
    return tokenizer


def mixed():
    """Several Splits, a pattern in ByteLevel, added tokens that overlap and go through both passes."""
    tokenizer = trained(pre_tokenizers.Sequence([isolated(r"\p{N}{1,3}"), isolated("[一-龥ぁ-ん]+"), isolated(O200K),
                                                 byte_level(True)]), 800)
    tokenizer.add_special_tokens([special("<|endoftext|>")])
    tokenizer.add_tokens([AddedToken("<tag>", normalized=True), AddedToken("<tag>>", normalized=True),
                          AddedToken("ag>", normalized=False), AddedToken("[é]", normalized=True),
                          AddedToken("\n\n", normalized=False), AddedToken(" the", normalized=False)])
    return tokenizer


def smollm():
    tokenizer = trained(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)]), 900)
    tokenizer.add_special_tokens([special("<|endoftext|>")])
    return tokenizer


def qwen():
    tokenizer = trained(pre_tokenizers.Sequence([isolated(QWEN), byte_level()]), 900)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([special("<|endoftext|>")])
    tokenizer.add_tokens([AddedToken("e\u0301x"), AddedToken("<tag>", lstrip=True, normalized=False),
                          AddedToken("ag>", rstrip=True, normalized=False), AddedToken("[é]", single_word=True),
                          AddedToken("so", single_word=True, normalized=False)])
    return tokenizer


def characters(size, **model):
    """Of characters, spaces written as U+2581: the vocabulary is trained word by word."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True, **model))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=size, limit_alphabet=300, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"] + SPELLED)
    tokenizer.train_from_iterator([text.make(seed, 20000) for seed in range(1, 21)], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def llama2():
    tokenizer = characters(1400)
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    return tokenizer


def mistral():
    tokenizer = characters(1400, ignore_merges=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return tokenizer


def holes():
    """Bytes of which some have no token, ids with holes, a prefix space, digits in runs."""
    tokenizer = trained(pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel()]), 900)
    tokenizer.add_special_tokens([special("<|endoftext|>")])
    return tokenizer


def edit(name, document):
    """What trained tokenizers lack: merges as texts in one file; in another words that only ignore_merges reaches; in
    characters' ones added tokens of bytes, which are none; holes."""
    model = document["model"]
    if name in ("llama2", "mistral"):
        document["added_tokens"] = document["added_tokens"][:3]
        model["merges"] = [merge for i, merge in enumerate(model["merges"]) if name == "llama2" or i % 7 != 6]
    if name == "holes":
        gone = {c for c, i in model["vocab"].items() if len(c) == 1 and i * 13 % 17 == 3}
        model["vocab"] = {word: i for word, i in model["vocab"].items() if not gone & set(word)}
        model["merges"] = [merge for merge in model["merges"] if not gone & set("".join(merge))]
    if name == "gpt2":
        model["merges"] = [" ".join(merge) for merge in model["merges"]]
        model["continuing_subword_prefix"] = model["end_of_word_suffix"] = ""
        model["unk_token"] = ""
    if name == "llama3":
        model["merges"] = [merge for i, merge in enumerate(model["merges"]) if i % 7 != 6]


STRINGS = ["", " ", "a", "Hello, world!", "\n", "\r\n", "  a", "a  ", " \n \n x", "'s", "I'M WE'RE it's", "1234567",
           "<|endoftext|>", "a<|endoftext|>b<|endoftext|>", "<|begin_of_text|> hi<|eot_id|>\n\n", "<tag>>", "<ta<tag>",
           "xag>y", "the  the   the", "\u180e x", "x\u180e\u180e", "\u0000", "\u0000\u0001a", "e\u0301\u0301 x", "ſ'ſ'S",
           "日本語のテスト", "한국어", "עברית", "1½²", "👩‍👩‍👧‍👦", "\t\t\tif (x) {\n", "a" * 200, "ab" * 60, " " * 100,
           "\n" * 50 + "x", "é" * 40, "!?" * 30, "the" * 40, "\ufeffBOM", "don't'", "x\u00a0y\u2003z\u3000", "\u0085\u0085a",
           "<s>a <s>  b</s>", "a▁b ▁▁ c", "<0x41><0xE2>", "e\u0301x é", "a\u0323\u0307 a\u0307\u0323 ệ", "각\u11a8 \u1100\u1161\u11a8",
           "so  so, also so_ so", "a <tag>  b <tag>", "x ag>  y ag>ag>", "か\u3099 \u212b \ufb01", "e" + "\u0301\u0323" * 20]


def short_strings():
    maker = text.Maker(77)
    return STRINGS + ["".join(maker.unit() for _ in range(1 + i % 9)) for i in range(260)]


def write_golden(name, tokenizer, whole):
    def encode(string):
        return tokenizer.encode(string, add_special_tokens=False).ids

    ids = encode(whole)
    with open(os.path.join(HERE, name + ".golden"), "w") as out:
        out.write("text %08x %d\nids %d\n" % (fnv(whole.encode()), len(whole.encode()), len(ids)))
        for i in range(0, len(ids), BLOCK):
            out.write("block %08x\n" % fnv(struct.pack("<%di" % len(ids[i:i + BLOCK]), *ids[i:i + BLOCK])))
        def line(kind, string, ids):
            out.write(" ".join([kind, string.encode().hex() or "-"] + [str(i) for i in ids]) + "\n")

        for string in short_strings():
            line("string", string, encode(string))
            if tokenizer.encode(string).ids != encode(string):
                line("whole", string, tokenizer.encode(string).ids)
        draw, known = random.Random(7), sorted(tokenizer.get_vocab().values())
        for drawn in [encode(string) for string in STRINGS] + [draw.choices(known, k=1 + i % 6) for i in range(200)]:
            string = tokenizer.decode(drawn, skip_special_tokens=False)
            if "\ufffd" not in string:
                line("decoded", string, drawn)
    return len(ids)


def main():
    print("tokenizers", tokenizers.__version__, "Python", sys.version.split()[0])
    whole = text.make(SEED, BYTES)
    unassigned = {c for c in whole if unicodedata.category(c) == "Cn"} - set("\ufffe\ufdd0\U0010ffff")
    assert not unassigned or unicodedata.unidata_version < "14", unassigned
    for name, make in (("gpt2", gpt2), ("llama3", llama3), ("mixed", mixed), ("smollm", smollm), ("qwen", qwen),
                       ("llama2", llama2), ("mistral", mistral), ("holes", holes)):
        path = os.path.join(HERE, name + ".json")
        document = json.loads(make().to_str())
        edit(name, document)
        with open(path, "w") as out:
            json.dump(document, out, ensure_ascii=False, separators=(",", ":"))
            out.write("\n")
        count = write_golden(name, Tokenizer.from_file(path), whole)
        print("%s: %d tokens of text, %d bytes" % (name, count, os.path.getsize(path)))


main()
