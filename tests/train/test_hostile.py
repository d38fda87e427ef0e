"""Malformed input through the program: test_hostile.py YOKE GOLDEN. Job files, datasets and checkpoints that are wrong in one
way each end with exit code 2 and a sentence of at most four lines that names the file, key or number at fault; mutated ones
are answered, never with a signal or a hang. Standard library only."""
import gzip
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

YOKE, GOLDEN = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
JOB = """model:
  family: layers
  input: [6]
  layers:
    - {type: linear, out: 8}
    - {type: relu}
    - {type: linear, out: 3}
data: {format: random, samples: 50}
train:
  steps: 2
  batch: 8
  loss: cross_entropy
  optimizer: {name: sgd, lr: 0.1}
"""


def npy(shape, code, body, version=1, order="False"):
    text = f"{{'descr': '{code}', 'fortran_order': {order}, 'shape': {shape}, }}"
    text += " " * (63 - (10 + len(text)) % 64) + "\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text.encode() + body


def safetensors(header, body=b"", size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + body


def f32(*shape):
    n = 1
    for d in shape:
        n *= d
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [0, 4 * n]}, bytes(4 * n)


def not_a_number(file):
    """The file with its last value lost."""
    return file[:-4] + struct.pack("<f", float("nan"))


# in JOB: what to replace, by what, what the sentence must say
JOBS = [
    ("steps: 2", "steps: -1", r"steps.*-1"),
    ("steps: 2", "steps: two", r"steps.*two"),
    ("steps: 2", "steps: 1.5", r"steps.*1\.5"),
    ("steps: 2", "steps: 99999999999999999999", r"steps.*99999999999999999999"),
    ("steps: 2", "steps: 2\n  steps: 3", r"steps"),
    ("steps: 2", "step: 2", r"step.*steps"),
    ("  steps: 2\n", "", r"steps.*missing"),
    ("steps: 2", "steps: 2\n  epochs: 1", r"epochs"),
    ("batch: 8", "batch: 0", r"batch.*0"),
    ("batch: 8", "batch: [8]", r"batch"),
    ("lr: 0.1", "lr: -0.1", r"lr.*-0\.1"),
    ("lr: 0.1", "lr: .nan", r"lr"),
    ("lr: 0.1", "lr: .inf", r"lr"),
    ("lr: 0.1", "lr: 0.1, momentum: 1.5", r"momentum.*1\.5"),
    ("lr: 0.1", "lr: 0.1, betas: [0.9, 0.9]", r"betas"),
    ("name: sgd", "name: sdg", r"sgd.*sdg"),
    ("loss: cross_entropy", "loss: cross_entrpy", r"cross_entropy.*cross_entrpy"),
    ("family: layers", "family: transformer", r"transformer"),
    ("family: layers", "family: [layers]", r"family"),
    ("type: relu", "type: rleu", r"rleu.*relu"),
    ("type: relu", "kind: relu", r"type|kind"),
    ("{type: relu}", "relu", r"layers\.1|layers"),
    ("out: 8", "out: 0", r"out.*0"),
    ("out: 8", "out: 9223372036854775807", r"9223372036854775807|out"),
    ("out: 8", "out: 4611686018427387904", r"4611686018427387904|out"),
    ("out: 8", "out: 8, bais: true", r"bais.*bias"),
    ("out: 8", "out: 8, device: -1", r"device.*-1"),
    ("out: 8", "out: 8, device: 3", r"device.*3"),
    ("{type: relu}", "{type: dropout, p: 1}", r"p.*1"),
    ("{type: relu}", "{type: dropout, p: -0.1}", r"p.*-0\.1"),
    ("{type: relu}", "{type: conv2d, out: 3, kernel: 3}", r"conv2d.*channels|channels"),
    ("{type: relu}", "{type: embedding, rows: 4, out: 2}", r"embedding"),
    ("{type: relu}", "{type: residual, layers: []}", r"residual|layers"),
    ("{type: relu}", "{type: residual, layers: [{type: linear, out: 5}]}", r"residual.*shape"),
    ("input: [6]", "input: []", r"input"),
    ("input: [6]", "input: [0]", r"input.*0"),
    ("input: [6]", "input: [-6]", r"input.*-6"),
    ("input: [6]", "input: [4294967296, 4294967296, 4]", r"input|elements|429496"),
    ("input: [6]", "input: [1, 1, 1, 1, 1, 1, 6]", r"input|dim"),
    ("input: [6]\n", "input: [6]\n  heads: 2\n", r"heads"),
    ("samples: 50", "samples: 0", r"samples.*0"),
    ("samples: 50", "samples: 50, holdout: 1", r"holdout.*1"),
    ("samples: 50", "samples: 50, holdout: -0.1", r"holdout.*-0\.1"),
    ("samples: 50", "samples: 4, holdout: 0.1, drop_last: true", r"drop_last|batch"),
    ("samples: 50", "samples: 50, path: x", r"path"),
    ("format: random", "format: rnadom", r"random.*rnadom"),
    ("format: random, samples: 50", "format: npy, inputs: x.npy", r"targets"),
    ("train:", "trian:", r"trian.*train"),
    ("train:", "layout: {dp: 0}\ntrain:", r"dp.*0"),
    ("train:", "layout: {dp: 9}\ntrain:", r"batch.*8.*9|dp 9"),
    ("train:", "layout: {tp: 2000}\ntrain:", r"tp.*2000|2000|1024"),
    ("train:", "layout: {dp: 2, devices: 3}\ntrain:", r"devices|dp"),
    ("train:", "layout: {dp: 2, devices: [cpu:0, gpu:1]}\ntrain:", r"gpu:1"),
    ("train:", "layout: {pp: 4}\ntrain:", r"pp 4"),
    ("train:", "layout: {pp: 2, schedule: 1f2b}\ntrain:", r"1f2b.*1f1b"),
    ("train:", "layout: {pp: 2, schedule: none.txt}\ntrain:", r"none\.txt"),
    ("train:", "layout: {pp: 2, chunks: 0}\ntrain:", r"chunks.*0"),
    ("train:", "layout: {microbatches: 1000000000}\ntrain:", r"microbatches|micro-batches"),
    ("train:", "layout: {zero: 4}\ntrain:", r"zero.*4"),
    ("train:", "layout: {device_memory: 3 cows}\ntrain:", r"device_memory.*3 cows"),
    ("train:", "layout: {threads: -2}\ntrain:", r"threads.*-2"),
    ("steps: 2", "steps: 2\n  precision: f16", r"precision.*f16|f16"),
    ("steps: 2", "steps: 2\n  clip: -1", r"clip.*-1"),
    ("steps: 2", "steps: 2\n  seed: -1", r"seed.*-1"),
    ("steps: 2", "steps: 2\n  schedule: {name: cosine, warmup: -1}", r"warmup.*-1"),
    ("steps: 2", "steps: 2\n  schedule: {name: cosin}", r"cosine.*cosin"),
    ("model:", "model: &m", r"anchor|alias|&"),
    ("model:", "model: !!map", r"tag"),
    ("{type: relu}", "{type: relu", r"job\.yaml:\d+"),
    ("  input: [6]", "\tinput: [6]", r"job\.yaml:\d+"),
    ("family: layers", "family: layers\x00", r"job\.yaml"),
    ("family: layers", "family: \"layers\xff\"", r"job\.yaml"),
]

