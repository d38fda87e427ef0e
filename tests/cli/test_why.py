"""yoke plan --why from outside: every figure is what yoke simulate says of that layout, and at every break-even point the second
layout is the first, just before it the first one.
test_why.py YOKE"""
import json
import subprocess
import sys
import unittest

import case

YOKE = sys.argv.pop(1)
MACHINE = """name: m
device: {{name: d, memory: {memory} B, rates: {{f32: {rate} GFLOP/s}}, bandwidth: 50 GB/s, launch: 1 us}}
levels:
  - {{name: near, count: 4, bandwidth: {near} B/s, latency: 2 us}}
  - {{name: far, count: {far_count}, bandwidth: {far} B/s, latency: 5 us}}
"""
JOB = """model: {{family: {family}, layers: {layers}, heads: 4, width: {width}, context: 32, vocab: 64{hidden}}}
data: {{format: random}}
train: {{steps: 100, batch: {batch}, sequence: 32, loss: cross_entropy, optimizer: {{name: adamw, lr: 1e-3}}}}
"""
# what is there, by the name of the parameter that changes it
FIGURES = {"train.batch": "batch", "model.layers": "layers", "model.width": "width", "device.memory": "memory",
           "levels.near.bandwidth": "near", "levels.far.bandwidth": "far", "devices": "far_count"}


