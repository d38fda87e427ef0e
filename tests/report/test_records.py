"""Logs, event files and traces through the program: test_records.py YOKE [test ...]. Standard library only."""
import glob
import json
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from event_file import events

YOKE = os.path.abspath(sys.argv[1])
JOB = """model: {family: layers, input: [6], layers: [{type: linear, out: 8}, {type: tanh}, {type: linear, out: 3}]}
data: {format: random, samples: 48}
train: {steps: 6, batch: 8, loss: cross_entropy, optimizer: {name: sgd, lr: 0.1}, clip: 1}
"""
GPT = """model: {family: gpt2, layers: 2, heads: 2, width: 16, context: 16, vocab: 64}
data: {format: random, samples: 32}
train: {steps: 5, batch: 4, sequence: 16, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-3}, precision: f32}
"""
NUMBERS = ["step", "loss", "lr", "gradient_norm", "samples_per_s", "tokens_per_s", "share_of_peak", "moved_bytes", "seconds",
           "samples", "time"]


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        for name, text in (("job.yaml", JOB), ("gpt.yaml", GPT)):
            with open(self.path(name), "w") as f:
                f.write(text)

    def path(self, name):
        return os.path.join(self.dir, name)

    def yoke(self, *arguments, code=0):
        p = subprocess.run([YOKE, *map(str, arguments), "--json", self.path("out.json")], capture_output=True,
                           cwd=self.dir, timeout=120, text=True)
        self.assertEqual(p.returncode, code, f"{arguments}: {p.stderr}")
        with open(self.path("out.json"), encoding="utf-8") as f:
            p.json = json.load(f)
        return p

    def lines(self, name):
        """A log's lines: those of steps and those of events."""
        with open(self.path(name), encoding="utf-8") as f:
            text = f.read()
        self.assertTrue(text.endswith("\n"))
        found = [json.loads(line, parse_constant=self.fail) for line in text.splitlines()]
        return [l for l in found if "event" not in l], [l for l in found if "event" in l]

    def wrong(self, *arguments, says, code):
        p = self.yoke(*arguments, code=code)
        said = [line for line in p.stderr.splitlines() if line.startswith("yoke: ")]
        self.assertEqual(len(said), 1, p.stderr)
        self.assertRegex(said[0], says)
        self.assertEqual(p.json["error"]["code"], code)
        return p