# whole job files
WHOLE = [(b"", r"empty|job\.yaml"), (b"\n\n", r"job\.yaml"), (b"[1, 2]", r"job\.yaml"), (b"5", r"job\.yaml"), (b"\xff\xfe", r"job\.yaml"),
         (b"a: " + b"[" * 5000, r"job\.yaml"), (b"model: {}\n", r"family|model"), (b"---\n" + JOB.encode() + b"---\n" + JOB.encode(), r"document")]

X, Y = npy("(4, 6)", "<f4", bytes(96)), npy("(4,)", "<i8", bytes(32))
NPY = "format: npy, inputs: x.npy, targets: y.npy"
CSV = "format: csv, path: t.csv, targets: [c]"
IDX = "format: idx, inputs: i, targets: l"
# data: the section's text, files, what the sentence must say
DATA = [
    (NPY, {"y.npy": Y}, r"x\.npy"),
    (NPY, {"x.npy": X}, r"y\.npy"),
    (NPY, {"x.npy": b"", "y.npy": Y}, r"x\.npy"),
    (NPY, {"x.npy": X[:40], "y.npy": Y}, r"x\.npy"),
    (NPY, {"x.npy": X[:-1], "y.npy": Y}, r"x\.npy"),
    (NPY, {"x.npy": X + b"x", "y.npy": Y}, r"x\.npy"),
    (NPY, {"x.npy": b"PK" + X[2:], "y.npy": Y}, r"x\.npy"),
    (NPY, {"x.npy": npy("(4, 6)", ">f4", bytes(96)), "y.npy": Y}, r"x\.npy.*>f4|x\.npy"),
    (NPY, {"x.npy": npy("(4, 6)", "<f4", bytes(96), order="True"), "y.npy": Y}, r"x\.npy"),
    (NPY, {"x.npy": npy("(4, 6)", "<f4", bytes(96), version=9), "y.npy": Y}, r"x\.npy"),
    (NPY, {"x.npy": npy("(4, -6)", "<f4", bytes(96)), "y.npy": Y}, r"x\.npy"),
    (NPY, {"x.npy": npy("(0, 6)", "<f4", b""), "y.npy": npy("(0,)", "<i8", b"")}, r"\.npy"),
    (NPY, {"x.npy": npy("(4611686018427387904, 6)", "<f4", bytes(96)), "y.npy": Y}, r"x\.npy"),
    (NPY, {"x.npy": npy("(4, 5)", "<f4", bytes(80)), "y.npy": Y}, r"\[5\].*\[6\]"),
    (NPY, {"x.npy": npy("(3, 6)", "<f4", bytes(72)), "y.npy": Y}, r"3.*4"),
    (NPY, {"x.npy": npy("(4, 6)", "<f4", struct.pack("<24f", *[0.0] * 7, float("nan"), *[0.0] * 16)), "y.npy": Y}, r"x\.npy.*(NaN|nan|finite)|NaN"),
    (NPY, {"x.npy": X, "y.npy": npy("(4,)", "<i8", struct.pack("<4q", 0, 1, 3, 2))}, r"class 3.*0 \.\. 2"),
    (NPY, {"x.npy": X, "y.npy": npy("(4,)", "<i8", struct.pack("<4q", 0, 1, -1, 2))}, r"y\.npy.*-1|-1"),
    (NPY, {"x.npy": X, "y.npy": npy("(4,)", "<i8", struct.pack("<4q", 0, 1, 1 << 40, 2))}, r"y\.npy|1099511627776"),
    (NPY, {"x.npy": X, "y.npy": npy("(4, 3)", "<f4", bytes(48))}, r"target"),
    (CSV, {}, r"t\.csv"),
    (CSV, {"t.csv": b""}, r"t\.csv"),
    (CSV, {"t.csv": b"a,b,c\n"}, r"t\.csv"),
    (CSV, {"t.csv": b"a,b,d\n1,2,0\n"}, r"'?c'?"),
    (CSV, {"t.csv": b"a,b,c\n1,2,0\n1,2\n"}, r"t\.csv:3"),
    (CSV, {"t.csv": b"a,b,c\n1,x,0\n"}, r"t\.csv:2.*x"),
    (CSV, {"t.csv": b"a,b,c\n1,nan,0\n"}, r"t\.csv:2"),
    (CSV, {"t.csv": b"a,b,c\n1,\"2,0\n"}, r"t\.csv"),
    (CSV, {"t.csv": b"a,b,c\n1,2,0\n"}, r"2 input columns.*\[6\]"),
    (IDX, {"l": struct.pack(">II", 0x801, 4) + bytes(4)}, r"/i\b"),
    (IDX, {"i": struct.pack(">IIII", 0x803, 4, 2, 3) + bytes(23), "l": struct.pack(">II", 0x801, 4) + bytes(4)}, r"/i\b"),
    (IDX, {"i": struct.pack(">IIII", 0x802, 4, 2, 3) + bytes(24), "l": struct.pack(">II", 0x801, 4) + bytes(4)}, r"/i\b"),
    (IDX, {"i": struct.pack(">IIII", 0x803, 5, 2, 3) + bytes(30), "l": struct.pack(">II", 0x801, 4) + bytes(4)}, r"5.*4"),
    (IDX, {"i": struct.pack(">IIII", 0x803, 0xffffffff, 0xffffffff, 0xffffffff), "l": struct.pack(">II", 0x801, 4) + bytes(4)}, r"/i\b"),
    (IDX, {"i": gzip.compress(struct.pack(">IIII", 0x803, 4, 2, 3) + bytes(24))[:-9], "l": struct.pack(">II", 0x801, 4) + bytes(4)}, r"/i\b"),
    (IDX, {"i": struct.pack(">IIII", 0x803, 4, 2, 3) + bytes(24), "l": struct.pack(">II", 0x801, 4) + b"\0\1\2\3"}, r"class 3"),
    ("format: text, path: nothing.txt", {}, r"nothing\.txt|sequence"),
]

