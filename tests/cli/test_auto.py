"""--layout auto from outside: what yoke plan chooses is what train, verify, simulate and explain take, and they say so.
test_auto.py YOKE"""
import json
import os
import subprocess
import sys
import unittest

import case

YOKE = sys.argv.pop(1)
MACHINE = """name: two threads
device: {{name: thread, memory: 1GB, rates: {{f32: 20 GFLOP/s}}, bandwidth: 10 GB/s, launch: 1 us}}
levels: [{{name: host, count: 2, bandwidth: {link}, latency: 1 us}}]
measured: {{on: 2026-01-31, by: a test, command: yoke bench}}
"""
JOB = """model: {family: gpt2, layers: 2, heads: 2, width: 32, context: 16, vocab: 64}
data: {format: random}
train: {steps: 2, batch: 8, sequence: 16, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-3}}
"""


class Auto(case.Folder):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("yoke"))
        self.here("100 GB/s")
        self.write("job.yaml", JOB)

    def here(self, link):
        self.write("yoke/machine.yaml", MACHINE.format(link=link))

    def run_yoke(self, *arguments, code=0):
        done = subprocess.run([YOKE, *map(str, arguments), "--json", "-"], capture_output=True, text=True, timeout=300, cwd=self.dir,
                              env={**os.environ, "XDG_DATA_HOME": self.dir})
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def yoke(self, *arguments, code=0):
        return json.loads(self.run_yoke(*arguments, code=code).stdout)

    def layout(self, row):
        return {**row["mesh"], "zero": row["zero"]}

    def test_train_takes_what_plan_chooses(self):
        """Over fast links both devices, over a line of a modem one."""
        for link, devices in (("100 GB/s", 2), ("1 kB/s", 1)):
            self.here(link)
            plan = self.yoke("plan", "job.yaml", "--devices", 2)["chosen"]
            done = self.run_yoke("train", "job.yaml", "--layout", "auto")
            ran = json.loads(done.stdout)
            self.assertEqual(len(ran["devices"]), devices)
            self.assertEqual(ran["auto"]["layout"], plan["layout"] or "dp=1")
            self.assertAlmostEqual(ran["auto"]["step_ms"], plan["step_ms"], delta=1e-9 * plan["step_ms"])
            self.assertIn(f"--layout auto is {plan['layout'] or 'one device'}: ", done.stderr)
            self.assertTrue(any("--layout auto is" in n for n in ran["notices"]))
            self.assertNotIn("not measured", done.stderr)
            self.assertEqual(self.yoke("train", "job.yaml")["steps"], ran["steps"]) if devices == 1 else None

    def test_devices_and_threads_are_kept(self):
        ran = self.yoke("train", "job.yaml", "--layout", "auto", "--devices", "cpu:3,cpu:1", "--threads", 1)
        self.assertEqual([d["name"] for d in ran["devices"]], ["cpu:3", "cpu:1"])
        ran = self.yoke("train", "job.yaml", "--layout", "auto", "--devices", 1)
        self.assertEqual([d["name"] for d in ran["devices"]], ["cpu:0"])
        dry = self.yoke("train", "job.yaml", "--layout", "auto", "--dry-run")
        self.assertEqual(len(dry["devices"]), 2)

    def test_the_files_layout_gives_way(self):
        self.write("job.yaml", JOB + "layout: {pp: 2, microbatches: 8, schedule: gpipe}\n")
        plan = self.yoke("plan", "job.yaml", "--devices", 2)["chosen"]
        ran = self.yoke("train", "job.yaml", "--layout", "auto", "--set", "checkpoint.dir=runs")
        self.assertNotEqual(plan["mesh"]["pp"], 2)
        self.assertEqual(len(ran["devices"]), 2)
        saved = self.read("runs/step-00000002/job.yaml")
        self.assertNotIn("gpipe", saved)
        self.assertIn("dp: 2", saved)

    def test_verify_simulate_explain(self):
        self.assertTrue(self.yoke("verify", "job.yaml", "--layout", "auto")["passed"])
        self.write("m.yaml", MACHINE.format(link="50 GB/s").replace("count: 2", "count: 4"))
        best = self.yoke("plan", "job.yaml", "--machine", "m.yaml")["chosen"]
        for command in ("simulate", "explain"):
            said = self.yoke(command, "job.yaml", "--machine", "m.yaml", "--layout", "auto")
            self.assertAlmostEqual(said["step_ms"], best["step_ms"], delta=1e-9 * best["step_ms"])

    def test_what_cannot_be(self):
        for flags, says in ((["--dp", 2], "--dp 2 stands beside"), (["--set", "layout.zero=1"], "layout.zero=1 stands beside"),
                            (["--layout", "tp=2"], "tp=2 stands beside")):
            done = self.run_yoke("train", "job.yaml", "--layout", "auto", *flags, code=2)
            self.assertIn(says, done.stderr)
        error = self.yoke("train", "job.yaml", "--layout", "auto", "--device-memory", "1KiB", code=3)["error"]
        self.assertIn("fits", error["message"])


if __name__ == "__main__":
    unittest.main()
