#!/usr/bin/env python3
"""Text to tokens on one thread: yoke's and the package `tokenizers`' (scripts/venv has it), the same file, the same text.

  build/venv/bin/python3 bench/tokenizers.py build/release/libyoke.so [TOKENIZER.json ...] [--text FILE] [--mib N] [--rounds N]

Without tokenizers: those of tests/tokenizer; without a text: generated as for them. Printed: the best of the rounds in MB/s,
and whether the ids are the same. Both get the text in one call."""
import argparse
import ctypes
import glob
import os
import sys
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


def best(rounds, call):
    least = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        result = call()
        least = min(least, time.perf_counter() - start)
    return least, result


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("library")
    options.add_argument("files", nargs="*")
    options.add_argument("--text")
    options.add_argument("--mib", type=float, default=4)
    options.add_argument("--rounds", type=int, default=3)
    o = options.parse_args()
    library, libc = ctypes.CDLL(os.path.abspath(o.library)), ctypes.CDLL(None)
    libc.free.argtypes = [ctypes.c_void_p]
    whole = open(o.text, encoding="utf-8").read() if o.text else generated.make(2024, int(o.mib * (1 << 20)))
    data = whole.encode()
    print(f"tokenizers {tokenizers.__version__}, {len(data) / 1e6:.1f} MB of text, best of {o.rounds}")
    print(f"{'':16}{'yoke MB/s':>12}{'tokenizers':>12}{'ratio':>8}   ids")
    for path in o.files or sorted(glob.glob(HERE + "/../tests/tokenizer/*.json")):
        mine, theirs = Yoke(library, path), tokenizers.Tokenizer.from_file(path)
        seconds, (ids, count) = best(o.rounds, lambda: mine.encode(data))  # noqa: B023
        other, encoding = best(o.rounds, lambda: theirs.encode(whole, add_special_tokens=False))  # noqa: B023
        same = count == len(encoding.ids) and ids[:count] == encoding.ids
        name = os.path.splitext(os.path.basename(path))[0]
        print(f"{name:16}{len(data) / seconds / 1e6:12.1f}{len(data) / other / 1e6:12.1f}{other / seconds:8.1f}   {'the same' if same else 'DIFFERENT'}",
              flush=True)
        libc.free(ids)


if __name__ == "__main__":
    main()