# gpt2 of the golden cases: files replaced, flags, what the sentence must say
W, B = f32(61, 20)
TOKENS = struct.pack("<256i", 20240520, 1, 235, *[0] * 253)
GPT2 = [
    ({"tokens.bin": b""}, [], r"tokens\.bin"),
    ({"tokens.bin": TOKENS}, [], r"tokens\.bin.*235|tokens\.bin"),
    ({"tokens.bin": TOKENS + struct.pack("<235H", *[61] * 235)}, [], r"61"),
    ({"tokens.bin": struct.pack("<256i", 20240520, 1, 9, *[0] * 253) + bytes(18)}, [], r"tokens\.bin"),
    ({"tokens.bin": struct.pack("<256i", 20240520, 7, 235, *[0] * 253) + bytes(470)}, [], r"tokens\.bin"),
    ({"tokens.bin": struct.pack("<256i", 20240520, 1, -5, *[0] * 253) + bytes(470)}, [], r"tokens\.bin"),
    ({"config.json": b""}, [], r"config\.json"),
    ({"config.json": b"{"}, [], r"config\.json"),
    ({"config.json": b"[]"}, [], r"config\.json"),
    ({"config.json": b'{"model_type": "bert"}'}, [], r"bert"),
    ({"config.json": b'{"model_type": "gpt2", "n_layer": -2, "n_head": 4, "n_embd": 20, "n_positions": 12, "vocab_size": 61}'}, [], r"n_layer"),
    ({"config.json": b'{"model_type": "gpt2", "n_layer": 2, "n_head": 3, "n_embd": 20, "n_positions": 12, "vocab_size": 61}'}, [], r"head"),
    ({"config.json": b'{"model_type": "gpt2", "n_layer": 1e99, "n_head": 4, "n_embd": 20, "n_positions": 12, "vocab_size": 61}'}, [], r"n_layer"),
    ({"config.json": b'{"model_type": "gpt2", "n_layer": 2, "n_head": 4, "n_embd": 20, "n_positions": 12, "vocab_size": 62}'}, [], r"wte\.weight"),
    ({"config.json": b'{"model_type": "gpt2", "n_layer": 3, "n_head": 4, "n_embd": 20, "n_positions": 12, "vocab_size": 61}'}, [], r"h\.2\."),
    ({"config.json": None}, [], r"config\.json"),
    ({"model.safetensors": None}, [], r"model\.safetensors|safetensors"),
    ({"model.safetensors": b""}, [], r"model\.safetensors"),
    ({"model.safetensors": b"\xff" * 8}, [], r"model\.safetensors"),
    ({"model.safetensors": safetensors({}, size=1 << 62)}, [], r"model\.safetensors"),
    ({"model.safetensors": safetensors(b"{")}, [], r"model\.safetensors"),
    ({"model.safetensors": safetensors({})}, [], r"wte\.weight"),
    ({"model.safetensors": safetensors({"wte.weight": W}, B[:-4])}, [], r"model\.safetensors"),
    ({"model.safetensors": safetensors({"wte.weight": {**W, "dtype": "F33"}}, B)}, [], r"F33|wte"),
    ({"model.safetensors": safetensors({"wte.weight": {**W, "shape": [61, -20]}}, B)}, [], r"wte"),
    ({"model.safetensors": safetensors({"wte.weight": {**W, "shape": [1 << 62, 20]}}, B)}, [], r"wte"),
    ({"model.safetensors": safetensors({"wte.weight": {**W, "shape": [20, 61]}}, B)}, [], r"wte|shape"),
    ({"model.safetensors": not_a_number}, [], r"model\.safetensors: tensor 'ln_f\.bias' is not a number"),
    ({}, ["--tp", 3], r"4 attention heads.*3|tp 3"),
    ({}, ["--set", "train.sequence=13"], r"13.*12"),
    ({}, ["--set", "model.width=21"], r"width|21"),
    ({}, ["--set", "data.path=."], r"\.|directory|folder"),
    ({}, ["--resume", "."], r"resume|state|step"),
]

