"""LoRA from outside, held against what the package PEFT saved (tests/golden): test_adapters.py YOKE GOLDEN. Files by its names, both ways; resumed,
merged, and applied without merging; what is damaged is refused in one sentence."""
import json
import os
import shutil
import struct
import subprocess
import sys
import unittest

from case import Folder, read_safetensors, write_safetensors

YOKE, GOLDEN = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])


def read(path):
    return {name: (shape, data) for name, (_, shape, data) in read_safetensors(path).items()}


def write(path, tensors):
    write_safetensors(path, {name: ("F32", *t) for name, t in tensors.items()})


def floats(data):
    return struct.unpack(f"<{len(data) // 4}f", data)


class Adapters(Folder):
    def setUp(self):
        super().setUp()
        for case in ("lora", "lora_gpt2"):
            shutil.copytree(os.path.join(GOLDEN, case), self.path(case))
        with open(self.path("lora/expected.json")) as f:
            self.expected = json.load(f)

    def yoke(self, *arguments, code=0):
        p = subprocess.run([YOKE, *arguments, "--json", "out.json"], cwd=self.dir, capture_output=True, text=True, timeout=120)
        self.assertEqual(p.returncode, code, f"{arguments}: {p.stderr}")
        if code == 0:
            with open(self.path("out.json")) as f:
                p.json = json.load(f)
        return p

    def near(self, got, wanted, most):
        self.assertEqual(got.keys(), wanted.keys())
        for name, (shape, data) in wanted.items():
            self.assertEqual(got[name][0], shape, name)
            worst = max(abs(a - b) for a, b in zip(floats(got[name][1]), floats(data)))
            self.assertLessEqual(worst, most, name)

    def test_files(self):
        """What is saved bears PEFT's names and says what it says; what was merged is what PEFT merges."""
        for case, layout in (("lora", ("--tp", "2", "--dp", "2", "--zero", "3")), ("lora_gpt2", ("--pp", "2",))):
            d = self.path(case)
            with open(d + "/base/generation_config.json", "w") as f:
                f.write('{"eos_token_id": 3}\n')
            self.yoke("train", f"{case}/job.yaml", "--set", f"checkpoint.dir={case}/ck", *layout)
            step = os.path.join(d, "ck", "step-00000010")
            self.assertNotIn("model.safetensors", os.listdir(step))
            self.near(read(step + "/adapter_model.safetensors"), read(d + "/after.safetensors"), 2e-5)
            with open(step + "/adapter_config.json") as f, open(d + "/adapter/adapter_config.json") as g:
                said, wanted = json.load(f), json.load(g)
            for key in ("peft_type", "task_type", "r", "lora_alpha", "lora_dropout", "fan_in_fan_out", "bias", "use_rslora"):
                self.assertEqual(said[key], wanted[key], key)
            self.assertEqual(sorted(said["target_modules"]), sorted(wanted["target_modules"]))
            made = self.yoke("merge", f"{case}/ck", "--out", f"{case}/merged").json
            self.assertEqual(made["tensors"], len(read(d + "/after.safetensors")) // 2)
            merged, wanted = read(d + "/merged/model.safetensors"), read(d + "/merged.safetensors")
            self.near({n.removeprefix("transformer."): t for n, t in merged.items() if n in wanted}, {n.removeprefix("transformer."): t for n, t in wanted.items()}, 2e-5)
            self.assertEqual(sorted(os.listdir(d + "/merged")), ["config.json", "generation_config.json", "model.safetensors"])
            r = self.yoke("merge", f"{case}/ck", "--out", f"{case}/merged", code=2)
            self.assertIn("not empty", r.stderr)

    def test_merged_exactly(self):
        """Of adapters that PEFT saved, beside a base that the caller names."""
        self.yoke("merge", "lora/adapter", "--base", "lora/base", "--out", "m")
        base, a = read(self.path("lora/base/model.safetensors")), read(self.path("lora/adapter/adapter_model.safetensors"))
        got = read(self.path("m/model.safetensors"))
        name = "model.layers.1.self_attn.q_proj"
        A, B = (floats(a[f"base_model.model.{name}.lora_{x}.weight"][1]) for x in "AB")
        W, M = floats(base[name + ".weight"][1]), floats(got[name + ".weight"][1])
        for o in range(24):
            for i in range(24):
                self.assertAlmostEqual(M[24 * o + i], W[24 * o + i] + 4 * sum(B[3 * o + k] * A[24 * k + i] for k in range(3)), delta=1e-6)
        other = "model.layers.1.self_attn.k_proj.weight"
        self.assertEqual(got[other], base[other])
        self.assertIn("--base", self.yoke("merge", "lora/adapter", "--out", "n", code=2).stderr)
        self.assertIn("no adapters", self.yoke("merge", "lora/base", "--out", "n", code=2).stderr)

    def test_applied(self):
        """A step, adapters beside a base, and the merged model are one model."""
        self.yoke("train", "lora/job.yaml", "--set", "checkpoint.dir=ck")
        self.yoke("merge", "ck", "--out", "m")
        with open(self.path("bare.yaml"), "w") as f, open(self.path("lora/job.yaml")) as g:
            f.write(g.read().replace(", adapter: {from: adapter}", "").replace("from: base", "from: lora/base").replace("tokens.bin", "lora/tokens.bin"))
        for what, wanted in ((("lora/job.yaml",), "eval"), (("bare.yaml", "--adapter", "lora/adapter"), "eval"), (("bare.yaml", "--adapter", "ck"), "eval_after"),
                             (("ck",), "eval_after"), (("ck", "--adapter", "lora/adapter"), "eval"), (("bare.yaml", "--set", "model.from=m"), "eval_after")):
            self.assertAlmostEqual(self.yoke("eval", *what).json["loss"], self.expected[wanted], delta=5e-5, msg=what)
        self.write("t.json", "[3, 14, 15]")
        texts = [self.yoke("generate", *what, "--tokens-file", "t.json", "--tokens", "9", "--temperature", "0").json["tokens"]
                 for what in (("ck",), ("m",), ("lora/base", "--adapter", "ck"), ("ck", "--tp", "2"), ("lora/base",))]
        self.assertTrue(all(t == texts[0] for t in texts[1:4]), texts)
        self.assertNotEqual(texts[0], texts[4])
        self.assertIn("nowhere", self.yoke("generate", "lora/base", "--adapter", "nowhere", "--tokens-file", "t.json", code=2).stderr)

    def test_resumed(self):
        """To the bit, with new adapters and dropout; not beside another base, nor with other adapters."""
        job = ("lora/job.yaml", "--set", "model.adapter={rank: 4, dropout: 0.3}", "--set", "train.precision=bf16")
        whole = [s["loss"] for s in self.yoke("train", *job).json["steps"]]
        first = self.yoke("train", *job, "--set", "checkpoint.dir=ck", "--stop-after", "4").json["steps"]
        rest = self.yoke("train", *job, "--resume", "ck").json["steps"]
        self.assertEqual([s["loss"] for s in first + rest], whole)
        self.assertIn("rank", self.yoke("train", *job, "--set", "model.adapter.rank=5", "--resume", "ck", code=2).stderr)
        self.assertIn("model.adapter", self.yoke("train", "lora/job.yaml", "--set", "model.adapter=null", "--resume", "ck", code=2).stderr)
        base = read(self.path("lora/base/model.safetensors"))
        shape, data = base["model.norm.weight"]
        write(self.path("lora/base/model.safetensors"), {**base, "model.norm.weight": (shape, struct.pack("<f", 1.5) + data[4:])})
        self.assertIn("model.base", self.yoke("train", *job, "--resume", "ck", code=2).stderr)
        for command in (("eval", "ck"), ("merge", "ck", "--out", "m")):
            self.assertIn("other weights", self.yoke(*command, code=2).stderr)
        self.assertFalse(os.path.exists(self.path("m")))

    def test_refused(self):
        """Damaged folders, and what is not computed, by file and key; targets that are none."""
        config, tensors = self.path("lora/adapter/adapter_config.json"), self.path("lora/adapter/adapter_model.safetensors")
        with open(config) as f:
            said = json.load(f)
        a = read(tensors)
        one = next(iter(a))
        for key, value, words in (("use_dora", True, "use_dora"), ("rank_pattern", {"q_proj": 4}, "rank_pattern"), ("alpha_pattern", {"q_proj": 4}, "alpha_pattern"),
                                  ("modules_to_save", ["lm_head"], "modules_to_save"), ("bias", "all", "bias"), ("layers_to_transform", [0], "layers_to_transform"),
                                  ("init_lora_weights", "pissa", "init_lora_weights"), ("peft_type", "IA3", "peft_type"), ("target_modules", ".*q_proj", "target_modules"),
                                  ("target_modules", ["q_prj"], "q_prj"), ("target_modules", [], "target_modules"), ("r", 2.5, "r"), ("r", 0, "r"), ("lora_alpha", "a", "lora_alpha"),
                                  ("lora_dropout", 1, "lora_dropout"), ("use_rslora", 1, "use_rslora"), ("something_new", 3, "something_new")):
            with open(config, "w") as f:
                json.dump({**said, key: value}, f)
            r = self.yoke("train", "lora/job.yaml", code=2)
            self.assertIn(words, r.stderr)
            self.assertEqual(len(r.stderr.strip().split("\n")), 1, r.stderr)
        with open(config, "w") as f:
            json.dump(said, f)
        for damaged, words in (({n: t for n, t in a.items() if n != one}, one), ({**a, "base_model.model.model.norm.weight": ([24], bytes(96))}, "norm"),
                               ({**a, one: ([a[one][0][1], a[one][0][0]], a[one][1])}, "shape"), ({**a, one: (a[one][0], struct.pack("<f", float("nan")) + a[one][1][4:])}, one)):
            write(tensors, damaged)
            for command in (("train", "lora/job.yaml"), ("merge", "lora/adapter", "--base", "lora/base", "--out", "m")):
                self.assertIn(words, self.yoke(*command, code=2).stderr)
        os.rename(tensors, self.path("lora/adapter/adapter_model.bin"))
        self.assertIn("pickle", self.yoke("train", "lora/job.yaml", code=2).stderr)
        for given, words in (("targets=[q_prj]", "q_proj"), ("targets=[embed_tokens]", "no linear layer"), ("targets=lm_head", "embedding"), ("rank=0", "rank"),
                             ("from=nowhere", "nowhere"), ("from=lora/base", "no adapters"), ("kind=dora", "lora")):
            self.assertIn(words, self.yoke("train", "lora/job.yaml", "--set", "model.adapter=null", "--set", "model.adapter." + given, code=2).stderr)
        self.assertIn("model.from", self.yoke("train", "lora_gpt2/job.yaml", "--set", "model.from=lora_gpt2/adapter", code=2).stderr)


if __name__ == "__main__":
    unittest.main(argv=["test_adapters.py", *sys.argv[3:]])
