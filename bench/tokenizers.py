#!/usr/bin/env python3
"""Text to tokens on one thread: yoke's and the package `tokenizers`' (scripts/venv has it), the same file, the same text.

  build/venv/bin/python3 bench/tokenizers.py build/release/libyoke.so [TOKENIZER.json ...] [--text FILE] [--mib N] [--rounds N] [--jsonl BYTES]

Without tokenizers: those of tests/tokenizer; without a text: generated as for them. Printed: the best of the rounds in MB/s,
and whether the ids are the same. Both get the text in one call; with --jsonl in rows of about so many bytes: yoke a file of JSON
lines, which it reads, parses, encodes and packs, the package texts in memory, in one batch."""
import argparse
import ctypes
import glob
import json
import os
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
os.environ["TOKENIZERS_PARALLELISM"] = "false"
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]  # this file has the package's name
import tokenizers  # noqa: E402

sys.path.insert(0, HERE + "/../tests/tokenizer")
import text as generated  # noqa: E402


class Yoke:
    def __init__(self, library, path):
        self.library, self.tokenizer = library, ctypes.c_void_p()
        if library.yoke_tokenizer_create(ctypes.byref(self.tokenizer), path.encode()):
            sys.exit(f"tokenizers.py: yoke refuses {path}")

    def encode(self, data):
        ids, count = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_int64()
        if self.library.yoke_tokenizer_encode(self.tokenizer, data, ctypes.c_size_t(len(data)), ctypes.byref(ids), ctypes.byref(count)):
            sys.exit("tokenizers.py: yoke refuses the text")
        return ids, count.value


class Rows(ctypes.Structure):
    """yoke_jsonl"""
    _fields_ = [("npaths", ctypes.c_int), ("paths", ctypes.POINTER(ctypes.c_char_p)), ("sequence", ctypes.c_int64), ("tokenizer", ctypes.c_void_p),
                ("eos", ctypes.c_int32), ("chat", ctypes.c_int), ("bos", ctypes.c_char_p), ("pack", ctypes.c_int), ("skip_long", ctypes.c_bool)]


LENGTH = 64  # of a sample


def open_rows(mine, path):
    """A dataset of packed rows, and how many tokens its samples have."""
    paths, data = (ctypes.c_char_p * 1)(path.encode()), ctypes.c_void_p()
    rows = Rows(1, paths, LENGTH, mine.tokenizer, 0, 0, None, 1, False)
    if mine.library.yoke_data_from_jsonl(ctypes.byref(data), ctypes.byref(rows)):
        sys.exit("tokenizers.py: yoke refuses the rows")
    return data


def first_ids(library, data, count):
    row, ids = (ctypes.c_int32 * LENGTH)(), []
    for i in range(count // LENGTH):
        library.yoke_data_get(data, ctypes.c_int64(i), row, None)
        ids += row
    return ids


def bench_rows(o, library, whole):
    texts = [whole[i:i + o.jsonl] for i in range(0, len(whole), o.jsonl)]
    size = sum(len(t.encode()) for t in texts)
    library.yoke_data_destroy.argtypes = [ctypes.c_void_p]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as f:
        f.writelines(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts)
        f.flush()
        print(f"{len(texts)} rows of JSON, of {size / 1e6:.1f} MB of text")
        for path in o.files or sorted(glob.glob(HERE + "/../tests/tokenizer/*.json")):
            mine, theirs = Yoke(library, path), tokenizers.Tokenizer.from_file(path)
            seconds, other, data, encodings = beside(
                o.rounds, lambda: open_rows(mine, f.name), lambda: theirs.encode_batch(texts, add_special_tokens=False))  # noqa: B023
            begin = theirs.encode("").ids[:1]
            ids = [i for e in encodings[:50] for i in begin + e.ids + [0]]
            same = first_ids(library, data, len(ids)) == ids[:len(ids) // LENGTH * LENGTH]
            name = os.path.splitext(os.path.basename(path))[0]
            print(f"{name:16}{size / seconds / 1e6:12.1f}{size / other / 1e6:12.1f}{other / seconds:8.1f}   {'the same' if same else 'DIFFERENT'}", flush=True)
            library.yoke_data_destroy(data)


def beside(rounds, *calls):
    """The least seconds and the last result of each, in turns."""
    least, results = [float("inf")] * len(calls), [None] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            results[i] = call()
            least[i] = min(least[i], time.perf_counter() - start)
    return *least, *results


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("library")
    options.add_argument("files", nargs="*")
    options.add_argument("--text")
    options.add_argument("--mib", type=float, default=4)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--jsonl", type=int)
    o = options.parse_args()
    library, libc = ctypes.CDLL(os.path.abspath(o.library)), ctypes.CDLL(None)
    libc.free.argtypes = [ctypes.c_void_p]
    whole = open(o.text, encoding="utf-8").read() if o.text else generated.make(2024, int(o.mib * (1 << 20)))
    data = whole.encode()
    print(f"tokenizers {tokenizers.__version__}, {len(data) / 1e6:.1f} MB of text, best of {o.rounds}")
    print(f"{'':16}{'yoke MB/s':>12}{'tokenizers':>12}{'ratio':>8}   ids")
    if o.jsonl:
        return bench_rows(o, library, whole)
    for path in o.files or sorted(glob.glob(HERE + "/../tests/tokenizer/*.json")):
        mine, theirs = Yoke(library, path), tokenizers.Tokenizer.from_file(path)
        seconds, other, (ids, count), encoding = beside(
            o.rounds, lambda: mine.encode(data), lambda: theirs.encode(whole, add_special_tokens=False))  # noqa: B023
        same = count == len(encoding.ids) and ids[:count] == encoding.ids
        name = os.path.splitext(os.path.basename(path))[0]
        print(f"{name:16}{len(data) / seconds / 1e6:12.1f}{len(data) / other / 1e6:12.1f}{other / seconds:8.1f}   {'the same' if same else 'DIFFERENT'}",
              flush=True)
        libc.free(ids)


if __name__ == "__main__":
    main()
