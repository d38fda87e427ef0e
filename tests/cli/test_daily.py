"""What is done with a model day by day, from outside: test_daily.py YOKE [test ...]. Standard library only."""
import csv
import json
import math
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import unittest

import case
from test_cli import Case, Run, YOKE

with open(YOKE, "rb") as program:
    SANITIZED = bool(re.search(b"__[at]san_init", program.read()))  # which maps terabytes
# The class is the place of the largest of three numbers: what `same` knows from the start.
PICK = """model: {family: layers, input: [3], layers: [{type: linear, out: 3, bias: false}], from: same.safetensors}
data: {format: npy, inputs: x.npy, targets: y.npy}
train: {steps: 5, batch: 4, loss: cross_entropy, optimizer: {name: sgd, lr: 0.001}}
"""


class Daily(Case):
    def pick(self, n=50, seed=1):
        """Writes PICK and its data: each row's largest number is of its class but for every seventh."""
        r, rows, classes = random.Random(seed), [], []
        for i in range(n):
            row = [r.uniform(-1, 1) for _ in range(3)]
            said = row.index(max(row))
            rows.append(row)
            classes.append((said + (i % 7 == 0)) % 3)
        self.npy("x.npy", "<f4", (n, 3), [v for row in rows for v in row])
        self.npy("y.npy", "<i8", (n,), classes)
        one = struct.pack("9f", 1, 0, 0, 0, 1, 0, 0, 0, 1)
        case.write_safetensors(self.path("same.safetensors"), {"0.weight": ("F32", [3, 3], one)})
        self.write("pick.yaml", PICK)
        return rows, classes