# a step's folder of a run, one file replaced; what the sentence must say
STEP = [
    ("state.json", None, r"state\.json|complete|no checkpoint"),
    ("state.json", b"", r"state\.json"),
    ("state.json", b"{}", r"state\.json"),
    ("state.json", b'{"step": -1}', r"state\.json"),
    ("optimizer.safetensors", b"", r"optimizer\.safetensors"),
    ("optimizer.safetensors", None, r"optimizer\.safetensors"),
    ("optimizer.safetensors", safetensors({}), r"optimizer\.safetensors"),
    ("model.safetensors", b"\0" * 40, r"model\.safetensors"),
    ("model.safetensors", safetensors({"0.weight": f32(8, 6)[0]}, f32(8, 6)[1]), r"0\.bias"),
]


class Hostile(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name

    def write(self, name, data):
        path = os.path.join(self.dir, name)
        if data is None:
            os.unlink(path)
        else:
            with open(path, "wb") as f:
                f.write(data)

    def run_yoke(self, *arguments):
        return subprocess.run([YOKE, *map(str, arguments)], cwd=self.dir, capture_output=True, timeout=60)

    def refused(self, says, *arguments):
        p = self.run_yoke("train", "job.yaml", *arguments)
        text = p.stderr.decode("utf-8").strip()
        self.assertEqual(p.returncode, 2, text)
        self.assertLessEqual(len(text.splitlines()), 4, text)
        self.assertTrue(text.startswith("yoke: "), text)
        self.assertGreater(len(text), 20)
        self.assertRegex(text, says)
        return text

    def test_the_job_is_sound(self):
        self.write("job.yaml", JOB.encode())
        self.assertEqual(self.run_yoke("train", "job.yaml").returncode, 0)
        for section, files in ((NPY, {"x.npy": X, "y.npy": Y}), (CSV.replace("t.csv", "t.csv"), {"t.csv": b"a,b,d,e,f,g,c\n" + b"1,2,3,4,5,6,0\n" * 3}),
                               (IDX, {"i": struct.pack(">IIII", 0x803, 4, 2, 3) + bytes(24), "l": struct.pack(">II", 0x801, 4) + b"\0\1\2\0"})):
            self.write("job.yaml", JOB.replace("format: random, samples: 50", section).encode())
            for name, data in files.items():
                self.write(name, data)
            p = self.run_yoke("train", "job.yaml")
            self.assertEqual(p.returncode, 0, p.stderr)

    def test_jobs(self):
        for old, new, says in JOBS:
            with self.subTest(new):
                self.assertIn(old, JOB)
                self.write("job.yaml", JOB.replace(old, new, 1).encode("latin-1"))
                self.refused(says)

    def test_whole_files(self):
        for data, says in WHOLE:
            with self.subTest(data[:20]):
                self.write("job.yaml", data)
                self.refused(says)

    def test_data(self):
        for section, files, says in DATA:
            with self.subTest(f"{section} {says}"):
                for name in os.listdir(self.dir):
                    os.unlink(os.path.join(self.dir, name))
                self.write("job.yaml", JOB.replace("format: random, samples: 50", section).replace("train:", "train:").encode())
                for name, data in files.items():
                    self.write(name, data)
                self.refused(says)

    def golden(self):
        for name in os.listdir(os.path.join(GOLDEN, "gpt2")):
            shutil.copy(os.path.join(GOLDEN, "gpt2", name), self.dir)

    def test_gpt2(self):
        for files, flags, says in GPT2:
            with self.subTest(f"{list(files)} {flags} {says}"):
                self.golden()
                for name, data in files.items():
                    if callable(data):
                        with open(os.path.join(self.dir, name), "rb") as f:
                            data = data(f.read())
                    self.write(name, data)
                self.refused(says, *flags)

    def test_checkpoints(self):
        self.write("job.yaml", JOB.replace("lr: 0.1", "lr: 0.1, momentum: 0.9").encode())
        self.assertEqual(self.run_yoke("train", "job.yaml", "--set", "checkpoint.dir=ck", "--steps", 1).returncode, 0)
        for name, data, says in STEP:
            with self.subTest(f"{name} {says}"):
                shutil.rmtree(os.path.join(self.dir, "bad"), ignore_errors=True)
                shutil.copytree(os.path.join(self.dir, "ck"), os.path.join(self.dir, "bad"))
                self.write(f"bad/step-00000001/{name}", data)
                self.refused(says, "--resume", "bad/step-00000001")

    def test_numbers_overflow_nowhere(self):
        """Shapes and counts at the edges of what integers hold, in every place that takes one: answered."""
        edges = (1 << 31, (1 << 31) - 1, 1 << 32, 1 << 40, (1 << 40) + 1, 1 << 62, (1 << 63) - 1, 1 << 63)
        places = [("out: 8", "out: {}"), ("input: [6]", "input: [{}]"), ("input: [6]", "input: [{0}, {0}, {0}]"), ("batch: 8", "batch: {}"), ("samples: 50", "samples: {}"),
                  ("train:", "layout: {{microbatches: {}}}\ntrain:"), ("train:", "layout: {{chunks: {}, pp: 2}}\ntrain:"), ("train:", "layout: {{dp: {}}}\ntrain:"),
                  ("train:", "layout: {{threads: {}}}\ntrain:"), ("lr: 0.1", "lr: {}"), ("out: 8", "out: 8, device: {}"),
                  ("input: [6]\n  layers:\n    - {type: linear, out: 8}", "input: [1, 9, 9]\n  layers:\n    - {{type: conv2d, out: {}, kernel: 2}}\n    - {{type: flatten}}"),
                  ("input: [6]\n  layers:\n    - {type: linear, out: 8}", "input: [1, 9, 9]\n  layers:\n    - {{type: conv2d, out: 2, kernel: 2, stride: {}}}\n    - {{type: flatten}}"),
                  ("input: [6]\n  layers:\n    - {type: linear, out: 8}", "input: [1, 9, 9]\n  layers:\n    - {{type: conv2d, out: 2, kernel: 2, padding: {}}}\n    - {{type: flatten}}"),
                  ("input: [6]\n  layers:\n    - {type: linear, out: 8}", "input: [1, 9, 9]\n  layers:\n    - {{type: maxpool2d, kernel: 2, stride: {}}}\n    - {{type: flatten}}"),
                  ("input: [6]\n  layers:\n    - {type: linear, out: 8}", "input: [6]\n  layers:\n    - {{type: embedding, rows: {}, out: 4}}"),
                  ("input: [6]\n  layers:\n    - {type: linear, out: 8}", "input: [6]\n  layers:\n    - {{type: embedding, rows: 4, out: {}}}")]
        for old, new in places:
            for edge in edges:
                with self.subTest(f"{new} {edge}"):
                    self.assertIn(old, JOB)
                    self.write("job.yaml", JOB.replace(old, new.format(edge), 1).encode())
                    p = self.run_yoke("train", "job.yaml", "--steps", 1, "--device-memory", "64MiB")
                    self.assertIn(p.returncode, (0, 2, 3, 5), p.stderr[-300:])
                    self.assertLessEqual(len(p.stderr.splitlines()), 9)

    def test_mutations(self):
        rnd = random.Random(int(os.environ.get("YOKE_TEST_SEED", "1")))
        pieces = [b"{", b"[", b"]", b": ", b"- ", b"99999999999", b"-1", b"&a *a", b"\0", b"\xff", b"1e999", b"\n", b"\t", b"#", b"'", b'"']
        for name in ("job.yaml", "config.json", "model.safetensors", "tokens.bin"):
            with open(os.path.join(GOLDEN, "gpt2", name), "rb") as f:
                sound = f.read()
            for i in range(int(os.environ.get("YOKE_TEST_MUTATIONS", "25"))):
                data = bytearray(sound)
                for _ in range(rnd.randint(1, 5)):
                    at, how = rnd.randrange(min(len(data), 3000)), rnd.random()
                    if how < 0.5:
                        data[at] = rnd.randrange(256)
                    elif how < 0.7:
                        del data[at:at + rnd.randint(1, 9)]
                    elif how < 0.95:
                        data[at:at] = rnd.choice(pieces)
                    else:
                        data = data[:at + 1]
                self.golden()
                self.write(name, bytes(data))
                p = self.run_yoke("train", "job.yaml", "--steps", 1, "--device-memory", "1GiB")
                self.assertIn(p.returncode, (0, 2, 3, 5), f"{name} {i}: {p.stderr[-300:]}")


if __name__ == "__main__":
    unittest.main(argv=["test_hostile.py", *sys.argv[3:]])
