"""What data files mean, from outside: test_data.py YOKE [test ...]. What could be meant otherwise is refused with exit code 2,
before the first step and with its place in the file, or said. Standard library only."""
import array
import json
import math
import os
import struct
import subprocess
import sys
import unittest

import case

YOKE = os.path.abspath(sys.argv[1])
MLP = """model: {family: layers, input: [4], layers: [{type: linear, out: 8}, {type: relu}, {type: linear, out: 3}]}
data: {format: npy, inputs: x.npy, targets: y.npy}
train: {steps: 6, batch: 10, loss: cross_entropy, optimizer: {name: sgd, lr: 0.05}}
"""
CSV = """model: {family: layers, input: [2], layers: [{type: linear, out: 8}, {type: relu}, {type: linear, out: 3}]}
data: {format: csv, path: t.csv, targets: [klass]}
train: {steps: 6, batch: 10, loss: cross_entropy, optimizer: {name: sgd, lr: 0.05}}
checkpoint: {dir: ck}
"""
GPT = """model: {family: gpt2, layers: 1, heads: 1, width: 8, context: 8}
data: {format: text, path: t.txt}
train: {epochs: 1, batch: 8, optimizer: {name: adamw, lr: 1e-3}}
"""


class Case(case.Folder):
    def setUp(self):
        super().setUp()
        self.write("mlp.yaml", MLP)
        self.write("csv.yaml", CSV)
        self.write("gpt.yaml", GPT)
        self.npy("x.npy", "<f4", (60, 4), [(i * 37 % 101) / 50 - 1 for i in range(240)])
        self.npy("y.npy", "<i8", (60,), [i % 3 for i in range(60)])

    def run_yoke(self, *arguments, code=0):
        p = subprocess.run([YOKE, *map(str, arguments), "--json", "out.json"], capture_output=True, text=True, cwd=self.dir, timeout=120)
        self.assertEqual(p.returncode, code, f"{arguments}: {p.stderr}")
        if code == 0:
            with open(os.path.join(self.dir, "out.json"), encoding="utf-8") as f:
                p.json = json.load(f)
        return p

    def refused(self, job, says, *overrides):
        sets = [word for o in overrides for word in ("--set", o)]
        p = self.run_yoke("train", job, *sets, code=2)
        self.assertRegex(p.stderr, says)
        self.assertNotRegex(p.stderr, r"(?m)^step ")
        self.assertEqual(len(p.stderr.strip().splitlines()), 1, p.stderr)

    def said(self, job, says, *overrides):
        sets = [word for o in overrides for word in ("--set", o)]
        p = self.run_yoke("train", job, *sets)
        self.assertRegex(p.stderr, says)
        return p