class Eval(Daily):
    def test_confusion(self):
        rows, classes = self.pick()
        want = [[0] * 3 for _ in range(3)]
        for row, true in zip(rows, classes):
            want[true][row.index(max(row))] += 1
        r = self.run_json("eval", "pick.yaml")
        self.assertEqual(r.json["confusion"], want)
        self.assertEqual(r.json["samples"], 50)
        self.assertAlmostEqual(r.json["accuracy"], sum(want[i][i] for i in range(3)) / 50, 12)
        self.assertIsNone(r.json["perplexity"])
        for i in range(3):
            self.assertRegex(r.out.decode(), rf"\n +{i} +{want[i][0]} +{want[i][1]} +{want[i][2]}\n")
        # of those held out alone: the last fifth
        held = [[0] * 3 for _ in range(3)]
        for row, true in list(zip(rows, classes))[40:]:
            held[true][row.index(max(row))] += 1
        r = self.run_json("eval", "pick.yaml", "--set", "data.holdout=0.2")
        self.assertEqual((r.json["confusion"], r.json["scored"]), (held, "held out"))
        self.assertNotIn("notices", r.json)

    def test_two_files(self):
        self.pick()
        whole = self.run_json("eval", "pick.yaml").json
        self.pick(30, 2)
        other = self.run_json("eval", "pick.yaml").json
        for name in ("x", "y"):
            os.rename(self.path(name + ".npy"), self.path("other-" + name + ".npy"))
        self.pick()
        r = self.run_json("eval", "pick.yaml", "--data", "other-x.npy,other-y.npy", "--set", "data.holdout=0.2").json
        self.assertEqual((r["samples"], r["scored"], r["loss"]), (30, "given", other["loss"]))
        self.assertNotEqual(r["loss"], whole["loss"])
        for data in ("other-x.npy", "other-x.npy,", ",other-y.npy"):
            self.wrong("eval", "pick.yaml", "--data", data, says="names one file, and this job's data are two: --data INPUTS,TARGETS")
        self.wrong("eval", "pick.yaml", "--data", "other-x.npy,none.npy", says="none.npy: cannot open it")

    def test_what_was_scored_is_said(self):
        r = self.run_json("eval", "job.yaml")  # held out, first values
        self.assertRegex(r.err, "weights are first values: nothing was trained")
        self.assertNotRegex(r.err, "held out")
        self.assertIsNone(r.json["weights"])
        self.assertEqual(len(r.json["notices"]), 1)
        self.run_json("train", "job.yaml", "--set", "checkpoint.dir=ck")
        r = self.run_json("eval", "job.yaml", "--set", "checkpoint.dir=ck")
        self.assertRegex(r.err, r"first values.*yoke eval \S*ck/step-00000006")
        r = self.run_json("eval", "ck")
        self.assertEqual(r.err, "")
        self.assertRegex(r.json["weights"], "ck/step-00000006$")
        r = self.run_json("eval", "ck", "--set", "data.holdout=0")
        self.assertRegex(r.err, "nothing is held out: these are the training data")
        self.assertEqual((r.json["scored"], r.json["samples"]), ("all", 50))
        self.assertNotRegex(r.err, "first values")

    def test_what_was_trained_on_is_no_share_held_out(self):
        """A share that the run did not hold out, or data that have changed since, is said; a part of its share is not."""
        self.pick()
        for name, by in (("end", "end"), ("draw", "draw")):
            self.run_json("train", "pick.yaml", "--set", f"checkpoint.dir={name}", "--set", "data.holdout=0.2", "--set", f"data.holdout_by={by}")
            for change, says in (("data.holdout=0.2", None), ("data.holdout=0.1", None),
                                 ("data.holdout=0.3", r"step-00000005 held out other samples \(data.holdout 0.2 then, 0.3 now\)"),
                                 ("data.holdout_by=" + ("draw" if by == "end" else "end"), rf"\(data.holdout_by {by} then, \w+ now\)"),
                                 ("train.seed=9", None if by == "end" else r"\(train.seed 1 then, 9 now\)")):
                r = self.run_json("eval", name, "--set", change)
                (self.assertRegex if says else self.assertNotRegex)(r.err, says or "held out other|other data")
        r = self.run_json("eval", "pick.yaml", "--set", "model.from=end", "--set", "data.holdout=0.5")
        self.assertRegex(r.err, r"\(data.holdout 0.2 then, 0.5 now\)")
        r = self.run_json("eval", "pick.yaml", "--set", "model.from=end/step-00000005/model.safetensors", "--set", "data.holdout=0.5")
        self.assertRegex(r.err, r"\(data.holdout 0.2 then, 0.5 now\)")
        shutil.copy(self.path("x.npy"), self.path("moved.npy"))
        self.assertNotRegex(self.run_json("eval", "end", "--set", "data.inputs=moved.npy").err, "other data")
        self.pick(60, 2)  # the same names
        r = self.run_json("eval", "end")
        self.assertRegex(r.err, r"other data than the run of \S+ was trained on \(.*50 samples then; .*60 now\)")
        r = self.run_json("eval", "end", "--set", "data.holdout=0")
        self.assertRegex(r.err, "other data than(.|\n)*nothing is held out: all samples are scored")
        self.assertNotRegex(r.err, "these are the training data")

    def test_an_older_step_that_is_taken_is_said(self):
        self.run_json("train", "job.yaml", "--set", "checkpoint.dir=ck")
        os.mkdir(self.path("ck/step-00000009"))
        self.npy("six.npy", "<f4", (1, 6), [1] * 6)
        for command in (["eval", "ck"], ["predict", "ck", "--data", "six.npy"]):
            self.assertRegex(self.run_json(*command).err, "step-00000009 is incomplete .*; took step-00000006")
        for command in ("eval", "train"):
            r = self.run_json(command, "job.yaml", "--set", "model.from=ck")
            self.assertRegex(r.err, "model.from: step-00000009 is incomplete .*; took step-00000006")
        self.run_json("train", "gpt.yaml", "--set", "checkpoint.dir=text")
        taken = self.run_json("generate", "text", "--tokens", "2").json["from"]
        self.assertNotRegex(self.run_json("generate", "text", "--tokens", "2").err, "took")
        os.mkdir(self.path("text/step-00000999"))
        r = self.run_json("generate", "text", "--tokens", "2")
        self.assertRegex(r.err, f"step-00000999 is incomplete .*; took {os.path.basename(taken)}")
        self.assertEqual(r.json["from"], taken)

    def test_layers_that_fit_and_compute_something_else(self):
        self.run_json("train", "job.yaml", "--set", "checkpoint.dir=ck")
        other = ["--set", "model.layers=[{type: linear, out: 8}, {type: relu}, {type: linear, out: 3}]"]
        file = "model.from=ck/step-00000006/model.safetensors"
        for command in (["eval", "ck"], ["eval", "job.yaml", "--set", "model.from=ck"], ["train", "job.yaml", "--set", "model.from=ck"],
                        ["eval", "job.yaml", "--set", file], ["train", "job.yaml", "--set", file]):
            self.assertRegex(self.run_json(*command, *other).err, r"ck/step-00000006(/model.safetensors)? was saved from other layers than this job's")
            self.assertNotRegex(self.run_json(*command).err, "other layers")

    def test_perplexity_of_text(self):
        self.run_json("train", "gpt.yaml", "--set", "checkpoint.dir=ck")
        r = self.run_json("eval", "ck")
        self.assertAlmostEqual(r.json["perplexity"], math.exp(r.json["loss"]), 9)
        self.assertTrue(0 < r.json["accuracy"] < 1)
        self.assertGreater(r.json["tokens"], r.json["samples"])
        self.assertNotIn("confusion", r.json)
        self.assertRegex(r.out.decode(), r"perplexity +\d")
        self.write("other.txt", "so it goes. " * 40)
        self.assertEqual(self.run_json("eval", "ck", "--data", "other.txt").json["scored"], "given")


