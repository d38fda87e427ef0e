"""Held against PyTorch: test_golden.py YOKE FOLDER. Losses of ten steps, gradients of the first, whatever the layout.
Standard library only; the cases are made by make.py."""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import unittest

YOKE, FOLDER = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
LAYOUTS = ([], ["--dp", 2], ["--dp", 3, "--microbatches", 2], ["--tp", 2], ["--tp", 4], ["--pp", 2, "--microbatches", 3], ["--dp", 2, "--tp", 2],
           ["--pp", 3, "--microbatches", 2, "--schedule", "zb-h1"], ["--pp", 2, "--tp", 2, "--microbatches", 2, "--schedule", "gpipe"])

SHARDED = (["--dp", 2, "--zero", 1], ["--dp", 2, "--zero", 2], ["--dp", 3, "--zero", 3], ["--dp", 2, "--tp", 2, "--zero", 3, "--microbatches", 2])


def yoke(*arguments):
    p = subprocess.run([YOKE, *map(str, arguments), "--json", "-"], capture_output=True, timeout=120)
    if p.returncode:
        raise AssertionError(f"{arguments}: exit {p.returncode}: {p.stderr.decode()}")
    return json.loads(p.stdout)


def safetensors(path):
    with open(path, "rb") as f:
        data = f.read()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    out = {}
    for name, t in header.items():
        start, end = t["data_offsets"]
        letter, width = {"F32": ("f", 4), "I64": ("q", 8)}[t["dtype"]]
        out[name] = (t["shape"], struct.unpack(f"<{(end - start) // width}{letter}", data[8 + size + start:8 + size + end]))
    return out


def norm(values):
    return math.sqrt(math.fsum(v * v for v in values))


class Golden(unittest.TestCase):
    def check(self, case, *others):
        job = os.path.join(FOLDER, case, "job.yaml")
        reference = os.path.join(FOLDER, case, "gradients.safetensors")
        with open(os.path.join(FOLDER, case, "expected.json")) as f:
            expected = json.load(f)["losses"]
        self.assertLess(expected[-1], expected[0])
        wanted = safetensors(reference)
        whole = norm(x for _, values in wanted.values() for x in values)
        with tempfile.TemporaryDirectory() as folder:
            for layout in (*LAYOUTS, *others):
                losses = [s["loss"] for s in yoke("train", job, *layout)["steps"]]
                self.assertEqual(len(losses), len(expected))
                worst = max(abs(a - b) / b for a, b in zip(losses, expected))
                self.assertLessEqual(worst, 1e-5, f"{case} {layout}: losses")
                made = os.path.join(folder, "g.safetensors")
                said = yoke("verify", job, *layout, "--against", reference, "--write-gradients", made)
                self.assertTrue(said["passed"] and said["max_rel_err"] <= 1e-4, f"{case} {layout}: {said['tensors'][:3]}")
                got = safetensors(made)
                self.assertEqual(got.keys(), wanted.keys())
                for name, (shape, values) in wanted.items():
                    self.assertEqual(got[name][0], shape, name)
                    error = norm(a - b for a, b in zip(got[name][1], values)) / max(norm(values), 1e-3 * whole)
                    self.assertLessEqual(error, 1e-4, f"{case} {layout}: gradient of {name}")

    def test_batchnorm(self):
        """The whole batch, and micro-batches apart; what was tracked, and an evaluation by it."""
        case = os.path.join(FOLDER, "batchnorm")
        job = os.path.join(case, "job.yaml")
        with open(os.path.join(case, "expected.json")) as f:
            expected = json.load(f)
        layouts = (("1", [[], ["--dp", 2], ["--dp", 3], ["--tp", 2], ["--tp", 4], ["--pp", 3], ["--dp", 2, "--tp", 2], ["--dp", 3, "--zero", 1]]),
                   ("2", [["--microbatches", 2], ["--microbatches", 2, "--pp", 2], ["--microbatches", 2, "--pp", 2, "--tp", 3, "--schedule", "zb-h1"]]))
        for parts, layout in ((p, l) for p, ls in layouts for l in ls):
            with tempfile.TemporaryDirectory() as folder:
                losses = [s["loss"] for s in yoke("train", job, *layout, "--set", f"checkpoint.dir={folder}")["steps"]]
                worst = max(abs(a - b) / b for a, b in zip(losses, expected[parts]["losses"], strict=True))
                self.assertLessEqual(worst, 1e-5, f"{layout}: losses")
                said = yoke("verify", job, *layout, "--against", os.path.join(case, f"gradients{parts}.safetensors"))
                self.assertTrue(said["passed"], f"{layout}: {said['tensors'][:3]}")
                wanted, got = (safetensors(path) for path in (os.path.join(case, f"trained{parts}.safetensors"), os.path.join(folder, "step-00000010", "model.safetensors")))
                self.assertEqual(got.keys(), wanted.keys())
                for name, (shape, values) in wanted.items():
                    self.assertEqual(got[name][0], shape, name)
                    if name.endswith("tracked"):
                        self.assertEqual(got[name][1], values, name)
                    self.assertLessEqual(norm(a - b for a, b in zip(got[name][1], values)), 2e-5 * norm(values) + 1e-5, f"{layout}: {name}")
                self.assertLessEqual(abs(yoke("eval", folder)["loss"] / expected[parts]["eval"] - 1), 1e-5, f"{layout}: evaluation")

    def test_mlp(self):
        self.check("mlp")

    def test_conv(self):
        self.check("conv")

    def test_groupnorm(self):
        self.check("groupnorm")

    def test_tokens(self):
        self.check("tokens")

    def test_gpt2(self):
        self.check("gpt2")

    def test_lora(self):
        self.check("lora", *SHARDED, ["--cp", 2], ["--tp", 6], ["--cp", 2, "--tp", 2, "--recompute", "full"])

    def test_lora_gpt2(self):
        self.check("lora_gpt2", *SHARDED, ["--cp", 3], ["--tp", 2, "--set", "layout.sp=true"])

    def test_muon(self):
        self.check("muon", *SHARDED, ["--dp", 3, "--tp", 3, "--zero", 2])

    def test_muon_gpt2(self):
        self.check("muon_gpt2", *SHARDED, ["--cp", 2, "--dp", 2, "--zero", 3])

    def test_muon_by_torch(self):
        """PyTorch's iteration is in bfloat16: its losses are near, and others."""
        for case in ("muon", "muon_gpt2"):
            with open(os.path.join(FOLDER, case, "expected.json")) as f:
                expected = json.load(f)
            losses = [s["loss"] for s in yoke("train", os.path.join(FOLDER, case, "job.yaml"))["steps"]]
            self.assertLessEqual(max(abs(a - b) / b for a, b in zip(losses, expected["torch"], strict=True)), 5e-3, case)


if __name__ == "__main__":
    unittest.main(argv=["test_golden.py", *sys.argv[3:]])
