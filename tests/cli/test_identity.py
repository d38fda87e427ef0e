"""Whose a run is: what a resume may find changed, and whose a folder of steps is. test_identity.py YOKE [test ...]."""
import fcntl
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import unittest

import case

YOKE = os.path.abspath(sys.argv[1])
GPT = """model: {family: gpt2, layers: 2, heads: 2, width: 16, context: 8}
data: {format: text, path: t.txt}
train: {steps: 12, batch: 4, optimizer: {name: adamw, lr: 1e-3}}
checkpoint: {dir: ck, every: 4}
"""
MLP = """model: {family: layers, input: [4], layers: [{type: linear, out: 5}, {type: relu}, {type: linear, out: 3}]}
data: {format: csv, path: d.csv, targets: [y]}
train: {steps: 8, batch: 5, loss: cross_entropy, optimizer: {name: sgd, lr: 0.05}}
checkpoint: {dir: ck}
"""


class Case(case.Folder):
    def setUp(self):
        super().setUp()
        draw = random.Random(3)
        self.write("gpt.yaml", GPT)
        self.write("mlp.yaml", MLP)
        self.write("t.txt", " ".join(draw.choice("the yoke pulls a cart over hills".split()) for _ in range(500)))
        rows = [[f"{draw.random():.3f}" for _ in range(4)] + [str(draw.randrange(3))] for _ in range(60)]
        self.write("d.csv", "a,b,c,d,y\n" + "\n".join(map(",".join, rows)) + "\n")

    def yoke(self, *arguments, code=0, says=None, env=None):
        """Runs with --json FILE; the exit code must be `code`, and what is said match `says`."""
        p = subprocess.run([YOKE, *map(str, arguments), "--json", self.path("out.json")], cwd=self.dir, timeout=300,
                           capture_output=True, text=True, env={**os.environ, **(env or {})})
        self.assertEqual(p.returncode, code, f"{arguments}: {p.stderr}")
        p.said = "\n".join(l for l in p.stderr.splitlines() if l.startswith("yoke: "))
        if says is not None:
            self.assertRegex(p.said, says)
        with open(self.path("out.json")) as f:
            p.json = json.load(f)
        if code == 2:
            self.assertEqual(len(p.stderr.splitlines()), 1, p.stderr)
        return p

    def losses(self, p):
        return {s["step"]: s["loss"] for s in p.json["steps"]}

    def steps(self, folder="ck"):
        return sorted(int(n[5:]) for n in os.listdir(self.path(folder)) if n.startswith("step-"))

    def state(self, step, folder="ck"):
        with open(self.path(folder, f"step-{step:08d}", "state.json")) as f:
            return json.load(f)


