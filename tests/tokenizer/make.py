"""Makes the tokenizers and the expected ids of this folder with Hugging Face's `tokenizers` (PyPI; 0.23.3 made those
committed): python3 make.py. Every tokenizer is trained here, on generated text; nothing is downloaded.

NAME.json     a tokenizer.json
NAME.golden   text HASH BYTES               the 1 MiB of text, so that another generator is seen as such
              ids COUNT                     ids of that text, encoded at once
              block HASH                    of 512 ids each, the last of the rest
              string HEX ID ...             short texts
Hashes are FNV-1a, 32 bits, of bytes; ids count as four bytes, little-endian."""
import json
import os
import struct
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import text

HERE = os.path.dirname(os.path.abspath(__file__))
SEED, BYTES, BLOCK = 2024, 1 << 20, 512
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


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


def edit(name, document):
    """What trained tokenizers lack: merges as texts in one file; in another words that only ignore_merges reaches."""
    model = document["model"]
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
           "\n" * 50 + "x", "é" * 40, "!?" * 30, "the" * 40, "\ufeffBOM", "don't'", "x\u00a0y\u2003z\u3000", "\u0085\u0085a"]


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
        for string in short_strings():
            out.write(" ".join(["string", string.encode().hex() or "-"] + [str(i) for i in encode(string)]) + "\n")
    return len(ids)


def main():
    print("tokenizers", tokenizers.__version__, "Python", sys.version.split()[0])
    whole = text.make(SEED, BYTES)
    unassigned = {c for c in whole if unicodedata.category(c) == "Cn"} - set("\ufffe\ufdd0\U0010ffff")
    assert not unassigned or unicodedata.unidata_version < "14", unassigned
    for name, make in (("gpt2", gpt2), ("llama3", llama3), ("mixed", mixed)):
        path = os.path.join(HERE, name + ".json")
        document = json.loads(make().to_str())
        edit(name, document)
        with open(path, "w") as out:
            json.dump(document, out, ensure_ascii=False, separators=(",", ":"))
            out.write("\n")
        count = write_golden(name, Tokenizer.from_file(path), whole)
        print("%s: %d tokens of text, %d bytes" % (name, count, os.path.getsize(path)))


main()