class Rows(Case):
    """Shapes whole, and sentences that name what goes together."""

    def test_inputs(self):
        n = [i % 7 for i in range(60 * 12)]
        for name, shape in (("hwc", (60, 2, 2, 3)), ("flat", (60, 12)), ("turned", (60, 3, 4)), ("chw", (60, 3, 2, 2)), ("one", (60, 1, 4, 3))):
            self.npy(name + ".npy", "<f4", shape, n)
        conv = "model.layers=[{type: conv2d, out: 2, kernel: 2}, {type: flatten}, {type: linear, out: 3}]"
        self.refused("mlp.yaml", r"hwc.npy: .*\[2, 2, 3\].*\[3, 2, 2\]; save .*transpose\(0, 3, 1, 2\)", "data.inputs=hwc.npy", "model.input=[3, 2, 2]", conv)
        self.refused("mlp.yaml", r"\[12\].*\[3, 2, 2\].*reshape\(\[-1, 3, 2, 2\]\)", "data.inputs=flat.npy", "model.input=[3, 2, 2]", conv)
        self.refused("mlp.yaml", r"\[3, 4\].*\[4, 3\]", "data.inputs=turned.npy", "model.input=[4, 3]")
        self.refused("mlp.yaml", r"\[12\].*\[4\].*model.input: \[12\]", "data.inputs=flat.npy")
        flat = "model.layers=[{type: flatten}, {type: linear, out: 3}]"
        for name, shape in (("chw", "[3, 2, 2]"), ("one", "[4, 3]"), ("flat", "[12]"), ("hwc", "[12]")):  # one meaning each
            self.run_yoke("train", "mlp.yaml", "--set", f"data.inputs={name}.npy", "--set", f"model.input={shape}", "--set", flat)
        # laid out in one row, its elements are the weights': another order of them is not this model's
        self.run_yoke("train", "mlp.yaml", "--set", "data.inputs=chw.npy", "--set", "model.input=[12]", "--set", "checkpoint.dir=ck")
        self.run_yoke("eval", "ck")
        p = self.run_yoke("eval", "ck", "--set", "data.inputs=hwc.npy", code=2)
        self.assertRegex(p.stderr, r"hwc.npy: .*\[2, 2, 3\].*trained on \[3, 2, 2\]")

    def test_targets(self):
        self.npy("f.npy", "<f4", (60,), [i / 2 for i in range(60)])
        self.npy("hot.npy", "<i8", (60, 3), [int(i % 3 == 0) for i in range(180)])
        self.npy("turned.npy", "<f4", (60, 2, 3), [i % 5 for i in range(360)])
        self.npy("places.npy", "<f4", (60, 2, 2, 2), [i % 5 for i in range(480)])
        self.refused("mlp.yaml", r"f.npy: .*fractions.*train.loss: mse", "data.targets=f.npy")
        self.refused("mlp.yaml", r"y.npy: .*whole number.*\[3\].*cross_entropy", "train.loss=mse")
        self.refused("mlp.yaml", r"argmax\(1\)", "data.targets=hot.npy")
        self.refused("mlp.yaml", r"\[2, 2, 3\]: a class for each of 2 x 2 places; is a flatten missing before layer 0\?", "data.inputs=places.npy", "model.input=[2, 2, 2]",
                     "model.layers=[{type: linear, out: 3}]")
        self.npy("wide.npy", "<f4", (60, 3, 2), [i % 5 for i in range(360)])
        self.refused("mlp.yaml", r"turned.npy: .*\[2, 3\].*\[3, 2\]", "data.targets=turned.npy", "data.inputs=wide.npy", "model.input=[3, 2]", "model.layers=[{type: relu}]", "train.loss=mse")

    def test_every_label_is_checked_before_the_first_step(self):
        for at in (7, 58):
            for holdout in (0, 0.2):
                y = [i % 3 for i in range(60)]
                y[at] = 3
                self.npy("bad.npy", "<i8", (60,), y)
                self.write("l.idx", struct.pack(">2I", 0x801, 60) + bytes(y))
                self.write("i.idx", struct.pack(">4I", 0x803, 60, 2, 2) + bytes(240))
                self.write("t.csv", "a,b,klass\n" + "".join(f"{i % 9},{i % 4},{y[i]}\n" for i in range(60)))
                says = rf"sample {at} has class 3, and the model knows 0 .. 2"
                self.refused("mlp.yaml", r"bad.npy: " + says, "data.targets=bad.npy", f"data.holdout={holdout}")
                self.refused("mlp.yaml", r"l.idx: " + says, "data.format=idx", "data.inputs=i.idx", "data.targets=l.idx", f"data.holdout={holdout}")
                self.refused("csv.yaml", rf"t.csv:{at + 2}: klass is 3, and the model knows the classes 0 .. 2", f"data.holdout={holdout}")
        self.write("t.csv", "a,b,klass\n" + "".join(f"{i},{i % 4},{i % 3 + 1}\n" for i in range(60)))
        self.refused("csv.yaml", r"t.csv:4: klass is 3.*1 .. 3\): classes count from 0")
        self.npy("ids.npy", "<i8", (60, 4), [i % 5 for i in range(240)])
        self.refused("mlp.yaml", r"ids.npy: sample 1 has token 4, and the model knows 0 .. 3", "data.inputs=ids.npy",
                     "model.layers=[{type: embedding, rows: 4, out: 2}, {type: flatten}, {type: linear, out: 3}]")