class Resume(Case):
    def setUp(self):
        super().setUp()
        self.whole = self.losses(self.yoke("train", "gpt.yaml", "--set", "checkpoint.dir=whole"))
        self.yoke("train", "gpt.yaml", "--stop-after", 4)

    def resume(self, *arguments, **how):
        """Goes on in another folder each time."""
        how.setdefault("code", 0)
        self.count = getattr(self, "count", 0) + 1
        return self.yoke("train", "gpt.yaml", "--resume", "ck", "--set", f"checkpoint.dir=again{self.count}",
                         *arguments, **how)

    def test_unchanged_is_exact_and_silent(self):
        p = self.resume()
        self.assertEqual(p.said.count("yoke: "), 1)  # which step
        self.assertEqual(self.losses(p), {s: self.whole[s] for s in range(4, 12)})
        self.assertEqual(self.state(12, "again1")["run"], self.state(4)["run"])
        self.assertNotEqual(self.state(12, "whole")["run"], self.state(4)["run"])

    def test_moved_data_are_the_same(self):
        os.mkdir(self.path("there"))
        os.rename(self.path("t.txt"), self.path("there/moved.txt"))
        p = self.resume("--set", "data.path=there/moved.txt")
        self.assertEqual(p.said.count("yoke: "), 1)
        self.assertEqual(self.losses(p), {s: self.whole[s] for s in range(4, 12)})

    def test_other_devices_are_the_same_run(self):
        self.assertEqual(self.resume("--dp", 2).said.count("yoke: "), 1)

    def test_what_changes_the_meaning_is_refused(self):
        with open(self.path("t.txt")) as f:
            text = f.read()
        self.write("same_size.txt", text[::-1])
        self.write("longer.txt", text + " and more of it" * 20)
        for change, says, key in [
                ("data.path=same_size.txt", r"data t\.txt .* this job's are same_size\.txt", "data"),
                ("data.path=longer.txt", r"data t\.txt .* this job's are longer\.txt", "data"),
                ("data.holdout=0.2", r"data\.holdout 0\.0, and this job's is 0\.2", "data.holdout"),
                ("data.shuffle=false", r"data\.shuffle true, and this job's is false", "data.shuffle"),
                ("data.drop_last=true", r"data\.drop_last false, and this job's is true", "data.drop_last"),
                ("train.sequence=4", r"train\.sequence 8, and this job's is 4", "train.sequence"),
                ("train.batch=2", r"train\.batch 4, and this job's is 2", "train.batch"),
                ("train.seed=7", r"train\.seed 1, and this job's is 7", "train.seed"),
                ("train.optimizer.name=sgd", r"optimizer\.name adamw, and this job's is sgd", "train.optimizer.name")]:
            with self.subTest(change):
                p = self.resume("--set", change, code=2, says=says)
                self.assertRegex(p.said, f"--resume-changed {re.escape(key)} goes on")
                self.resume("--set", change, "--resume-changed", key, says=says.replace("this job's", ".*"))
        self.resume("--set", "data.holdout=0.1", "--set", "data.shuffle=false", code=2,
                    says="--resume-changed data.holdout,data.shuffle goes on")
        self.resume("--set", "data.holdout=0.1", "--set", "data.shuffle=false", "--resume-changed", "data")
        self.resume("--resume-changed", "data,hope", code=2, says="'hope' names nothing")

    def test_a_momentum_that_begins(self):
        sgd = ["--set", "train.optimizer={name: sgd, lr: 0.01}"]
        self.yoke("train", "gpt.yaml", *sgd, "--stop-after", 4, "--set", "checkpoint.dir=sgd")
        again = ["train", "gpt.yaml", *sgd, "--resume", "sgd", "--set", "train.optimizer.momentum=0.9", "--set", "checkpoint.dir=more"]
        self.yoke(*again, code=2, says=r"train\.optimizer\.momentum 0\.0, and this job's is 0\.9: .*--resume-changed train\.optimizer\.momentum goes on")
        p = self.yoke(*again, "--resume-changed", "train.optimizer.momentum", says=r"train\.optimizer\.momentum 0\.0")
        self.assertEqual(p.said.count("momentum"), 1)

    def test_same_file_with_other_contents(self):
        with open(self.path("t.txt")) as f:
            text = f.read()
        self.write("t.txt", text.replace("cart", "cars", 1))
        self.resume(code=2, says="data t.txt .* other contents")

    def test_what_is_meant_is_said(self):
        self.resume("--set", "train.optimizer.lr=5e-3", says=r"train\.optimizer\.lr was 0\.001, and is 0\.005 now")
        self.resume("--set", "train.clip=1", says=r"train\.clip was 0\.0, and is 1\.0 now")
        self.resume("--set", "train.optimizer.name=adam", says=r"optimizer\.name was adamw, and is adam now")
        self.resume("--precision", "bf16", says=r"train\.precision was f32, and is bf16 now")
        self.assertEqual(self.resume("--steps", 20).said.count("yoke: "), 1)  # a constant rate knows no total

    def test_a_total_that_a_rate_depends_on(self):
        cosine = ["--set", "train.schedule.name=cosine"]
        self.yoke("train", "gpt.yaml", *cosine, "--set", "checkpoint.dir=c", "--stop-after", 4)
        self.yoke("train", "gpt.yaml", *cosine, "--set", "checkpoint.dir=d", "--resume", "c", "--steps", 24,
                  says=r"train\.steps was 12, and is 24 now")
        epochs = ["--set", "train.epochs=1", "--set", "train.batch=8"]
        self.yoke("train", "gpt.yaml", *cosine, *epochs, "--set", "checkpoint.dir=e", "--stop-after", 2)
        with open(self.path("t.txt"), "a") as f:
            f.write(" more" * 200)
        self.yoke("train", "gpt.yaml", *cosine, *epochs, "--set", "checkpoint.dir=f", "--resume", "e", code=2,
                  says="data t.txt")
        self.yoke("train", "gpt.yaml", *cosine, *epochs, "--set", "checkpoint.dir=f", "--resume", "e",
                  "--resume-changed", "data", says=r"train\.steps was \d+, and is \d+ now")

    def test_another_model_of_the_same_shapes(self):
        self.yoke("train", "mlp.yaml", "--set", "checkpoint.dir=m", "--stop-after", 4)
        with open(self.path("mlp.yaml")) as f:
            text = f.read()
        self.write("tanh.yaml", text.replace("relu", "tanh"))
        self.yoke("train", "tanh.yaml", "--set", "checkpoint.dir=n", "--resume", "m", code=2,
                  says="another model.*--resume-changed model")
        self.yoke("train", "tanh.yaml", "--set", "checkpoint.dir=n", "--resume", "m", "--resume-changed", "model")

    def test_another_model_of_other_shapes(self):
        """No flag lets it go on, and none is offered."""
        self.yoke("train", "mlp.yaml", "--set", "checkpoint.dir=m", "--stop-after", 4)
        for change, says in (("model.layers.0.out=6", r"tensor '0\.weight' has shape \[5, 4\]"),
                             ("model.layers.2.bias=false", r"has tensor '2\.bias', for which the model has no place"),
                             ("model.layers=[{type: linear, out: 5}, {type: relu}, {type: linear, out: 3}, {type: linear, out: 3}]", r"has no tensor '3\.weight'")):
            for flag in ([], ["--resume-changed", "model"]):
                p = self.yoke("train", "mlp.yaml", "--set", change, "--set", "checkpoint.dir=n", "--resume", "m", *flag, code=2,
                              says="m/step-00000004 was saved in a run with another model than this job's, whose weights do not fit: .*" + says)
                self.assertNotIn("goes on", p.said)

    def test_a_step_of_an_older_yoke(self):
        path = self.path("ck", "step-00000004", "state.json")
        state = self.state(4)
        for key in ("run", "identity", "hash"):
            del state[key]
        state["version"] = 1
        with open(path, "w") as f:
            json.dump(state, f)
        p = self.yoke("train", "gpt.yaml", "--resume", "ck")  # its own folder: the run takes it over
        self.assertEqual(self.losses(p), {s: self.whole[s] for s in range(4, 12)})
        self.assertTrue(self.state(12)["run"])

    def test_ways_to_say_resume(self):
        for words in (["gpt.yaml", "--resume"], ["gpt.yaml", "--resume", "auto"], ["--resume", "ck"]):
            with self.subTest(words):
                shutil.rmtree(self.path("ck"))
                self.yoke("train", "gpt.yaml", "--stop-after", 4)
                self.assertEqual(self.losses(self.yoke("train", *words)), {s: self.whole[s] for s in range(4, 12)})
        self.assertEqual(self.losses(self.yoke("train", "gpt.yaml", "--set", "checkpoint.dir=none", "--resume", "auto")),
                         self.whole)
        self.write("bare.yaml", GPT[:GPT.index("checkpoint")])
        self.yoke("train", "bare.yaml", "--resume", code=2, says="the job has none")
        self.yoke("train", "--resume", code=2, says="JOB is missing")
        self.yoke("train", code=2, says="JOB is missing")

    def test_a_base_folder_that_is_gone(self):
        shutil.copytree(self.path("whole", "step-00000012"), self.path("base"))
        self.write("tune.yaml", GPT.replace("layers: 2, heads: 2, width: 16, context: 8", "from: base")
                   .replace("steps: 12", "sequence: 8, steps: 12"))
        whole = self.losses(self.yoke("train", "tune.yaml", "--set", "checkpoint.dir=t"))
        self.yoke("train", "tune.yaml", "--set", "checkpoint.dir=u", "--stop-after", 4)
        shutil.rmtree(self.path("base"))
        rest = self.losses(self.yoke("train", "tune.yaml", "--set", "checkpoint.dir=u", "--resume", "u"))
        self.assertEqual(rest, {s: whole[s] for s in range(4, 12)})


