"""Every way out of `yoke train` keeps what was done, and what is said is what happened: test_ways_out.py YOKE [CLOCK.so]
[test ...]. Standard library only."""
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import unittest

import case

YOKE = os.path.abspath(sys.argv[1])
JOB = """model: {family: layers, input: [4], layers: [{type: linear, out: 5}, {type: relu}, {type: linear, out: 1}]}
data: {format: npy, inputs: x.npy, targets: y.npy, shuffle: false}
train: {steps: 10, batch: 5, loss: mse, optimizer: {name: adam, lr: 0.01}}
layout: {threads: 1}
"""
RANDOM = """model: {family: layers, input: [6], layers: [{type: linear, out: 8}, {type: tanh}, {type: linear, out: 3}]}
data: {format: random, samples: 50, holdout: 0.2}
train: {steps: 40, batch: 10, loss: cross_entropy, optimizer: {name: sgd, lr: 0.1}}
layout: {threads: 1}
"""


class Case(case.Folder):
    def setUp(self):
        super().setUp()
        self.write("job.yaml", JOB)
        self.write("random.yaml", RANDOM)
        x = [(i * 37 % 101) / 101 for i in range(200)]
        self.npy("y.npy", "<f4", (50, 1), [x[4 * i] - x[4 * i + 3] for i in range(50)])
        self.npy("x.npy", "<f4", (50, 4), x)
        x[4 * 32] = 3e38  # of step 6
        self.npy("bad.npy", "<f4", (50, 4), x)

    def yoke(self, *words, code=0, **more):
        r = subprocess.run([YOKE, *map(str, words), "--json", "out.json"], cwd=self.dir, capture_output=True, text=True,
                           timeout=120, **more)
        self.assertEqual(r.returncode, code, r.stderr)
        with open(self.path("out.json")) as text:
            r.json = json.load(text)
        return r

    def losses(self, r):
        return [s["loss"] for s in r.json["steps"]]

    def go_on(self, text, *more):
        """Runs the command that is printed, in a shell."""
        line = re.search(r"go on with: (.*)", text).group(1)
        r = subprocess.run(["sh", "-c", f"{line} --json again.json {shlex.join(more)}"], cwd=self.dir, capture_output=True,
                           text=True, timeout=120)
        self.assertEqual(r.returncode, 0, r.stderr)
        with open(self.path("again.json")) as text:
            r.json = json.load(text)
        return r