class Tables(Case):
    def table(self, name="t.csv", order=("a", "b", "klass"), extra=False, rows=60):
        words = ["low", "high", "mid"]
        lines = [",".join(order) + (",who" if extra else "")]
        for i in range(rows):
            cells = {"a": i % 9, "b": 30000 + 100 * (i % 4), "klass": words[(i * 7) % 3]}
            lines.append(",".join(str(cells[c]) for c in order) + (",x" if extra else ""))
        self.write(name, "\n".join(lines) + "\n")

    def test_a_model_keeps_what_it_was_trained_on(self):
        self.table()
        scaled = ["--set", "data.scale=standard", "--set", "data.holdout=0.25", "--set", "data.holdout_by=draw"]
        trained = self.run_yoke("train", "csv.yaml", *scaled).json["held_out"]
        self.assertEqual(trained["samples"], 15)
        step = os.path.join(self.dir, "ck", "step-00000006")
        with open(os.path.join(step, "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        self.assertEqual((config["classes"], config["columns"], config["targets"]), (["high", "low", "mid"], ["a", "b"], ["klass"]))
        self.assertEqual(config["scale"]["kind"], "standard")
        self.assertEqual(self.run_yoke("eval", "ck").json["loss"], trained["loss"])
        whole = self.run_yoke("eval", "ck", "--data", "t.csv").json["loss"]
        self.table("other.csv", ("klass", "b", "a"), extra=True)
        p = self.run_yoke("eval", "ck", "--data", "other.csv")
        self.assertEqual(p.json["loss"], whole)
        self.assertRegex(p.stderr, r'not trained on column "who": it is passed over')
        self.table("few.csv", rows=3)  # the scale is training's, not that of three rows
        self.assertNotEqual(self.run_yoke("eval", "ck", "--data", "few.csv").json["loss"], whole)
        self.table("less.csv", ("a", "klass"))
        self.assertRegex(self.run_yoke("eval", "ck", "--data", "less.csv", code=2).stderr, r'less.csv:1: no column is named "b"')
        self.write("new.csv", "a,b,klass\n1,2,low\n1,2,most\n")
        self.assertRegex(self.run_yoke("eval", "ck", "--data", "new.csv", code=2).stderr, r"new.csv:3: klass is 'most', and the model was trained on high, low, mid")
        self.assertRegex(self.run_yoke("eval", "ck", "--set", "data.scale=none", code=2).stderr, r"data.scale.*trained with standard")

    def test_a_resume_reads_columns_by_the_names_of_its_run(self):
        self.table()
        sets = ["--set", "data.scale=minmax", "--set", "data.shuffle=false"]
        whole = self.run_yoke("train", "csv.yaml", "--steps", 12, *sets, "--set", "checkpoint.dir=whole").json
        self.run_yoke("train", "csv.yaml", *sets)
        self.table("t.csv", ("b", "klass", "a"))
        p = self.run_yoke("train", "csv.yaml", "--steps", 12, *sets, "--resume", "ck").json
        self.assertEqual([s["loss"] for s in p["steps"]], [s["loss"] for s in whole["steps"]][6:])

    def test_words_and_outputs(self):
        self.table()
        self.refused("csv.yaml", r"klass has 3 different words \(high, low, mid\), and the model has 2 outputs", "model.layers.2.out=2")
        self.refused("csv.yaml", r"a word, which is a class, and mse.*cross_entropy", "train.loss=mse")
        self.refused("csv.yaml", r"has 2 input columns.*\[3\].*model.input: \[2\]", "model.input=[3]")
        self.write("t.csv", "a,b,klass\n1,2,3\n1,2,3.5\n")
        self.refused("csv.yaml", r"t.csv:3: klass is 3.5.*cross_entropy wants classes.*train.loss: mse")

    def test_one_file_means_what_its_folder_does(self):
        self.write("t.csv", "a,b,klass\n" + "".join(f"{i % 7},{i * i % 101},{('low', 'mid', 'high')[i % 3]}\n" for i in range(60)))
        self.run_yoke("train", "csv.yaml", "--set", "data.scale=standard")
        self.write("swapped.csv", "b,a,klass\n" + "".join(f"{i * i % 101},{i % 7},{('low', 'mid', 'high')[i % 3]}\n" for i in range(40)))
        step = "ck/step-00000006"
        loss = [self.run_yoke("eval", "csv.yaml", "--set", "data.scale=standard", "--set", f"model.from={of}", "--set", "data.path=swapped.csv").json["loss"]
                for of in (step, step + "/model.safetensors")]
        self.assertEqual(*loss)
        self.refused("csv.yaml", "data.scale=none: is none, and the model was trained with standard", f"model.from={step}/model.safetensors", "data.scale=none")

    def test_columns_that_32_bits_hold_badly(self):
        """Times since 1970: said of f32; in csv, f8 and wide integers they are scaled with all their digits, everywhere."""
        rows = lambda at: [[i % 7, at + 60 * i] for i in range(60)]
        names = "low", "mid", "high"
        early, late = rows(0), rows(1700000000)
        self.npy("y.npy", "<i8", (60,), [i % 3 for i in range(60)])
        losses, shares = [], []
        for form in ("csv", "<f8", "<i8", "<f4"):
            for data in (early, late):
                if form == "csv":
                    self.write("t.csv", "a,when,klass\n" + "".join(f"{a},{when},{names[i % 3]}\n" for i, (a, when) in enumerate(data)))
                    files = []
                else:
                    self.npy("x.npy", form, (60, 2), [v for row in data for v in row])
                    files = ["--set", "data.format=npy", "--set", "data.path=", "--set", "data.targets=y.npy", "--set", "data.inputs=x.npy"]
                p = self.run_yoke("train", "csv.yaml", "--overwrite", *files, "--set", "data.scale=standard", "--set", "data.shuffle=false")
                bad = form == "<f4" and data is late
                (self.assertRegex if bad else self.assertNotRegex)(p.stderr, r"has numbers about 1.7e\+09, of which 32 bits hold steps of 203, and they differ by 1.04e\+03")
                if form == "csv":  # by name, words are numbered otherwise
                    self.run_yoke("predict", "ck", "--data", "t.csv", "--all", "--out", "out.jsonl")
                    with open(os.path.join(self.dir, "out.jsonl")) as f:
                        shares.append([json.loads(line)["probabilities"] for line in f])
                elif not bad:
                    losses.append(p.json["final_loss"])
                else:
                    self.assertNotAlmostEqual(p.json["final_loss"], losses[0], 5)
                loss = self.run_yoke("eval", "ck").json["loss"]
                if form == "csv":
                    self.assertAlmostEqual(loss, -sum(math.log(row[sorted(names).index(names[i % 3])]) for i, row in enumerate(shares[-1])) / 60, 5)
        for loss in losses:
            self.assertAlmostEqual(loss, losses[0], 6)
        for early_row, late_row in zip(*shares):
            for a, b in zip(early_row, late_row):
                self.assertAlmostEqual(a, b, 6)

    def test_sizes_are_said(self):
        self.table()
        p = self.said("csv.yaml", r"column b reaches 3.03e\+04, and column a 8: it is 3.79e\+03 times larger.*data.scale: standard")
        for scale in ("standard", "minmax"):
            p = self.run_yoke("train", "csv.yaml", "--overwrite", "--set", f"data.scale={scale}")
            self.assertNotRegex(p.stderr, "scaling")


class Notices(Case):
    def test_what_teaches_nothing(self):
        self.npy("sorted.npy", "<i8", (60,), [i // 20 for i in range(60)])
        self.said("mlp.yaml", r"class 2: in the share held out alone, and in none of the 40 .*holdout_by: draw", "data.targets=sorted.npy", "data.holdout=0.3334")
        p = self.run_yoke("train", "mlp.yaml", "--set", "data.targets=sorted.npy", "--set", "data.holdout=0.3334", "--set", "data.holdout_by=draw")
        self.assertNotRegex(p.stderr, "held out alone")
        self.npy("same.npy", "<i8", (60,), [1] * 60)
        self.said("mlp.yaml", r"all samples trained on are of one class, 1", "data.targets=same.npy")
        self.said("mlp.yaml", r"a batch of 500 is more than the 60 samples", "train.batch=500")
        self.said("mlp.yaml", r"a holdout of 0.01 of 60 samples keeps none apart", "data.holdout=0.01")
        self.npy("zeros.npy", "<i8", (60,), [0] * 60)
        self.said("mlp.yaml", r"one output.*always 0.*train.loss: mse", "data.targets=zeros.npy", "model.layers=[{type: linear, out: 1}]")

    def test_text_that_is_something_else(self):
        for content, says in (('{"text": "one line"}\n' * 40, "JSON lines"), ("a,b,c\n1,2,3\n4,5,6\n7,8,9\n" * 20, "a table"), (b"\x1f\x8b" + bytes(500), "compressed by gzip"),
                              ("Wort " * 80, None), (os.urandom(7) + b"q" * 500, None)):
            self.write("t.txt", content)
            p = self.run_yoke("train", "gpt.yaml")
            if says:
                self.assertRegex(p.stderr, f"t.txt looks like {says}.*: it is read as plain text")
            else:
                self.assertNotIn("looks like", p.stderr)

    def test_bytes_of_pictures_mean_what_idx_does(self):
        pixels = bytes(i * 37 % 256 for i in range(960))
        labels = bytes(i % 3 for i in range(60))
        self.write("i.idx", struct.pack(">4I", 0x803, 60, 4, 4) + pixels)
        self.write("l.idx", struct.pack(">2I", 0x801, 60) + labels)
        self.npy("i.npy", "|u1", (60, 1, 4, 4), pixels)
        self.npy("flat.npy", "|u1", (60, 16), pixels)
        self.npy("l.npy", "|u1", (60,), labels)
        sets = ["--set", "model.input=[16]", "--set", "data.format=idx", "--set", "data.inputs=i.idx", "--set", "data.targets=l.idx", "--set", "checkpoint.dir=ck"]
        self.run_yoke("train", "mlp.yaml", *sets)
        idx = self.run_yoke("eval", "ck").json["loss"]
        npy = ["--set", "data.format=npy", "--set", "data.targets=l.npy", "--set"]
        self.assertEqual(self.run_yoke("eval", "ck", *npy, "data.inputs=i.npy").json["loss"], idx)
        self.assertRegex(self.run_yoke("eval", "ck", *npy, "data.inputs=flat.npy").stderr, r"flat.npy: bytes in one row are taken as the numbers they are, 0 .. 255")


class Tokens(Case):
    def steps(self, content, *overrides):
        self.write("t.bin", content)
        sets = [w for o in ("data.format=tokens", "data.path=t.bin", *overrides) for w in ("--set", o)]
        return len(self.run_yoke("train", "gpt.yaml", *sets).json["steps"])

    def test_width(self):
        wide = array.array("I", [i * 7919 % 128256 for i in range(4000)]).tobytes()
        narrow = array.array("I", [i * 31 % 500 for i in range(4000)]).tobytes()
        self.assertEqual(self.steps(wide, "model.vocab=128256"), 63)  # ceil(499 / 8)
        self.assertEqual(self.steps(narrow, "model.vocab=512", "data.token_bytes=4"), 63)
        self.assertEqual(self.steps(array.array("H", [i % 500 for i in range(4000)]).tobytes(), "model.vocab=70000", "data.token_bytes=2"), 63)
        tokens = ["data.format=tokens", "data.path=t.bin"]
        self.write("t.bin", narrow)
        self.refused("gpt.yaml", r"t.bin: is read as 2 bytes a token, and every second number is 0: .*uint32; data.token_bytes: 4", *tokens, "model.vocab=512")
        self.refused("gpt.yaml", r"t.bin: is read as 2 bytes a token", *tokens, "model.vocab=512", "data.token_bytes=2")
        self.write("t.bin", array.array("q", [i % 500 for i in range(4000)]).tobytes())
        for vocab in ("model.vocab=512", "model.vocab=128256"):
            self.refused("gpt.yaml", r"every second number is 0", *tokens, vocab)
        self.refused("gpt.yaml", r"look like int64; save them as uint32", *tokens, "model.vocab=512", "data.token_bytes=4")
        self.write("t.bin", array.array("H", [60000] * 4000).tobytes())
        self.refused("gpt.yaml", r"read as 4 bytes a token where the vocabulary is larger than 65536; data.token_bytes", *tokens, "model.vocab=128256")

    def test_width_beside_a_header(self):
        """It may say again what the header says, and nothing else."""
        header = array.array("i", [20240520, 1, 4000] + [0] * 253).tobytes()
        tokens = header + array.array("H", [i % 500 for i in range(4000)]).tobytes()
        self.assertEqual(self.steps(tokens, "model.vocab=512", "data.token_bytes=2"), 63)
        self.refused("gpt.yaml", r"t.bin: has a header by which its tokens have 2 bytes, and data.token_bytes says 4", "data.format=tokens", "data.path=t.bin", "model.vocab=512", "data.token_bytes=4")

    def test_sequences_of_another_length(self):
        """What is advised is a key of the model at hand."""
        self.npy("ids.npy", "<i8", (20, 4), [i % 90 for i in range(80)])
        npy = ["model.vocab=90", "data.format=npy", "data.path=", "data.inputs=ids.npy", "data.targets=ids.npy"]
        self.refused("gpt.yaml", r"inputs are \[4\], and the model's input is \[8\]; the data have train.sequence: 4$", *npy)
        self.said("gpt.yaml", "the targets are the inputs themselves.*learns to copy", *npy, "train.sequence=4")
        self.npy("next.npy", "<i8", (20, 4), [(i + 1) % 90 for i in range(80)])
        sets = [w for o in (*npy, "train.sequence=4", "data.targets=next.npy") for w in ("--set", o)]
        self.assertNotIn("learns to copy", self.run_yoke("train", "gpt.yaml", *sets).stderr)
        self.npy("signed.npy", "<i8", (60, 4), [-i for i in range(240)])
        self.refused("mlp.yaml", r"signed.npy: sample 0 \(element 1 .*numbers that are no ids are saved as float32: save x.astype\('float32'\)", "data.inputs=signed.npy")
        self.npy("bytes.npy", "|u1", (60, 4), [i % 200 for i in range(240)])
        self.run_yoke("train", "mlp.yaml", "--set", "data.inputs=bytes.npy", "--set", "checkpoint.dir=bytes")
        p = self.run_yoke("eval", "bytes")
        self.assertEqual(p.stderr.count("bytes in one row are taken as the numbers they are"), 1, p.stderr)
        self.npy("row.npy", "<f4", (4,), [1, 2, 3, 4])
        p = self.run_yoke("train", "mlp.yaml", "--set", "data.inputs=row.npy", code=2)
        self.assertNotIn("model.input: []", p.stderr)

    def test_where_a_model_starts_from(self):
        self.write("t.txt", "to be or not to be " * 40)
        self.refused("gpt.yaml", r"model.from=nothere: there is no .*/nothere: .*local folder or file, and nothing is fetched", "model.from=nothere")
        self.refused("gpt.yaml", r"'~/t.txt': '~' means a home folder to the shell alone", "data.path=~/t.txt")
        self.run_yoke("train", "gpt.yaml", "--set", "checkpoint.dir=ck")
        step = os.path.join("ck", os.listdir(os.path.join(self.dir, "ck"))[0])
        self.write("from.yaml", "model: {family: gpt2, from: " + step + "}\ndata: {format: text, path: t.txt}\ntrain: {steps: 1, batch: 8}\n")
        self.said("from.yaml", r"train.sequence is not given: a sample has 8 tokens, the context of model.from")


class CutShort(Case):
    """A file that loses bytes during a run ends it with a sentence and what was done, not with a signal."""

    def cut(self, job, name, *overrides):
        sets = [w for o in overrides for w in ("--set", o)]
        p = subprocess.Popen([YOKE, "train", job, "--steps", "100000000", "--log", "l.jsonl", "--set", "checkpoint.dir=ck", *sets], cwd=self.dir, stderr=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, text=True)
        self.addCleanup(p.stderr.close)
        self.addCleanup(lambda: p.poll() is None and p.kill())
        lines = iter(p.stderr.readline, "")
        seen = [next(line for line in lines if line.startswith("step"))]
        os.truncate(os.path.join(self.dir, name), 0)
        seen += list(lines)
        self.assertEqual(p.wait(), 2, seen[-3:])
        self.assertRegex("".join(seen), rf"{name}: was cut short while it was used: it had \d+ bytes when it was opened, and has 0")
        self.assertTrue([x for x in os.listdir(os.path.join(self.dir, "ck")) if x.startswith("step-")])

    def test_text(self):
        self.write("t.txt", "to be or not to be " * 4000)
        self.cut("gpt.yaml", "t.txt")

    def test_tokens(self):
        self.write("t.bin", array.array("H", [i % 500 for i in range(40000)]).tobytes())
        self.cut("gpt.yaml", "t.bin", "data.format=tokens", "data.path=t.bin", "model.vocab=512")

    def test_npy(self):
        self.cut("mlp.yaml", "x.npy")

    def test_idx(self):
        self.write("i.idx", struct.pack(">4I", 0x803, 60, 2, 2) + bytes(range(240)))
        self.write("l.idx", struct.pack(">2I", 0x801, 60) + bytes(i % 3 for i in range(60)))
        self.cut("mlp.yaml", "l.idx", "data.format=idx", "data.inputs=i.idx", "data.targets=l.idx")


LLAMA = """model: {family: llama, layers: 2, heads: 2, width: 16, hidden: 24, context: 64}
data: {format: jsonl, path: pairs.jsonl, tokenizer: level.json, skip_long: true, holdout: 0.2}
train: {steps: 6, batch: 5, sequence: 40, optimizer: {name: adamw, lr: 1e-2}, seed: 4}
"""
ROWS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jsonl")


class Rows(Case):
    def setUp(self):
        super().setUp()
        self.write("rows.yaml", LLAMA)
        self.write("generation_config.json", '{"eos_token_id": [421, 424]}')
        for name in ("level.json", "pairs.jsonl", "texts.jsonl", "chats.jsonl"):
            with open(os.path.join(ROWS, name), "rb") as f:
                self.write(name, f.read())

    def losses(self, *arguments):
        return [step["loss"] for step in self.run_yoke("train", "rows.yaml", *arguments).json["steps"]]

    def test_layouts(self):
        for data in ([], ["data.path=chats.jsonl", "data.chat=chatml", "train.sequence=64", "data.pack=true"]):
            sets = [w for d in data for w in ("--set", d)]
            alone = self.losses(*sets)
            for layout in ("dp=2", "tp=2", "pp=2,microbatches=2", "cp=2", "dp=2,microbatches=2,zero=3,recompute=full"):
                for a, b in zip(alone, self.losses(*sets, "--layout", layout), strict=True):
                    self.assertAlmostEqual(a, b, delta=1e-6 * a, msg=layout)

    def test_resume_and_eval(self):
        whole = self.losses()
        keep = ["--set", "checkpoint.dir=ck"]
        self.assertEqual(self.losses(*keep, "--steps", 3), whole[:3])
        with open(self.path("ck", "step-00000003", "generation_config.json")) as f:
            self.assertEqual(json.load(f), {"eos_token_id": 421})  # what a text that the model writes ends with
        more = self.run_yoke("train", "rows.yaml", "--resume", "ck", "--steps", 6).json
        self.assertEqual([step["loss"] for step in more["steps"]], whole[3:])
        held = self.run_yoke("eval", "ck").json
        seen = self.run_yoke("data", "rows.yaml", "--rows", 9, "--from", 10).json
        self.assertEqual(held["samples"], seen["held_out"])
        self.assertEqual(held["tokens"], sum(row["counted"] for row in seen["rows"]))
        self.assertEqual(self.run_yoke("eval", "ck", "--data", "pair*.jsonl").json["samples"], seen["samples"])
        self.run_yoke("train", "rows.yaml", "--set", "data.pack=true", "--resume", "ck", "--steps", 9, code=2)

    def test_seen(self):
        """A row as it is: what is counted is the completion and the end, shown in brackets."""
        self.write("one.jsonl", json.dumps({"prompt": "yes or", "completion": " no"}))
        run = self.run_yoke("data", "rows.yaml", "--set", "data.path=one.jsonl", "--set", "data.holdout=0", "--set", "train.batch=1")
        row, = run.json["rows"]
        self.assertEqual(row["text"], "<|begin_of_text|>yes or no<|end_of_text|>")
        self.assertEqual(row["counted_text"], [" no<|end_of_text|>"])
        counted = [t for t in row["targets"] if t >= 0]
        self.assertEqual(row["counted"], len(counted))
        self.assertEqual(row["inputs"][row["length"] - len(counted):row["length"]], counted)
        self.assertAlmostEqual(run.json["padding"], 1 - row["length"] / 40)
        self.assertIn(f"[{' '.join(map(str, counted))}]", run.stdout)
        self.assertIn("of 40 targets counted", run.stdout)
        self.assertEqual(self.run_yoke("data", "rows.yaml").json["left_out"], 1)
        self.run_yoke("data", "rows.yaml", "--from", 12, code=2)

    def test_seen_of_all_kinds(self):
        self.write("t.txt", "to be or\x00not to be " * 9)
        row = self.run_yoke("data", "gpt.yaml", "--rows", 1).json["rows"][0]
        self.assertEqual((row["inputs"], row["text"]), (list(b"to be or"), "to be or\\x00"))
        row = self.run_yoke("data", "mlp.yaml", "--rows", 1, "--from", 59).json["rows"][0]
        self.assertEqual((len(row["inputs"]), row["targets"], row["counted"]), (4, [2], 1))
        self.refused("gpt.yaml", r"missing.txt", "data.path=missing.txt")

    def test_refused(self):
        self.refused("rows.yaml", r"pairs.jsonl:13: .*data.skip_long", "data.skip_long=false")
        self.refused("rows.yaml", r"data.tokenizer.*missing", "data.tokenizer=", "model.vocab=422")
        self.refused("rows.yaml", r"no chat template", "data.path=chats.jsonl")
        self.refused("rows.yaml", r"texts.jsonl:1: .*data.pack", "data.path=[pairs.jsonl, texts.jsonl]")
        self.refused("rows.yaml", r"none.\*.jsonl: is a pattern", "data.path=none.*.jsonl")
        self.write("chat_template.jinja", "{{ messages }}")
        self.refused("rows.yaml", r"chat_template.jinja: .*neither chatml nor llama3", "data.path=chats.jsonl")
        run = self.run_yoke("train", "rows.yaml")
        self.assertRegex(run.stderr, "1 of 13 rows are left out")


class Lists(Case):
    """Several files are one."""

    def test_text(self):
        text = bytes(i * 7 % 251 for i in range(900))
        self.write("t.txt", text)
        for i, (a, b) in enumerate(((0, 13), (13, 500), (500, 900))):
            self.write(f"part-{i}.txt", text[a:b])
        whole = self.run_yoke("train", "gpt.yaml").json["steps"]
        for path in ("part-*.txt", "[part-0.txt, 'part-[12].txt']"):
            self.assertEqual(self.run_yoke("train", "gpt.yaml", "--set", f"data.path={path}").json["steps"], whole)

    def test_tokens(self):
        """More files than are kept open, one of them empty but for its header."""
        ids = array.array("H", [i * 31 % 500 for i in range(2000)])
        self.write("t.bin", ids.tobytes())
        tokens = ["--set", "data.format=tokens", "--set", "model.vocab=512"]
        whole = self.run_yoke("train", "gpt.yaml", *tokens, "--set", "data.path=t.bin").json["steps"]
        for i in range(400):
            self.write(f"s{i:03}.bin", ids[5 * i:5 * i + 5].tobytes())
        self.write("s099b.bin", array.array("i", [20240520, 1, 0] + [0] * 253).tobytes())
        self.assertEqual(self.run_yoke("train", "gpt.yaml", *tokens, "--set", "data.path=s*.bin").json["steps"], whole)
        self.write("s300.bin", array.array("H", [3, 700]).tobytes())
        self.refused("gpt.yaml", r"s300.bin: token 1 .*is 700", "data.format=tokens", "model.vocab=512", "data.path=s*.bin")


if __name__ == "__main__":
    unittest.main(argv=["test_data.py", *sys.argv[2:]])