class Why(case.Folder):
    def yoke(self, *arguments, code=(0,)):
        done = subprocess.run([YOKE, *map(str, arguments), "--json", "-"], capture_output=True, text=True, timeout=300, cwd=self.dir)
        self.assertIn(done.returncode, code, done.stderr)
        return json.loads(done.stdout)

    def files(self, **figures):
        figures = {"family": "gpt2", "hidden": "", "layers": 4, "width": 64, "batch": 32, "memory": 10**9, "rate": 50, "near": 2 * 10**9, "far": 10**9,
                   "far_count": 2, **figures}
        self.write("job.yaml", JOB.format(**figures))
        self.write("m.yaml", MACHINE.format(**figures))
        return figures

    def step(self, layout):
        """Milliseconds; infinite where it does not fit or cannot be."""
        return self.yoke("simulate", "job.yaml", "--machine", "m.yaml", "--layout", layout, code=(0, 2, 3)).get("step_ms", float("inf"))

    def devices(self, layout):
        return self.yoke("simulate", "job.yaml", "--machine", "m.yaml", "--layout", layout, code=(0, 2, 3)).get("devices", 0)

    def why(self, **figures):
        self.files(**figures)
        r = self.yoke("plan", "job.yaml", "--machine", "m.yaml", "--why")
        self.assertGreaterEqual(len(r["why"]), 4)
        self.assertLess(r["simulated_for_why"], 1600)
        return r

    def set_to(self, figures, parameter, value):
        key = FIGURES[parameter]
        if parameter == "devices":
            value = max(2, -(-int(value) // 4))
        changed = {**figures, key: int(value)}
        if key == "width" and "hidden" in figures:
            changed["hidden"] = f", hidden: {round(96 * value / 64)}"
        self.files(**changed)

    def check_points(self, r, figures):
        for b in r["break_even"]:
            with self.subTest(**b):
                value, now = b["value"], b["now"]
                self.assertIn(b["sentence"], r["why"])
                self.assertNotEqual(value, now)
                self.assertLessEqual(max(value / now, now / value), 16.001)
                self.set_to(figures, b["parameter"], value)
                first = self.step(b["to"])
                self.assertLess(first, float("inf"))
                if b["parameter"] == "devices" and self.devices(b["from"]) > value:
                    continue  # it cannot be on so few: that is why the other is taken
                self.assertLessEqual(first, self.step(b["from"]))
                if b["parameter"] == "devices":
                    continue
                grain = 8 if b["parameter"] == "model.width" else 1
                before = max(grain, .021 * max(value, now if value > now else value * 1.03))
                before = value + before if value < now else value - before
                before = round(before / grain) * grain
                self.set_to(figures, b["parameter"], min(before, now) if value < now else max(before, now))
                self.assertLessEqual(self.step(b["from"]), self.step(b["to"]))

    @case.figures
    def test_strategies_are_what_simulate_says(self):
        r = self.why()
        self.assertEqual([s["strategy"] for s in r["strategies"]], ["one device", "data", "sharded data", "pipeline", "tensor"])
        for s in r["strategies"]:
            with self.subTest(s["strategy"]):
                said = self.yoke("simulate", "job.yaml", "--machine", "m.yaml", "--layout", s["layout"])
                self.assertTrue(s["possible"] and s["fits"])
                self.assertAlmostEqual(said["step_ms"], s["step_ms"], delta=1e-9 * s["step_ms"])
                self.assertEqual(max(stage["peak_bytes"] for stage in said["stages"]), s["peak_bytes"])
                self.assertEqual(said["moved_bytes_per_step"], s["moved_bytes_per_step"])
                self.assertEqual(said["devices"], s["devices"])
                cause = max(said["shares"], key=said["shares"].get)
                self.assertEqual(s["limit"], f"{cause}, {100 * said['shares'][cause]:.0f} % of the step")
                self.assertLessEqual(r["chosen"]["step_ms"], s["step_ms"] * (1 + 1e-9))
        # heads are 4, layers 4: not all devices
        self.assertEqual([s["devices"] for s in r["strategies"]], [1, 8, 8, 4, 4])
        self.assertIn("it is the data that one device is slow with", r["why"][0])

    def test_what_does_not_fit(self):
        """The model's states are more than a device has; then a batch's activations are; figures are those of devices with room."""
        whole = self.why()["strategies"][0]["bytes"]
        states = whole["weights"] + whole["gradients"] + whole["optimizer"]
        r = self.why(memory=int(states * .8))
        self.assertIn("it is the model that one device cannot take", r["why"][0])
        fits = {s["strategy"]: s["fits"] for s in r["strategies"]}
        self.assertEqual((fits["one device"], fits["data"], fits["sharded data"]), (False, False, True))
        one = r["strategies"][0]
        self.assertGreater(one["peak_bytes"], int(states * .8))
        self.yoke("simulate", "job.yaml", "--machine", "m.yaml", "--layout", one["layout"], code=(3,))
        self.files()
        self.assertAlmostEqual(self.step(one["layout"]), one["step_ms"], delta=1e-9 * one["step_ms"])
        r = self.why(memory=int(states * 1.02))
        self.assertIn("activations that one device cannot take", r["why"][0])
        self.assertFalse(r["strategies"][0]["fits"])
        r = self.why(memory=int(states + whole["activations"] * .5))
        self.assertTrue(r["strategies"][0]["fits"], r["strategies"][0])
        self.assertIn("in micro-batches", r["why"][0])

    @case.figures
    def test_points_where_the_choice_changes(self):
        seen = set()
        states = self.why()["strategies"][0]["bytes"]
        states = states["weights"] + states["gradients"] + states["optimizer"]
        for figures in ({}, {"near": 10**10, "far": 10**8, "batch": 16}, {"far": 10**10, "batch": 8, "memory": states * 3 // 4},
                        {"family": "llama", "hidden": ", hidden: 96", "rate": 5000, "memory": states // 2},
                        {"width": 16, "layers": 2, "batch": 8, "rate": 5000}):
            r = self.why(**figures)
            self.check_points(r, figures)
            seen |= {b["parameter"] for b in r["break_even"]}
        self.assertGreaterEqual(len(seen), 5, seen)

    def test_one_device_and_layers_by_hand(self):
        self.files()
        r = self.yoke("plan", "job.yaml", "--machine", "m.yaml", "--devices", 1, "--why")
        self.assertEqual([s["strategy"] for s in r["strategies"]], ["one device"])
        self.assertIn("neither model nor data are too much for it", r["why"][0])
        self.write("hand.yaml", "model: {family: layers, input: [8], layers: [{type: linear, out: 8, device: 0}, {type: linear, out: 4, device: 1}]}\n"
                                "data: {format: random}\ntrain: {steps: 1, batch: 8, loss: mse, optimizer: {name: sgd, lr: 0.1}}\n")
        r = self.yoke("plan", "hand.yaml", "--machine", "m.yaml", "--devices", 2, "--why")
        self.assertEqual([s["strategy"] for s in r["strategies"] if s["possible"]], [])
        self.assertIn("layers name theirs", r["why"][0])

    def test_a_job_that_names_its_layout(self):
        """Texts overrule what the file says; sentences are short all the same."""
        self.files()
        with open(self.path("job.yaml"), "a") as f:
            f.write("layout: {dp: 2, microbatches: 4}\n")
        named = self.yoke("plan", "job.yaml", "--machine", "m.yaml", "--why")
        self.files()
        plain = self.yoke("plan", "job.yaml", "--machine", "m.yaml", "--why")
        self.assertEqual(named["why"], plain["why"])
        for s in named["strategies"]:
            self.assertAlmostEqual(self.step(s["layout"]), s["step_ms"], delta=1e-9 * s["step_ms"])


if __name__ == "__main__":
    unittest.main()