class Predict(Daily):
    TABLE = """model: {family: layers, input: [2], layers: [{type: linear, out: 8}, {type: tanh}, {type: linear, out: 2}]}
data: {format: csv, path: table.csv, targets: [kind], scale: standard, holdout: 0.2, holdout_by: draw}
train: {steps: 150, batch: 20, loss: cross_entropy, optimizer: {name: adam, lr: 0.03}}
checkpoint: {dir: ck}
"""

    def table(self):
        """Two columns of very different sizes, and words that follow from them; the job is trained, the table gone."""
        r, rows = random.Random(5), []
        for _ in range(200):
            a, b = r.uniform(0, 1), r.uniform(0, 10000)
            rows.append((a, b, "big, \"round\"" if a + b / 10000 > 1 else "small"))
        quote = lambda word: '"' + word.replace('"', '""') + '"'
        self.write("table.csv", "a,b,kind\n" + "".join(f"{a},{b},{quote(k)}\n" for a, b, k in rows))
        self.write("table.yaml", self.TABLE)
        self.run_json("train", "table.yaml")
        os.rename(self.path("table.csv"), self.path("gone.csv"))
        self.write("new.csv", "b,note,a\n" + "".join(f"{b},{i},{a}\n" for i, (a, b, _) in enumerate(rows)))
        return rows

    def test_words_by_names(self):
        rows = self.table()
        r = self.run_json("predict", "ck", "--data", "new.csv", "--out", "out.csv")
        self.assertEqual((r.json["samples"], r.json["classes"], r.json["out"], r.json["format"]), (200, 2, "out.csv", "csv"))
        self.assertRegex(r.err, "note")  # the column that was passed over
        with open(self.path("out.csv"), newline="") as f:
            out = list(csv.reader(f))
        self.assertEqual(out[0], ["class", "probability"])
        self.assertEqual(len(out), 201)
        good = sum(said[0] == kind for said, (_, _, kind) in zip(out[1:], rows))
        self.assertGreater(good, 185)
        for word, share in out[1:]:
            self.assertIn(word, ("big, \"round\"", "small"))
            self.assertTrue(0.5 <= float(share) <= 1)
        # the same on standard output; with the targets there too, and from a step's folder
        with open(self.path("out.csv"), "rb") as f:
            written = f.read()
        self.assertEqual(Run("predict", "ck", "--data", "new.csv", cwd=self.dir).out, written)
        self.assertEqual(self.run_json("predict", "ck", "--data", "new.csv", "--out", "-").out, written)
        self.assertFalse(os.path.exists(self.path("-")))
        step = Run("predict", "ck/step-00000150", "--data", "gone.csv", cwd=self.dir)
        self.assertEqual((step.code, step.out), (0, written))
        self.assertEqual(sorted(os.listdir(self.dir)).count("out.csv"), 1)
        self.assertFalse([name for name in os.listdir(self.dir) if name.startswith("out.csv.")])

    def test_every_probability(self):
        self.table()
        self.run_json("predict", "ck", "--data", "new.csv", "--out", "all.jsonl", "--all")
        self.run_json("predict", "ck", "--data", "new.csv", "--out", "all.csv", "--all")
        self.run_json("predict", "ck", "--data", "new.csv", "--out", "all.npy", "--all")
        with open(self.path("all.csv"), newline="") as f:
            table = list(csv.reader(f))
        self.assertEqual(table[0], ["class", "probability", "big, \"round\"", "small"])
        with open(self.path("all.npy"), "rb") as f:
            data = f.read()
        self.assertIn(b"'shape': (200, 2)", data[:128])
        flat = struct.unpack("<400f", data[128:])
        with open(self.path("all.jsonl"), encoding="utf-8") as f:
            for i, line in enumerate(f):
                row = json.loads(line)
                self.assertAlmostEqual(sum(row["probabilities"]), 1, 6)
                self.assertEqual(row["class"], table[0][2 + row["probabilities"].index(max(row["probabilities"]))])
                self.assertEqual(row["probability"], max(row["probabilities"]))
                for k in range(2):
                    self.assertEqual(row["probabilities"][k], float(table[1 + i][2 + k]))
                    self.assertAlmostEqual(flat[2 * i + k], row["probabilities"][k], 6)
        self.assertEqual(i, 199)

    def test_classes_that_are_known(self):
        rows, _ = self.pick()
        self.run_json("train", "pick.yaml", "--set", "checkpoint.dir=ck", "--set", "train.optimizer.lr=1e-12")
        os.remove(self.path("y.npy"))
        r = Run("predict", "ck", "--data", "x.npy", "--all", cwd=self.dir)
        self.assertEqual(r.code, 0, r.err)
        lines = [line.split(",") for line in r.out.decode().split()]
        self.assertEqual(lines[0], ["class", "probability", "0", "1", "2"])
        for row, line in zip(rows, lines[1:], strict=True):
            row = [struct.unpack("f", struct.pack("f", v))[0] for v in row]
            total = sum(math.exp(v) for v in row)
            self.assertEqual(int(line[0]), row.index(max(row)))
            for k in range(3):
                self.assertAlmostEqual(float(line[2 + k]), math.exp(row[k]) / total, 5)

    def test_numbers(self):
        self.write("line.csv", "x,y,z\n" + "".join(f"{i},{2 * i},{-i}\n" for i in range(40)))
        self.write("line.yaml", """model: {family: layers, input: [1], layers: [{type: linear, out: 2}]}
data: {format: csv, path: line.csv, targets: [y, z], scale: minmax}
train: {steps: 2000, batch: 40, loss: mse, optimizer: {name: adam, lr: 0.5}, schedule: linear}
checkpoint: {dir: ck}
""")
        self.run_json("train", "line.yaml")
        self.write("new.csv", "x\n3\n30\n")
        lines = Run("predict", "ck", "--data", "new.csv", cwd=self.dir).out.decode().split()
        self.assertEqual(lines[0], "y,z")
        for line, x in zip(lines[1:], (3, 30), strict=True):
            y, z = map(float, line.split(","))
            self.assertTrue(abs(y - 2 * x) < 0.5 and abs(z + x) < 0.5, line)
        self.wrong("predict", "ck", "--data", "new.csv", "--all", says="outputs are numbers")

    def test_wrong(self):
        self.table()
        self.wrong("predict", "ck", says="--data FILE is missing")
        self.wrong("predict", "nowhere", "--data", "new.csv", says="nowhere")
        self.wrong("predict", "ck", "--data", "none.csv", says="none.csv: cannot open it")
        self.wrong("predict", "ck", "--data", "new.csv", "--out", "x.txt", says=r"\.csv, \.npy or \.jsonl")
        self.wrong("predict", "ck", "--data", "new.csv", "--out", "no/x.csv", says="cannot write no/x.csv")
        os.symlink("new.csv", self.path("link.csv"))
        for out in ("new.csv", "./new.csv", "link.csv"):
            self.wrong("predict", "ck", "--data", "new.csv", "--out", out, says="is the file of --data")
        with open(self.path("new.csv")) as f:
            self.assertEqual(f.readline(), "b,note,a\n")
        r = Run("predict", "ck", "--data", "new.csv", "--json", "-", cwd=self.dir)
        self.assertEqual((r.code, json.loads(r.out)["error"]["key"]), (2, "--out"))
        self.assertEqual(Run("predict", "ck", "--data", "new.csv", "--json", "-", "--out", "-", cwd=self.dir).code, 2)
        self.write("less.csv", "b\n1\n")
        self.wrong("predict", "ck", "--data", "less.csv", "--out", "x.csv", says='"a"')
        self.write("bad.csv", "a,b\n1,2\n1,x\n")
        self.wrong("predict", "ck", "--data", "bad.csv", "--out", "x.csv", says="bad.csv:3")
        self.assertFalse([name for name in os.listdir(self.dir) if name.startswith("x.csv")])
        self.run_json("train", "gpt.yaml", "--set", "checkpoint.dir=text")
        self.wrong("predict", "text", "--data", "text.txt", says="yoke generate DIR")


