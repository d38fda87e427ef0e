"""A simulated step beside a step that ran, of the same job and layout: the same ranks do the same, in the same order, and what
they send arrives where it does there. test_order.py YOKE. Standard library only."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

YOKE = os.path.abspath(sys.argv.pop(1))
JOB = """model: {family: gpt2, layers: 4, heads: 4, width: 32, context: 16, vocab: 64}
data: {format: random, samples: 64}
train: {steps: 3, batch: 8, sequence: 16, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-3}, clip: 1.0}
"""
MACHINE = """name: m
device: {name: d, memory: 64GiB, rates: {f32: 20 GFLOP/s}, bandwidth: 5 GB/s, launch: 1 us}
levels: [{name: host, count: 256, bandwidth: 1 GB/s, latency: 5 us}]
"""
LAYOUTS = ["dp=1", "dp=1,microbatches=2", "dp=2", "dp=2,bucket=20KiB,microbatches=2", "tp=2", "tp=2,sp=true", "pp=2,microbatches=4,schedule=1f1b",
           "pp=2,chunks=2,microbatches=4,schedule=interleaved", "pp=2,microbatches=4,schedule=zb-h1", "pp=2,microbatches=4,schedule=zb-v",
           "pp=4,microbatches=4,schedule=gpipe", "dp=2,zero=1", "dp=2,zero=2", "dp=2,zero=3,microbatches=2", "cp=2,microbatches=2", "cp=4",
           "cp=2,cp_kind=ulysses", "dp=2,tp=2,pp=2,microbatches=2,zero=1", "pp=2,recompute=full,microbatches=2"]


class Order(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        for name, text in (("job.yaml", JOB), ("m.yaml", MACHINE)):
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(text)

    def yoke(self, *arguments, code=0):
        done = subprocess.run([YOKE, *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=self.dir)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def trace(self, name):
        with open(os.path.join(self.dir, name), encoding="utf-8") as f:
            return json.load(f)

    def rank(self, events, pid):
        """What a rank did, in order of time, where it is the same in the order of the file: a row each, and those of its threads
        apart. Arguments but for the step's number are of the plan."""
        rows = [e for e in events if e["pid"] == pid and e["ph"] == "X"]
        rows = [e for _, e in sorted(enumerate(rows), key=lambda p: (p[1]["ts"], p[0]))]
        plain = []
        for e in rows:
            arguments = {k: v for k, v in e["args"].items() if k not in ("step", "complete")}
            plain.append((e["cat"], "step" if e["name"].startswith("step ") else e["name"], json.dumps(arguments, sort_keys=True)))
        return plain

    def arrows(self, events):
        """Who sends to whom, in the order in which each pair's copies arrive; every one after it left."""
        left, pairs = {e["id"]: e for e in events if e["ph"] == "s"}, {}
        arrived = sorted((e for e in events if e["ph"] == "f"), key=lambda e: e["ts"])
        for e in arrived:
            self.assertLessEqual(left[e["id"]]["ts"], e["ts"])
            pairs.setdefault((left[e["id"]]["pid"], e["pid"]), 0)
            pairs[left[e["id"]]["pid"], e["pid"]] += 1
        self.assertEqual(len(left), len(arrived))
        return pairs

    def received(self, events, pid):
        return [e["args"]["bytes"] for e in events if e["ph"] == "C" and e["pid"] == pid][-1]

    def test_the_same_order_as_in_a_run(self):
        for layout in LAYOUTS:
            with self.subTest(layout=layout):
                self.yoke("train", "job.yaml", "--layout", layout, "--threads", 1, "--trace", "ran.json", "--trace-steps", "2..2")
                self.yoke("simulate", "job.yaml", "--machine", "m.yaml", "--layout", layout, "--trace", "said.json")
                ran, said = self.trace("ran.json"), self.trace("said.json")
                self.assertEqual(ran["otherData"]["ranks"], said["otherData"]["ranks"])
                ranks = range(ran["otherData"]["ranks"])
                ran, said = ran["traceEvents"], said["traceEvents"]
                self.assertEqual({e["pid"] for e in said}, set(ranks))
                for rank in ranks:
                    a, b = self.rank(ran, rank), self.rank(said, rank)
                    self.assertGreater(len(a), 50)
                    self.assertEqual(a, b, f"rank {rank}")
                    self.assertEqual(self.received(ran, rank), self.received(said, rank))
                self.assertEqual(self.arrows(ran), self.arrows(said))

    def test_a_track_for_each_class(self):
        """Of many devices, those that do the same are one; of few, each is there, and its step is the simulated one."""
        self.yoke("simulate", "job.yaml", "--machine", "m.yaml", "--set", "train.batch=128", "--dp", 64, "--pp", 4, "--microbatches", 2, "--trace", "t.json")
        names = [e["args"]["name"] for e in self.trace("t.json")["traceEvents"] if e["name"] == "process_name"]
        self.assertEqual(len(names), 4)
        self.assertRegex(names[0], r"^rank 0 and 63 more on device 0 \(dp 0, tp 0, pp 0, cp 0\)$")
        self.yoke("simulate", "job.yaml", "--machine", "m.yaml", "--dp", 2, "--trace", "t.json", "--json", "s.json")
        steps = [e for e in self.trace("t.json")["traceEvents"] if e["name"] == "step 0"]
        self.assertEqual(len(steps), 2)
        for e in steps:
            self.assertAlmostEqual(e["dur"] / 1e3 / self.trace("s.json")["step_ms"], 1, delta=1e-4)

    def test_refused(self):
        said = self.yoke("simulate", "job.yaml", "--machine", "m.yaml", "--trace", "no/such/t.json", code=2).stderr
        self.assertRegex(said, "no/such/t.json")


unittest.main()