class Logs(Case):
    def test_a_step_a_line(self):
        before = time.time()
        r = self.yoke("train", "gpt.yaml", "--dp", 2, "--log", "run.jsonl")
        steps, others = self.lines("run.jsonl")
        self.assertEqual([s["loss"] for s in steps], [s["loss"] for s in r.json["steps"]])
        self.assertEqual([s["step"] for s in steps], list(range(5)))
        for s in steps:
            self.assertEqual(list(s), NUMBERS)
            self.assertEqual(s["lr"], 1e-3)
            self.assertGreater(s["gradient_norm"], 0)
            self.assertAlmostEqual(s["samples_per_s"] * s["seconds"], 4)
            self.assertAlmostEqual(s["tokens_per_s"], 16 * s["samples_per_s"])
            self.assertEqual(s["moved_bytes"], r.json["moved_bytes_per_step"])
            self.assertTrue(before - 1 < s["time"] < time.time() + 1)
        self.assertEqual([e["event"] for e in others], ["start", "end"])
        start = others[0]
        self.assertEqual((start["steps"], start["devices"], start["layout"]), (5, 2, "dp=2"))
        for s in steps:
            self.assertAlmostEqual(s["share_of_peak"],
                                   4 * start["flops_per_sample"] / s["seconds"] / start["peak_flops_per_s"])

    def test_samples_that_are_no_sequences(self):
        self.yoke("train", "job.yaml", "--log", "run.jsonl")
        steps, _ = self.lines("run.jsonl")
        self.assertTrue(all(s["tokens_per_s"] is None and s["samples_per_s"] > 0 for s in steps))

    def test_a_run_that_begins_anew(self):
        """Its lines stand below those of the run before, and that is said; of its events TensorBoard shows its own alone."""
        keep = ["--log", "run.jsonl", "--tensorboard", "tb"]
        self.assertNotIn("earlier run", self.yoke("train", "job.yaml", *keep).stderr)
        self.assertIn("run.jsonl has lines of an earlier run", self.yoke("train", "job.yaml", *keep, "--steps", 3).stderr)
        self.assertEqual([(e["event"], e["step"]) for e in self.lines("run.jsonl")[1] if e["event"] == "start"],
                         [("start", 0), ("start", 0)])
        files = sorted(glob.glob(self.path("tb/*")))
        self.assertEqual([[e["step"] for e in events(f) if e["start"]] for f in files], [[], [0]])

    def test_evaluations(self):
        keep = ["--set", "data.holdout=0.2", "--set", "eval.every=2", "--log", "run.jsonl", "--tensorboard", "tb"]
        self.yoke("train", "job.yaml", *keep, "--steps", 5)
        found = [e for e in self.lines("run.jsonl")[1] if e["event"] == "eval"]
        self.assertEqual([e["step"] for e in found], [2, 4, 5])
        shown = [(e["step"], e["scalars"]["held_out_loss"]) for e in events(glob.glob(self.path("tb/*"))[0])
                 if "held_out_loss" in e["scalars"]]
        self.assertEqual([step for step, _ in shown], [2, 4, 5])
        for (_, loss), e in zip(shown, found):
            self.assertAlmostEqual(loss, e["held_out_loss"], 6)

    def test_it_goes_on_where_a_run_resumes(self):
        keep = ["--set", "checkpoint.dir=ck", "--log", "run.jsonl", "--tensorboard", "tb"]
        self.yoke("train", "job.yaml", *keep, "--stop-after", 3)
        self.yoke("train", "job.yaml", *keep, "--resume", "ck")
        self.yoke("train", "job.yaml", *keep, "--resume", "ck/step-00000003", "--steps", 5, "--overwrite")
        steps, others = self.lines("run.jsonl")
        self.assertEqual([s["step"] for s in steps], [0, 1, 2, 3, 4, 5, 3, 4])
        self.assertEqual([(e["event"], e["step"]) for e in others],
                         [("start", 0), ("stop", 3), ("save", 3), ("resume", 3), ("start", 3), ("save", 6), ("end", 6),
                          ("resume", 3), ("start", 3), ("save", 5), ("end", 5)])
        self.assertTrue(others[2]["path"].endswith("ck/step-00000003"))
        files = sorted(glob.glob(self.path("tb/*")), key=lambda p: next(events(p))["wall_time"])
        self.assertEqual([[e["step"] for e in events(f) if e["start"]] for f in files], [[], [3], [3]])

    def test_a_line_that_was_cut_short_is_ended(self):
        with open(self.path("run.jsonl"), "w") as f:
            f.write('{"step":0,"lo')
        self.yoke("train", "job.yaml", "--log", "run.jsonl")
        with open(self.path("run.jsonl")) as f:
            lines = f.read().splitlines()
        self.assertEqual(lines[0], '{"step":0,"lo')
        self.assertEqual(len([json.loads(line) for line in lines[1:]]), 8)

    def test_a_killed_run_leaves_whole_lines(self):
        p = subprocess.Popen([YOKE, "train", "job.yaml", "--steps", "100000000", "--log", "run.jsonl", "--tensorboard", "tb"],
                             cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log, end = self.path("run.jsonl"), time.time() + 60
        while time.time() < end and not (os.path.exists(log) and os.path.getsize(log) > 20000):
            time.sleep(0.01)
        p.send_signal(signal.SIGKILL)
        p.wait()
        steps, _ = self.lines("run.jsonl")
        self.assertGreater(len(steps), 50)
        self.assertEqual([s["step"] for s in steps], list(range(len(steps))))
        self.assertGreater(len(list(events(glob.glob(self.path("tb/*"))[0]))), 50)

    def test_a_signal_and_a_value_that_is_no_number(self):
        p = subprocess.Popen([YOKE, "train", "job.yaml", "--steps", "100000000", "--log", "run.jsonl"], cwd=self.dir,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log, end = self.path("run.jsonl"), time.time() + 60
        while time.time() < end and not (os.path.exists(log) and os.path.getsize(log) > 5000):
            time.sleep(0.01)
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(), 75)
        self.assertEqual([e["event"] for e in self.lines("run.jsonl")[1]], ["start", "stop", "save"])
        self.yoke("train", "job.yaml", "--set", "train.loss=mse", "--set", "train.optimizer.lr=1e38", "--set", "train.clip=0",
                  "--log", "nan.jsonl", code=5)
        _, others = self.lines("nan.jsonl")
        self.assertIn("non-finite", [e["event"] for e in others])
        ended = [e for e in others if e["event"] == "non-finite"][0]
        self.assertIn("not finite", ended["message"])


class TensorBoard(Case):
    def test_scalars(self):
        self.yoke("train", "gpt.yaml", "--log", "run.jsonl", "--tensorboard", "a/b")
        steps, _ = self.lines("run.jsonl")
        files = glob.glob(self.path("a/b/*"))
        self.assertEqual(len(files), 1)
        name = os.path.basename(files[0])
        self.assertTrue(name.startswith("events.out.tfevents.1") and socket.gethostname() in name, name)
        first, *rest = events(files[0])
        self.assertEqual((first["version"], first["scalars"]), ("brain.Event:2", {}))
        self.assertEqual([e["step"] for e in rest], list(range(5)))
        for event, step in zip(rest, steps):
            names = ["loss", "lr", "gradient_norm", "samples_per_s", "tokens_per_s", "share_of_peak"]
            self.assertEqual(event["scalars"], {n: f32(step[n]) for n in names})
            self.assertLess(abs(event["wall_time"] - step["time"]), 1)

    def test_more_than_one_byte_of_step(self):
        self.yoke("train", "job.yaml", "--steps", 300, "--tensorboard", "tb")
        found = list(events(glob.glob(self.path("tb/*"))[0]))
        self.assertEqual([e["step"] for e in found[1:]], list(range(300)))
        self.assertNotIn("tokens_per_s", found[1]["scalars"])


class Traces(Case):
    def test_what_is_told(self):
        r = self.yoke("train", "gpt.yaml", "--pp", 2, "--microbatches", 2, "--trace", "t.json")
        self.assertRegex(r.stdout, r"trace +t.json: steps 0 \.\. 4, \d+ events\n")
        with open(self.path("t.json")) as f:
            trace = json.load(f)
        said = r.json["trace"]
        self.assertEqual((said["file"], said["steps"], said["dropped_steps"], said["dropped_events"]), ("t.json", 5, 0, 0))
        self.assertEqual(sum(e["ph"] == "X" for e in trace["traceEvents"]), said["events"] + 5 * 2)
        self.assertEqual(trace["otherData"]["layout"], "pp=2,microbatches=2")
        self.assertEqual(sum(e["ph"] == "s" for e in trace["traceEvents"]), 5 * 4)

    def test_steps_that_are_chosen(self):
        r = self.yoke("train", "job.yaml", "--trace", "t.json", "--trace-steps", "2..3")
        self.assertIn("steps 2 .. 3", r.stdout)
        with open(self.path("t.json")) as f:
            steps = {e["args"]["step"] for e in json.load(f)["traceEvents"] if e["ph"] == "X"}
        self.assertEqual(steps, {2, 3})
        r = self.yoke("train", "job.yaml", "--trace", "t.json", "--trace-steps", "20..30")
        self.assertIn("no step was run", r.stdout)

    def test_steps_that_have_no_room_are_told(self):
        r = self.yoke("train", "job.yaml", "--steps", 20000, "--trace", "t.json")
        dropped = r.json["trace"]["dropped_steps"]
        self.assertGreater(dropped, 0)
        self.assertEqual(dropped + r.json["trace"]["steps"], 20000)
        self.assertRegex(r.stdout, rf"{dropped} steps before them \(\d+ events\) had no room .*--trace-steps A\.\.B")

    def test_after_a_failure_too(self):
        self.yoke("train", "job.yaml", "--set", "train.loss=mse", "--set", "train.optimizer.lr=1e38", "--set", "train.clip=0",
                  "--trace", "t.json", code=5)
        with open(self.path("t.json")) as f:
            names = [(e["cat"], e["name"]) for e in json.load(f)["traceEvents"] if e["ph"] == "X"]
        steps = sum(n.startswith("step ") for _, n in names)
        for of in ("action", "compute"):  # the step's end, and the kernel
            self.assertEqual(names.count((of, "update")), steps - 1)  # the last one changed nothing

    def test_from_a_resumed_step(self):
        self.yoke("train", "job.yaml", "--set", "checkpoint.dir=ck", "--stop-after", 3)
        r = self.yoke("train", "job.yaml", "--resume", "ck", "--trace", "t.json")
        self.assertIn("steps 3 .. 5", r.stdout)


class BadPaths(Case):
    def test_what_cannot_be_opened_is_refused_first(self):
        for option, what in (("--log", "the log"), ("--trace", "the trace")):
            r = self.wrong("train", "job.yaml", option, "none/file", says=f"none/file: cannot write {what} to it: No such", code=2)
            self.assertNotIn("steps", r.json)
        self.wrong("train", "job.yaml", "--tensorboard", "job.yaml", says="job.yaml: is a file where a folder", code=2)
        self.wrong("train", "job.yaml", "--log", self.dir, says="Is a directory", code=2)

    def test_a_full_disk_loses_no_result(self):
        for option in ("--log", "--trace"):
            r = self.wrong("train", "job.yaml", option, "/dev/full", "--set", f"checkpoint.dir=ck{option}",
                           says="/dev/full: cannot write the .* to it: No space left on device", code=1)
            self.assertTrue(math.isfinite(r.json["final_loss"]))
            self.assertIn("final loss", r.stdout)
            self.assertTrue(os.path.exists(self.path(f"ck{option}/step-00000006/model.safetensors")))

    def test_several_at_once(self):
        p = self.yoke("train", "job.yaml", "--log", "/dev/full", "--trace", "/dev/full", code=1)
        self.assertEqual(p.stderr.count("No space left"), 2)
        self.assertIn("the trace", p.json["error"]["message"])

    def test_steps_of_no_trace(self):
        self.wrong("train", "job.yaml", "--trace-steps", "1..2", says="--trace FILE", code=2)
        for text in ("", "3", "3..", "..3", "5..4", "-1..3", "1..2x", "a..b", "1...2", "1..99999999999999999999"):
            self.wrong("train", "job.yaml", "--trace", "t.json", "--trace-steps", text, says="--trace-steps takes", code=2)


class Predictions(Case):
    MACHINE = """name: measured here
device: {name: d, memory: 64GiB, rates: {f32: 10 GFLOP/s}, bandwidth: 5 GB/s, launch: 1 us}
levels: [{name: host, count: 4, bandwidth: 1 GB/s, latency: 5 us}]
measured: {on: 2026-01-31, by: yoke, command: yoke bench}
"""

    def here(self, text):
        os.makedirs(self.path("data/yoke"), exist_ok=True)
        with open(self.path("data/yoke/machine.yaml"), "w") as f:
            f.write(text)

    def yoke(self, *arguments, code=0):
        before = os.environ.get("XDG_DATA_HOME")
        os.environ["XDG_DATA_HOME"] = self.path("data")
        try:
            return super().yoke(*arguments, code=code)
        finally:
            os.environ.pop("XDG_DATA_HOME") if before is None else os.environ.update(XDG_DATA_HOME=before)

    def test_beside_what_is_measured(self):
        """What train, its log and compare predict is what simulate says of the same machine."""
        self.here(self.MACHINE)
        for layout in ("dp=1", "dp=2", "pp=2,microbatches=2", "dp=2,zero=3,microbatches=2", "tp=2"):
            said = self.yoke("simulate", "gpt.yaml", "--machine", "here", "--layout", layout).json["step_ms"]
            ran = self.yoke("train", "gpt.yaml", "--layout", layout, "--log", "run.jsonl")
            self.assertAlmostEqual(ran.json["predicted_ms"] / said, 1, delta=1e-9, msg=layout)
            self.assertIs(ran.json["calibrated"], True)
            self.assertRegex(ran.stdout, r"\npredicted      [0-9.]+ ms\n")
            start = [l for l in self.lines("run.jsonl")[1] if l["event"] == "start"][-1]
            self.assertEqual((start["predicted_ms"], start["calibrated"]), (ran.json["predicted_ms"], True))
        rows = self.yoke("compare", "gpt.yaml", "--steps", 3)
        self.assertIn("predicted step ms: single ", rows.stdout)
        self.assertNotIn("uncalibrated", rows.stdout)
        rows = {r["strategy"]: r for r in rows.json["rows"]}
        for row, layout in (("data", "dp=2"), ("tensor", "tp=2")):
            said = self.yoke("simulate", "gpt.yaml", "--machine", "here", "--layout", layout).json["step_ms"]
            self.assertAlmostEqual(rows[row]["predicted_ms"] / said, 1, delta=1e-9)

    def test_uncalibrated(self):
        ran = self.yoke("train", "gpt.yaml", "--dp", 2)
        self.assertGreater(ran.json["predicted_ms"], 0)
        self.assertIs(ran.json["calibrated"], False)
        self.assertIn("uncalibrated: yoke bench measures this machine", ran.stdout)
        rows = self.yoke("compare", "gpt.yaml", "--steps", 3)
        self.assertIn("uncalibrated", rows.stdout)
        self.assertTrue(all(r["predicted_ms"] > 0 and r["calibrated"] is False for r in rows.json["rows"]))

    def test_none(self):
        """A machine that does not say what the job needs predicts nothing, and the run goes on."""
        self.here(self.MACHINE.replace("f32", "bf16"))
        ran = self.yoke("train", "gpt.yaml", "--log", "run.jsonl")
        self.assertIsNone(ran.json["predicted_ms"])
        self.assertNotIn("\npredicted", ran.stdout)
        self.assertIsNone(self.lines("run.jsonl")[1][0]["predicted_ms"])


class Explained(Predictions):
    """A run by its log, its trace or its folder: what was measured, and what was wrong with it, where that is planted."""
    test_beside_what_is_measured = test_uncalibrated = test_none = None

    def ran(self, *arguments):
        self.yoke("train", *arguments, "--threads", 1, "--log", "run.jsonl", "--trace", "run.json")
        steps, others = self.lines("run.jsonl")
        log, trace = self.yoke("explain", "run.jsonl").json, self.yoke("explain", "run.json").json
        self.assertEqual(log["measured"], trace["measured"])
        self.assertEqual(others[-1]["measured"]["shares"], log["measured"]["shares"])
        self.assertAlmostEqual(others[-1]["measured"]["step_ms"] / log["measured"]["step_ms"], 1, delta=1e-12)
        shares = log["measured"]["shares"]
        self.assertAlmostEqual(sum(shares.values()), 1, delta=1e-9)
        self.assertGreaterEqual(min(shares.values()), 0)
        self.assertEqual(set(shares), set(log["shares"]))
        for f in log["findings"]:
            self.assertEqual(f["share"], shares[f["cause"]])
        self.assertGreaterEqual(log["measured"]["step_ms"], 0.5e3 * min(s["seconds"] for s in steps[2:]))
        return log

    def test_planted(self):
        big = self.path("big.yaml")
        with open(big, "w") as f:
            f.write(GPT.replace("width: 16", "width: 128").replace("batch: 4", "batch: 64").replace("layers: 2", "layers: 4"))
        wide = self.path("wide.yaml")
        with open(wide, "w") as f:
            f.write("""model: {family: layers, input: [60000], layers: [{type: linear, out: 2}]}
data: {format: random, samples: 128}
train: {steps: 6, batch: 32, loss: cross_entropy, optimizer: {name: sgd, lr: 0.01}}
""")
        uneven = self.path("uneven.yaml")
        with open(uneven, "w") as f:
            f.write("""model: {family: layers, input: [64], layers: [{type: linear, out: 64, device: 0}, {type: linear, out: 1024, device: 1}, {type: relu,
  device: 1}, {type: linear, out: 1024, device: 1}, {type: linear, out: 4, device: 1}]}
data: {format: random, samples: 512}
train: {steps: 8, batch: 256, loss: cross_entropy, optimizer: {name: sgd, lr: 0.01}}
layout: {microbatches: 8}
""")
        for cause, arguments in (("fill_drain", [big, "--pp", 2]), ("exposed_tp", ["gpt.yaml", "--tp", 2, "--set", "train.batch=1"]),
                                 ("data", [wide]), ("imbalance", [uneven])):
            with self.subTest(cause=cause):
                for _ in range(3):  # other programs may take the cores: then ranks wait for them
                    r = self.ran(*arguments)
                    if r["findings"][0]["cause"] == cause:
                        break
                self.assertEqual(r["findings"][0]["cause"], cause, r["measured"])

    def test_of_a_folder(self):
        self.yoke("train", "gpt.yaml", "--dp", 2, "--set", "checkpoint.dir=kept")
        r = self.yoke("explain", "kept")
        self.assertIsNone(r.json["measured"])
        self.assertIn("a run's folder has no times", r.stdout)
        self.assertEqual(r.json["devices"], 2)
        self.assertEqual(self.yoke("explain", "kept", "--dp", 1).json["devices"], 1)
        self.assertNotIn("measured", self.yoke("explain", "gpt.yaml").json)

    def test_of_a_run_that_was_killed(self):
        """No end, and a last line that is cut short: steps' times are there, where they went is not."""
        self.yoke("train", "gpt.yaml", "--log", "run.jsonl")
        with open(self.path("run.jsonl")) as f:
            lines = f.read().splitlines(keepends=True)
        with open(self.path("run.jsonl"), "w") as f:
            f.write("".join(lines[:4]) + lines[4][:20])
        r = self.yoke("explain", "run.jsonl")
        mean = sum(json.loads(l)["seconds"] for l in lines[1:4]) / 3
        self.assertAlmostEqual(r.json["measured"]["step_ms"] / 1e3 / mean, 1, delta=1e-9)
        self.assertIsNone(r.json["measured"]["shares"])
        self.assertIn("where it went is not in the record", r.stdout)

    def test_refused(self):
        with open(self.path("old.jsonl"), "w") as f:
            f.write('{"event":"start","step":0}\n{"step":0,"seconds":1.0}\n')
        self.wrong("explain", "old.jsonl", says="does not have its job", code=2)
        self.yoke("simulate", "gpt.yaml", "--machine", "h100-sxm", "--trace", "said.json")
        self.wrong("explain", "said.json", says="does not have its job", code=2)
        os.mkdir(self.path("empty"))
        self.wrong("explain", "empty", says="empty", code=2)
        self.wrong("explain", "nowhere.yaml", says="nowhere.yaml", code=2)


class Profiles(Case):
    def profile(self, *arguments):
        r = self.yoke("train", "gpt.yaml", "--profile", "--trace", "trace.json", *arguments).json
        with open(self.path("trace.json"), encoding="utf-8") as f:
            events = [e for e in json.load(f)["traceEvents"] if e["ph"] == "X"]
        return r, events

    def check(self, r, events, ranks, steps):
        """What the trace beside it has: as many kernels, and their time within what steps differ by."""
        kernels = [e for e in events if e["cat"] == "compute" and e["args"]["step"] in steps]
        self.assertEqual(r["profile_steps"], len(steps))
        self.assertAlmostEqual(sum(p["calls"] for p in r["profile"]), len(kernels) / ranks / len(steps), places=9)
        most = max(sum(e["dur"] for e in kernels if e["args"]["step"] == step) / 1e3 / ranks for step in steps)
        self.assertLessEqual(sum(p["ms"] for p in r["profile"]), 1.001 * most)
        self.assertEqual(r["profile"], sorted(r["profile"], key=lambda p: -p["ms"]))
        names = [p["kernel"] for p in r["profile"]]
        self.assertEqual(len(names), len(set(names)))
        for p in r["profile"]:
            self.assertEqual(list(p), ["kernel", "calls", "ms", "bound_ms", "bound"])
            self.assertIn(p["bound"], ("flops", "bytes"))
            self.assertGreater(p["bound_ms"], 0)
        self.assertGreater(r["roofline_share"], 0)
        return {p["kernel"]: p for p in r["profile"]}

    def test_kernels_beside_their_roof(self):
        rows = self.check(*self.profile("--steps", 9), 1, range(2, 9))
        self.assertEqual(rows["linear"]["calls"], 9)  # four a layer, and the head
        self.assertEqual(rows["attention"]["calls"], 2)
        self.assertEqual(rows["adam"]["bound"], "bytes")

    def test_of_stages_and_steps(self):
        self.check(*self.profile("--pp", 2, "--microbatches", 2, "--trace-steps", "3..4"), 2, [3, 4])
        self.check(*self.profile("--dp", 2, "--zero", 3), 2, range(2, 5))

    def test_alone_and_off(self):
        r = self.yoke("train", "gpt.yaml", "--profile")
        self.assertIn("kernels of a step, over 3 steps", r.stdout)
        self.assertNotIn("trace", r.json)
        self.assertNotIn("profile", self.yoke("train", "gpt.yaml").json)
        r = self.yoke("train", "gpt.yaml", "--profile", "--trace-steps", "90..99")
        self.assertIn("of no step", r.stdout)
        self.assertEqual((r.json["profile"], r.json["roofline_share"]), ([], None))


unittest.main(argv=sys.argv[:1] + sys.argv[2:])