class Far(Daily):
    """What is done with a saved model, on a device whose memory the host cannot touch: the CPU's bits."""
    CONV = """model: {family: layers, input: [2, 6, 6], layers: [{type: conv2d, out: 3, kernel: 3}, {type: batchnorm}, {type: relu},
  {type: maxpool2d, kernel: 2}, {type: flatten}, {type: linear, out: 6}, {type: tanh}, {type: linear, out: 3}]}
data: {format: random, samples: 40, holdout: 0.45}
train: {steps: 2, batch: 7, loss: cross_entropy, optimizer: {name: muon, lr: 0.01}}
checkpoint: {dir: conv}
"""

    def both(self, *command):
        """Exit code, standard output and JSON of a command, which must be the same on both backends; the JSON."""
        results = []
        for name in ("cpu", "far"):
            out = self.path("out.json")
            r = Run(*command, "--json", out, cwd=self.dir, env={"YOKE_BACKEND": name})
            self.assertEqual(r.code, 0, f"{command} on {name}: {r.err}")
            with open(out, encoding="utf-8") as f:
                results.append((r.out, {k: v for k, v in json.load(f).items() if k not in ("prefill_ms", "tokens_per_s")}))
        self.assertEqual(results[0], results[1], command)
        return results[0][1]

    def test_generate(self):
        self.run_json("train", "gpt.yaml", "--set", "checkpoint.dir=f32")
        self.run_json("train", "gpt.yaml", "--set", "checkpoint.dir=bf16", "--precision", "bf16")
        for name in ("f32", "bf16"):
            for layout in ([], ["--tp", 2], ["--pp", 2], ["--dp", 2, "--pp", 2]):
                said = self.both("generate", name, "--prompt", "to be", "--tokens", 24, "--temperature", 0.9, "--top-k", 20, "--seed", 5, *layout)
                self.assertEqual((said["stopped"], len(said["prompt_tokens"]) + len(said["tokens"])), ("context", 16))
                self.assertEqual(said["predicted_peak_bytes"], said["measured_peak_bytes"])
            self.both("eval", name)
            self.both("verify", "gpt.yaml", "--set", f"model.from={name}", "--layout", "dp=2,pp=2,microbatches=2,zero=1")

    def test_eval_and_predict(self):
        self.write("conv.yaml", self.CONV)
        self.run_json("train", "conv.yaml")
        self.assertEqual(sum(map(sum, self.both("eval", "conv")["confusion"])), 18)  # 7, 7 and 4
        self.both("verify", "conv.yaml", "--tp", 3, "--dp", 2)
        self.pick(33)
        self.run_json("train", "pick.yaml", "--set", "checkpoint.dir=pick")
        self.both("predict", "pick", "--data", "x.npy", "--all", "--out", "out.csv")
        for name in ("cpu", "far"):
            r = Run("predict", "pick", "--data", "x.npy", "--all", cwd=self.dir, env={"YOKE_BACKEND": name})
            self.assertEqual((r.code, r.out), (0, self.read("out.csv").encode()))