class WaysOut(Case):
    def test_a_value_that_is_not_finite(self):
        bad = ["--set", "data.inputs=bad.npy"]
        whole = self.yoke("train", "job.yaml")
        r = self.yoke("train", "job.yaml", *bad, "--set", "checkpoint.dir=ck", code=5)
        self.assertEqual(os.listdir(self.path("ck")), ["step-00000006"])
        self.assertEqual(r.json["saved"], os.path.join(os.path.realpath(self.dir), "ck/step-00000006"))
        self.assertEqual(self.losses(r), self.losses(whole)[:6])
        self.assertIn("train.skip_nonfinite", r.stderr)
        # where the step is saved already it is not saved again
        stamp = os.stat(self.path("ck/step-00000006")).st_mtime_ns
        r = self.yoke("train", "job.yaml", *bad, "--resume", "ck", "--set", "checkpoint.dir=ck", code=5)
        self.assertEqual(os.stat(self.path("ck/step-00000006")).st_mtime_ns, stamp)
        r = self.yoke("train", "job.yaml", *bad, "--resume", "ck", "--set", "train.skip_nonfinite=1", "--log", "l.jsonl")
        self.assertEqual((r.json["skipped"], r.json["steps_done"], r.json["steps"][0]["loss"]), (1, 10, None))
        self.assertRegex(r.stdout, "left out +1 step")
        with open(self.path("l.jsonl")) as log:
            lines = [json.loads(line) for line in log]
        self.assertEqual([s.get("skipped") for s in lines if "seconds" in s], [True, None, None, None])

    def test_without_a_folder(self):
        self.yoke("train", "job.yaml", "--set", "data.inputs=bad.npy", code=5)
        self.assertEqual(os.listdir(self.path("yoke-interrupted")), ["step-00000006"])

    def test_weights_that_are_not_finite_are_not_saved(self):
        r = self.yoke("train", "job.yaml", "--set", "train.optimizer={name: sgd, lr: 1e38}", "--set", "checkpoint.dir=ck",
                      code=5)
        left = os.listdir(self.path("ck")) if os.path.isdir(self.path("ck")) else []
        self.assertTrue(left or "no step is saved" in r.stderr, r.stderr)
        for step in left:
            self.yoke("eval", f"ck/{step}")

    def test_stop_after(self):
        whole = self.yoke("train", "random.yaml")
        r = self.yoke("train", "random.yaml", "--stop-after", 15)
        self.assertEqual(r.json["saved"], "yoke-interrupted/step-00000015")
        again = self.go_on(r.stdout)
        self.assertEqual(self.losses(r) + self.losses(again), self.losses(whole))
        self.assertNotIn("saved", self.yoke("train", "random.yaml", "--stop-after", 40).json)

    def test_the_printed_command(self):
        place = self.path("it's here")
        os.mkdir(place)
        os.rename(self.path("random.yaml"), os.path.join(place, "my job.yaml"))
        r = self.yoke("train", "it's here/my job.yaml", "--set", "train.optimizer.lr=0.2", "--layout", "dp=2,microbatches=2",
                      "--set", "checkpoint.dir=a b", "--log", "the log.jsonl", "--stop-after", 5)
        again = self.go_on(r.stdout)
        self.assertEqual([s["step"] for s in again.json["steps"]], list(range(5, 40)))
        with open(self.path("the log.jsonl")) as log:
            self.assertEqual(len([line for line in log if '"seconds":' in line]), 40)

    def test_signals(self):
        for number in (signal.SIGHUP, signal.SIGTERM):
            p = subprocess.Popen([YOKE, "train", "random.yaml", "--steps", "100000000", "--set", f"checkpoint.dir=ck{number}"],
                                 cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.assertIn("step", p.stderr.readline())
            p.send_signal(number)
            text = p.communicate(timeout=60)[1]
            self.assertEqual(p.returncode, 75, text)
            self.assertEqual(len(os.listdir(self.path(f"ck{number}"))), 1)

    def test_nohup(self):
        p = subprocess.Popen([YOKE, "train", "random.yaml", "--steps", "100000000", "--set", "checkpoint.dir=ck"], cwd=self.dir,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.assertIn("step", p.stderr.readline())
        with open(f"/proc/{p.pid}/status") as status:
            ignored = int(re.search(r"SigIgn:\s*(\w+)", status.read()).group(1), 16)
        self.assertTrue(ignored >> (signal.SIGHUP - 1) & 1)
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=60)
        self.assertEqual(p.returncode, 75)

    def test_a_terminal_that_closes(self):
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.dir)
            os.execv(YOKE, [YOKE, "train", "random.yaml", "--steps", "100000000", "--set", "checkpoint.dir=ck"])
        seen = b""
        while b"step" not in seen:
            seen += os.read(terminal, 4096)
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 75)
        self.assertEqual(len(os.listdir(self.path("ck"))), 1)

    def test_a_reader_that_goes(self):
        p = subprocess.Popen([YOKE, "train", "random.yaml", "--steps", "300", "--set", "checkpoint.dir=ck"], cwd=self.dir,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stderr.close()
        p.stdout.close()
        p.wait(timeout=60)
        self.assertEqual(os.listdir(self.path("ck")), ["step-00000300"])

    def test_a_file_that_is_cut_short(self):
        with open(self.path("t.txt"), "w") as out:
            out.write("the yoke pulls a cart over hills " * 20000)
        self.write("t.yaml", """model: {family: gpt2, layers: 1, heads: 2, width: 8, context: 16}
data: {format: text, path: t.txt}
train: {steps: 100000000, batch: 4}
checkpoint: {dir: ck}
""")
        p = subprocess.Popen([YOKE, "train", "t.yaml"], cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.assertIn("step", p.stderr.readline())
        os.truncate(self.path("t.txt"), 0)
        said = p.communicate(timeout=60)[1]
        self.assertIn(p.returncode, (1, 2), said)
        self.assertRegex(said, r"yoke: .*t\.txt.*\nyoke: saved in .*step-")
        self.assertEqual(len(os.listdir(self.path("ck"))), 1)

    def test_an_evaluation_that_fails(self):
        """A held-out class that the model has not is found before the first step, or ends the run with the weights saved."""
        with open(self.path("t.csv"), "w") as out:
            out.write("a,b,k\n" + "".join(f"{i % 7},{i % 3},{5 if i == 19 else i % 3}\n" for i in range(20)))
        self.write("t.yaml", """model: {family: layers, input: [2], layers: [{type: linear, out: 3}]}
data: {format: csv, path: t.csv, targets: [k], holdout: 0.2}
train: {steps: 5, batch: 4, loss: cross_entropy}
""")
        r = self.yoke("train", "t.yaml", code=2)
        self.assertRegex(r.stderr, "class|k is 5")
        self.assertTrue("saved in" in r.stderr or not re.search("^step ", r.stderr, re.M), r.stderr)

    def test_a_hold_out_of_no_sample(self):
        r = self.yoke("train", "random.yaml", "--set", "data.holdout=0.01")
        self.assertIn("keeps none apart", r.stderr)
        self.assertNotIn("held_out", r.json)


class Evaluations(Case):
    EVERY = ["--set", "eval.every=10", "--set", "checkpoint.dir=ck", "--set", "checkpoint.best=true", "--set", "checkpoint.keep=1"]

    def test_on_the_way(self):
        plain = self.yoke("train", "random.yaml")
        r = self.yoke("train", "random.yaml", *self.EVERY, "--log", "l.jsonl")
        self.assertEqual(self.losses(r), self.losses(plain))
        self.assertEqual([e["step"] for e in r.json["evals"]], [10, 20, 30, 40])
        self.assertEqual(r.json["evals"][-1]["loss"], r.json["held_out"]["loss"])
        self.assertEqual(r.json["evals"][-1]["samples"], 10)
        best = min(r.json["evals"], key=lambda e: e["loss"])
        self.assertEqual(r.json["best"], {"step": best["step"], "loss": best["loss"]})
        self.assertEqual(os.readlink(self.path("ck/best")), f"step-{best['step']:08}")
        self.assertEqual(self.yoke("eval", "ck/best").json["loss"], best["loss"])
        with open(self.path("l.jsonl")) as log:
            lines = [json.loads(line) for line in log]
        self.assertEqual([(e["step"], e["held_out_loss"], e["held_out_accuracy"]) for e in lines if "held_out_loss" in e],
                         [(e["step"], e["loss"], e["accuracy"]) for e in r.json["evals"]])
        self.assertEqual(len(re.findall(r"^after \d+  held-out loss", r.stderr, re.M)), 4)
        self.assertFalse(r.json["stopped_early"])

    def test_an_early_stop(self):
        words = ["random.yaml", *self.EVERY, "--set", "stop.patience=2", "--set", "train.optimizer.lr=40", "--set",
                 "eval.every=2"]
        r = self.yoke("train", *words)
        self.assertTrue(r.json["stopped_early"])
        n = r.json["steps_done"]
        self.assertLess(n, 40)
        self.assertEqual(n, r.json["best"]["step"] + 4)
        self.assertRegex(r.stderr, rf"stopped early, after step {n} of 40")
        self.assertTrue(os.path.isdir(self.path(f"ck/step-{n:08}")))
        again = self.yoke("train", *words, "--resume", "ck")
        self.assertEqual((again.json["steps"], again.json["stopped_early"]), ([], True))

    def test_refused(self):
        r = self.yoke("train", "job.yaml", "--set", "eval.every=5", code=2)
        self.assertIn("data.holdout", r.stderr)
        self.assertEqual(r.json["error"]["key"], "eval.every")


class Said(Case):
    def test_a_run_that_diverges(self):
        r = self.yoke("train", "job.yaml", "--steps", 8, "--set", "train.optimizer={name: sgd, lr: 3}")
        self.assertTrue(r.json["diverged"])
        self.assertIn("nothing was learnt", r.stderr)
        r = self.yoke("train", "job.yaml", "--steps", 30)
        self.assertFalse(r.json["diverged"])

    def test_a_run_that_goes_on_with_an_easy_batch(self):
        """Its first loss says little of what was learnt before: batches differ."""
        def losses(values):  # of 20 steps that learn nothing to speak of, from 0
            self.write("flat.yaml", "model: {family: layers, input: [1], layers: [{type: linear, out: 1, bias: false}]}\n"
                       "data: {format: npy, inputs: zero.npy, targets: flat.npy, shuffle: false}\n"
                       "train: {steps: 20, batch: 1, loss: mse, optimizer: {name: sgd, lr: 1e-9}}\n")
            self.npy("zero.npy", "<f4", (20, 1), [0] * 20)
            self.npy("flat.npy", "<f4", (20, 1), values)
            shutil.rmtree(self.path("flat"), ignore_errors=True)
            self.yoke("train", "flat.yaml", "--stop-after", 10, "--set", "checkpoint.dir=flat")
            return self.yoke("train", "flat.yaml", "--resume", "flat", "--set", "checkpoint.dir=flat")
        r = losses([3] * 10 + [1, 3, 2, 3, 2] + [2] * 5)
        self.assertFalse(r.json["diverged"])
        self.assertNotIn("nothing was learnt", r.stderr)
        self.assertTrue(losses([3] * 10 + [1, 3, 2, 3, 2] + [9] * 5).json["diverged"])

    def said(self, *words):
        r = self.yoke("train", "random.yaml", "--steps", 3, *words)
        lines = [line for line in r.stderr.splitlines() if line.startswith("yoke: ")]
        self.assertEqual(r.json.get("notices", []), [line[len("yoke: "):] for line in lines])
        return "\n".join(lines)

    def test_what_teaches_nothing(self):
        linear, norm, soft = "{type: linear, out: 3}", "{type: batchnorm}", "{type: softmax}"
        for layers, more, says in (((linear,), (), "^$"),
                                   ((linear, soft), (), "layer 1 is a softmax"),
                                   ((soft, linear), (), "^$"),
                                   ((linear, norm, linear), (), "^$"),
                                   ((linear, norm, linear), ("train.batch=1",), "layer 1: batch norm has one value .* of 1 sample"),
                                   ((linear, norm, linear), ("train.batch=2", "layout.microbatches=2"), "layer 1: batch norm"),
                                   ((linear, norm, linear), ("train.batch=2", "layout.dp=2"), "^$"),
                                   (("{type: linear, out: 4}", "{type: batchnorm, statistics: local}", linear),
                                    ("train.batch=2", "layout.dp=2"), "layer 1: batch norm"),
                                   ((linear, norm, linear), ("train.batch=13",), "the last, smaller batch of an epoch"),
                                   ((linear, norm, linear), ("train.batch=13", "data.drop_last=true"), "^$"),
                                   ((linear, "{type: groupnorm, groups: 3}", linear), (), "layer 1: group norm has one value in each group"),
                                   ((linear, "{type: groupnorm, groups: 1}", linear), (), "^$"),
                                   ((linear,), ("train.batch=41",), "41 is more than the 40 samples to train on"),
                                   ((linear,), ("data.holdout=0.01",), "keeps none apart")):
            with self.subTest(layers=layers, more=more):
                flags = [w for key in (f"model.layers=[{', '.join(layers)}]", *more) for w in ("--set", key)]
                self.assertRegex(self.said(*flags), says)

    def test_a_step_that_teaches_nothing(self):
        self.npy("zero.npy", "<f4", (50, 4), [0] * 200)
        r = self.yoke("train", "job.yaml", "--set", "data.inputs=zero.npy", "--set", "model.layers=[{type: linear, out: 1, bias: false}]")
        self.assertEqual(r.stderr.count("step 0: every gradient is exactly 0"), 1)
        self.assertEqual(r.stderr.count("every gradient is exactly 0"), 1)

    @unittest.skipUnless(len(sys.argv) > 2 and sys.argv[2].endswith(".so"), "no clock to preload")
    def test_life_once_a_minute(self):
        """By a clock that is so fast that a minute passes in every step."""
        lines = [len(self.yoke("train", "random.yaml", "--steps", 400, env=env).stderr.splitlines())
                 for env in (dict(os.environ), dict(os.environ, LD_PRELOAD=os.path.abspath(sys.argv[2])))]
        self.assertLess(lines[0], 25)
        self.assertGreaterEqual(lines[1], 400)

    def test_counts(self):
        r = self.yoke("train", "random.yaml", "--set", "train.epochs=2", "--set", "train.batch=12")
        self.assertIn("after 8 of 8 steps", r.stdout)
        # 40 samples in 4 steps: the rate is that of the samples that there were
        r = self.yoke("train", "random.yaml", "--steps", 6, "--set", "train.batch=100")
        self.assertAlmostEqual(r.json["samples_per_s"] * r.json["step_ms_median"] / 1000, 40, places=6)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *[word for word in sys.argv[2:] if not word.endswith(".so")]])