class Folder(Case):
    def test_an_older_run_is_left_alone(self):
        self.yoke("train", "gpt.yaml")
        before = {s: self.state(s) for s in self.steps()}
        log = self.path("l.jsonl")
        self.write("l.jsonl", "an older run's\n")
        self.yoke("train", "gpt.yaml", "--steps", 6, "--set", "checkpoint.every=2", "--set", "checkpoint.keep=1",
                  "--log", log, code=2, says="ck: holds 3 steps of another run, the newest 12.*--resume.*--overwrite")
        self.assertEqual({s: self.state(s) for s in self.steps()}, before)
        with open(log) as f:
            self.assertEqual(f.read(), "an older run's\n")
        p = self.yoke("train", "gpt.yaml", "--steps", 6, "--set", "checkpoint.every=2", "--overwrite")
        self.assertEqual(self.steps(), [2, 4, 6])
        self.assertEqual(len({self.state(s)["run"] for s in self.steps()}), 1)
        self.assertNotIn(self.state(2)["run"], [b["run"] for b in before.values()])
        self.assertEqual(p.json["steps"][0]["step"], 0)

    def test_what_is_overwritten_goes_after_the_first_save(self):
        self.yoke("train", "gpt.yaml")
        self.yoke("train", "gpt.yaml", "--overwrite", "--set", "train.optimizer.lr=1e20", "--set",
                  "checkpoint.every=0", code=5)
        self.assertTrue(self.steps())

    def test_later_steps_of_the_same_run(self):
        self.yoke("train", "gpt.yaml")
        first = self.path("ck", "step-00000004")
        self.yoke("train", "gpt.yaml", "--resume", first, "--set", "train.optimizer.lr=5e-3", code=2,
                  says="later steps of this run than step 4, the newest 12")
        self.assertEqual(self.steps(), [4, 8, 12])
        self.yoke("train", "gpt.yaml", "--resume", first, "--stop-after", 1, "--overwrite")
        self.assertEqual(self.steps(), [4, 5])

    def test_two_runs_at_once(self):
        p = subprocess.Popen([YOKE, "train", "gpt.yaml", "--steps", "100000000", "--log", "l"], cwd=self.dir,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not self.steps() if os.path.isdir(self.path("ck")) else True:
                self.assertIsNone(p.poll())
            for more in ([], ["--overwrite"], ["--resume", "ck"]):
                self.yoke("train", "gpt.yaml", *more, "--steps", 100000000, code=2,
                          says=rf"ck: belongs to a run that is under way, process {p.pid} on ")
        finally:
            p.send_signal(signal.SIGKILL)
            p.wait()
        self.yoke("train", "gpt.yaml", "--resume", "ck", "--stop-after", 1, "--steps", 100000000)  # a dead run holds nothing
        self.assertEqual([n for n in os.listdir(self.path("ck")) if not n.startswith("step-")], [])

    def killed_while_it_saves(self):
        """A run that left its lock's file; the file."""
        p = subprocess.Popen([YOKE, "train", "gpt.yaml", "--steps", "100000000", "--log", "l"], cwd=self.dir,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self.steps() if os.path.isdir(self.path("ck")) else True:
            self.assertIsNone(p.poll())
        p.send_signal(signal.SIGKILL)
        p.wait()
        return self.path("ck", ".yoke-run")

    def hold(self, file):
        fd = os.open(file, os.O_RDWR)
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        return fd

    def test_a_lock_of_a_host_that_is_gone(self):
        """A file server keeps it until a lease ends. The same run may take it over, where somebody says that the host is gone."""
        file = self.killed_while_it_saves()
        with open(file, "r+") as f:
            text = re.sub("host .*", "host far", f.read())
            f.seek(0)
            f.truncate()
            f.write(text)
        fd = self.hold(file)
        again = ["train", "gpt.yaml", "--resume", "ck", "--stop-after", 1, "--steps", 100000000]
        self.yoke(*again, code=2, says=r"process \d+ on far .*Where far is gone, its lock ends .*, and --take-over does not wait for that")
        for more in ([], ["--take-over"]):  # another run never does
            p = self.yoke("train", "gpt.yaml", "--overwrite", *more, code=2, says="on far .*Where far is gone, its lock ends")
            self.assertNotIn("--take-over does", p.said)
        self.yoke(*again, "--take-over")
        self.assertFalse(os.path.exists(file))
        os.close(fd)

    def test_a_lock_of_this_host_is_never_taken_over(self):
        file = self.killed_while_it_saves()
        fd = self.hold(file)
        p = self.yoke("train", "gpt.yaml", "--resume", "ck", "--steps", 100000000, "--take-over", code=2, says="belongs to a run that is under way")
        self.assertNotIn("is gone", p.said)
        os.close(fd)

    def test_who_lost_the_folder_saves_nothing_more(self):
        """A host that was held to be gone, and comes back."""
        p = subprocess.Popen([YOKE, "train", "gpt.yaml", "--steps", "100000000", "--log", "l"], cwd=self.dir, text=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not self.steps() if os.path.isdir(self.path("ck")) else True:
            self.assertIsNone(p.poll())
        self.write("taken", self.read("ck/.yoke-run"))
        os.replace(self.path("taken"), self.path("ck", ".yoke-run"))
        said = p.communicate(timeout=300)[1]
        self.assertEqual(p.returncode, 2, said)
        self.assertIn("ck: was taken over by a later part of this run", said)
        self.assertTrue(self.read("ck/.yoke-run"))  # which is not the lost one's to remove

    def test_folders_that_cannot_be_used(self):
        self.write("f", "x")
        for name, says in (("f/ck", "f: is a file where a folder is needed"), ("/proc/ck", "/proc/ck: cannot create it")):
            for more in ([], ["--set", "checkpoint.async=true", "--set", "checkpoint.on_error=continue"]):
                with self.subTest(name):
                    self.yoke("train", "gpt.yaml", "--set", f"checkpoint.dir={name}", *more, "--log", "l.jsonl", code=2,
                              says=says)
                    self.assertFalse(os.path.exists(self.path("l.jsonl")))

    def test_a_steps_folder_is_no_folder_of_steps(self):
        """Whoever read it then would take that step, and none of the new ones."""
        self.yoke("train", "gpt.yaml", "--stop-after", 4)
        for words in ([], ["--resume", "ck"], ["--overwrite"]):
            self.yoke("train", "gpt.yaml", *words, "--set", "checkpoint.dir=ck/step-00000004", code=2,
                      says="is one step's folder, and steps are saved in a folder of steps")

    def test_an_interrupted_run_finds_a_place(self):
        self.write("bare.yaml", GPT[:GPT.index("checkpoint")])
        for n in ("", "-2"):  # two runs, neither of which takes the other's folder
            p = subprocess.Popen([YOKE, "train", "bare.yaml", "--steps", "100000000", "--log", "l" + n], cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            while '"loss"' not in self.read("l" + n):
                self.assertIsNone(p.poll(), p.poll() and p.stderr.read())
            p.send_signal(signal.SIGTERM)
            said = p.communicate(timeout=300)[1].decode()
            self.assertEqual(p.returncode, 75, said)
            self.assertRegex(said, rf"saved in yoke-interrupted{n}/step-")
            self.assertEqual(len(self.steps("yoke-interrupted" + n)), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