class DryRun(Daily):
    # weights, gradients and moments of 1.5 billion parameters, which no machine of these tests has room for
    LARGE = """model: {family: gpt2, layers: 48, heads: 25, width: 1600, context: 1024, vocab: 50257}
data: {format: random, samples: 1000}
train: {steps: 100, batch: 16, optimizer: {name: adamw, lr: 1e-4}}
checkpoint: {dir: ck}
"""

    def test_says_what_the_run_would_take(self):
        for flags in ([], ["--dp", 2], ["--pp", 2, "--microbatches", 2], ["--tp", 2, "--precision", "bf16"]):
            dry = self.run_json("train", "job.yaml", *flags, "--set", "checkpoint.dir=ck", "--log", "l.jsonl", "--dry-run")
            self.assertFalse(os.path.exists(self.path("ck")) or os.path.exists(self.path("l.jsonl")))
            real = self.run_json("train", "job.yaml", *flags)
            for d, r in zip(dry.json["devices"], real.json["devices"], strict=True):
                for key in ("name", "layers", "predicted_peak_bytes", "bytes"):
                    self.assertEqual(d[key], r[key])
                self.assertIsNone(d["measured_peak_bytes"])
                self.assertIn(d["name"], dry.out.decode())
            self.assertEqual((dry.json["total_steps"], dry.json["samples"]), (6, 40))
            self.assertNotIn("steps", dry.json)

    def test_refuses_what_train_refuses(self):
        r = self.wrong("train", "job.yaml", "--device-memory", 1000, "--dry-run", code=3, says="cpu:0.*but may use")
        self.wrong("train", "gpt.yaml", "--set", "data.path=none.txt", "--dry-run", says="none.txt")
        r = self.wrong("train", "gpt.yaml", "--device-memory", "400KiB", "--dry-run", code=3, says="would fit: --")
        flags = r.json["error"]["would_fit"][0].split()
        self.run_json("train", "gpt.yaml", "--device-memory", "400KiB", *flags, "--dry-run")

    def test_allocates_nothing(self):
        self.write("large.yaml", self.LARGE)
        flags = ["--dp", 8, "--zero", 3, "--microbatches", 2, "--device-memory", "1TB"]
        limit = ["sh", "-c", 'ulimit -v 4000000; exec "$@"', "sh"] if not SANITIZED else []
        p = subprocess.run([*limit, YOKE, "train", "large.yaml", *map(str, flags), "--dry-run", "--json", "-"], cwd=self.dir,
                           capture_output=True, text=True, timeout=300)
        self.assertEqual(p.returncode, 0, p.stderr)
        dry = json.loads(p.stdout)
        self.assertEqual((len(dry["devices"]), dry["parameters"]), (8, 1557611200))
        self.assertGreater(dry["total_bytes"], 8 * 4 * 1557611200 / 8 * 4)
        if dry["total_bytes"] < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
            self.skipTest("this machine has room for it")
        self.assertRegex(p.stderr, "would be refused on this machine")
        self.wrong("train", "large.yaml", *flags, code=3, says=r"8 devices would need .* together.*--dry-run")
        self.assertFalse(os.path.exists(self.path("ck")))

    def test_plans_for_more_devices_than_any_machine_has(self):
        self.write("huge.yaml", """model: {family: gpt2, layers: 64, heads: 64, width: 8192, context: 2048, vocab: 50257}
data: {format: random, samples: 16384}
train: {steps: 10, batch: 16384, optimizer: {name: adamw, lr: 1e-4}}
layout: {dp: 32, tp: 8, pp: 64, microbatches: 512, zero: 1, device_memory: 1TiB}
""")
        r = self.run_json("train", "huge.yaml", "--dry-run")
        devices, text = r.json["devices"], r.out.decode()
        self.assertEqual(len(devices), 16384)
        self.assertEqual(sum(d["predicted_peak_bytes"] for d in devices), r.json["total_bytes"])
        self.assertEqual([(d["rank"], d["name"]) for d in devices[::4999]], [(i, f"cpu:{i}") for i in range(0, 16384, 4999)])
        self.assertRegex(text, r"cpu:0 \(of 256\)[\s\S]*16384 devices: a row is the one of its stage that holds most")
        self.assertLess(text.count("\n"), 300)
        for i, stage in enumerate(line for line in text.splitlines() if " (of 256) " in line):
            most = max(devices[256 * i:256 * (i + 1)], key=lambda d: d["predicted_peak_bytes"])
            self.assertIn(most["name"] + " ", stage)
        self.wrong("train", "huge.yaml", "--dp", 1 << 15, "--dry-run", says="dp 32768 x tp 8 x pp 64 x cp 1 is more than 1048576 devices")
        self.wrong("train", "huge.yaml", "--dp", 1 << 21, "--dry-run", says="at most 1048576")

    def test_no_steps(self):
        r = self.run_json("train", "job.yaml", "--steps", 0)
        self.assertRegex(r.out.decode(), r"no steps to do.*\n[\s\S]*cpu:0 ")


class UsualFlags(Daily):
    def test_are_answered_with_what_means_the_same(self):
        for typed, means in {
                "--lr 0.1": "--set train.optimizer.lr=0.1", "--epochs=3": "--set train.epochs=3",
                "--batch-size 8": "--set train.batch=8", "--batch_size 8": "--set train.batch=8", "--batch 4": "--set train.batch=4",
                "--seed 7": "--set train.seed=7", "--fp16": "--precision bf16", "--bf16": "--precision bf16",
                "--output runs/x": "--set checkpoint.dir=runs/x", "--output-dir": "--set checkpoint.dir=VALUE",
                "--grad-accum 4": "--microbatches 4", "--gradient-accumulation-steps": "--microbatches N",
                "--gradient-checkpointing": "--recompute full", "--learning-rate 1e-3": "--set train.optimizer.lr=1e-3",
                "--num-epochs 2": "--set train.epochs=2", "--max-steps 9": "--steps 9",
                "--weight-decay 0.1": "--set train.optimizer.weight_decay=0.1", "--warmup 5": "--set train.schedule.warmup=5",
                "--dropout 0.1": "--set model.dropout=0.1", "--resume-from-checkpoint d": "--resume d",
                "--data x": "--set data.path=x", "--model x": "--set model.from=x", "--optimizer adam": "--set train.optimizer.name=adam",
                "--nproc 2": "--dp N.*yoke launch -n N", "--gpus 2": "--devices N of the CPU, or a list as cuda:0", "--world-size 2": "--dp 2",
                "--tensor-parallel 2": "--tp 2", "--quiet": "2> /dev/null", "-lr 0.1": "--set train.optimizer.lr=0.1",
                "--eval-steps 50": "--set eval.every=50", "--early-stopping-patience 3": "--set stop.patience=3",
                "--momentum 0.9": "--set train.optimizer.momentum=0.9", "--train.batch 3": "--set train.batch=3",
                "--no-shuffle": "--set data.shuffle=false$", "--no_drop_last": "--set data.drop_last=false$", "--shuffle false": "--set data.shuffle=false$",
                "--shuffle maybe": r"--set data.shuffle=true \(or false\)$", "--shuffle": r"--set data.shuffle=true \(or false\)$",
                "--sp yes": r"--set layout.sp=true \(or false\)$", "--sp true": "--set layout.sp=true$",
                "--loss l2": r"--set train.loss=cross_entropy \(or mse\)$", "--optimizer": r"--set train.optimizer.name=sgd \(or adam, .*\)$"}.items():
            r = self.wrong("train", "job.yaml", *typed.split(), says=f"is no option of `yoke train`: .*{means}")
            self.assertEqual(r.json["error"]["key"], typed.split("=")[0].split()[0])
        # what a command has is what it says
        self.wrong("generate", "x", "--max-new-tokens", 5, says="write --tokens 5$")
        self.wrong("eval", "x", "--batch-size", 5, says="write --set train.batch=5$")
        self.wrong("launch", "--nproc", 2, "--", "train", "job.yaml", says="write -n 2$")
        # a value is repeated only where a shell takes it as it stands
        self.wrong("train", "job.yaml", "--lr", "a b", says="lr=VALUE$")
        self.wrong("train", "job.yaml", "--no-lr", says="--no-lr is no option of `yoke train`; `yoke train --help` lists them$")

    def test_what_is_said_works(self):
        for flags in (["--set", "train.optimizer.lr=0.1"], ["--precision", "bf16"], ["--recompute", "full"]):
            self.run_json("train", "job.yaml", *flags)


if __name__ == "__main__":
    unittest.main(argv=["test_daily.py", *sys.argv[2:]])
