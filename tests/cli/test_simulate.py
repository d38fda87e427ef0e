"""yoke simulate from outside: its bytes are those that train moves and holds, and its times obey what needs no measurement.
test_simulate.py YOKE"""
import json
import subprocess
import sys
import unittest

import case

YOKE = sys.argv.pop(1)
KINDS = ("weights", "gradients", "optimizer", "activations")
MACHINE = """name: {name}
device: {{name: d, memory: {memory}, rates: {{f32: 10 TFLOP/s{bf16}}}, bandwidth: 1000 GB/s, launch: {launch}}}
levels:
  - {{name: near, count: {near}, bandwidth: {bandwidth} GB/s, latency: 2 us}}
  - {{name: far, count: {far}, bandwidth: 100 GB/s, latency: 5 us}}
"""
JOB = """model: {{family: {family}, {hidden}layers: 4, heads: 4, width: 32, context: 16, vocab: 64}}
data: {{format: random}}
train: {{steps: 2, batch: {batch}, sequence: 16, loss: cross_entropy, precision: {precision}, optimizer: {{name: {optimizer}, lr: 1e-3}}, clip: 1.0}}
"""


class Described(case.Folder):
    """Jobs on described machines."""

    def yoke(self, *arguments, code=0):
        done = subprocess.run([YOKE, *map(str, arguments), "--json", "-"], capture_output=True, text=True, timeout=300, cwd=self.dir)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)

    def job(self, family="gpt2", batch=16, precision="f32", optimizer="adamw"):
        self.write("job.yaml", JOB.format(family=family, optimizer=optimizer, hidden="hidden: 24, " if family == "llama" else "", batch=batch, precision=precision))
        return "job.yaml"

    def machine(self, name="m", memory="4TB", bf16=", bf16: 100 TFLOP/s", launch="0 us", near=4, far=2, bandwidth=200, more=""):
        self.write(f"{name}.yaml", MACHINE.format(**{k: v for k, v in locals().items() if k != "self"}) + more)
        return f"{name}.yaml"

    def simulate(self, job, machine, *layout):
        s = self.yoke("simulate", job, "--machine", machine, *layout)
        self.assertAlmostEqual(sum(s["shares"].values()), 1, delta=1e-9, msg=str(layout))
        self.assertGreaterEqual(min(s["shares"].values()), 0)
        return s


class Simulate(Described):
    def test_devices_there_have_numbers(self):
        """A device that is not here is none of this machine's."""
        job, machine = self.job(), self.machine(memory="100kB", near=8)
        for command in ("simulate", "explain"):
            said = self.yoke(command, job, "--machine", machine, "--dp", 2, code=3)["error"]["message"]
            self.assertRegex(said, r"^device 0, the first device, holds ")
        self.assertRegex(self.yoke("train", job, "--device-memory", "100kB", code=3)["error"]["message"], "^cpu:0 holds ")

    def test_the_tightest_device_is_named(self):
        """Both lack memory: the one that lacks most stands in the sentence."""
        self.write("hand.yaml", "model: {family: layers, input: [8], layers: [{type: linear, out: 8, device: 0}, {type: linear, out: 4000, device: 1}]}\n"
                                "data: {format: random}\ntrain: {steps: 1, batch: 8, loss: mse, optimizer: {name: sgd, lr: 0.1}}\n")
        said = self.yoke("simulate", "hand.yaml", "--machine", self.machine(), "--device-memory", "256", code=3)["error"]["message"]
        self.assertRegex(said, r"^\S*?(cpu:|device )1 holds layers 1 ")

    @case.figures
    def test_bytes_are_those_of_training(self):
        """What moves along each axis and what each stage holds, by kind, of every kind of layout."""
        machine = self.machine(near=8)
        layouts = ["", "dp=2", "dp=3,zero=1", "dp=2,zero=2,microbatches=2", "dp=2,zero=3", "tp=2", "tp=2,sp=true", "pp=2,microbatches=4",
                   "pp=2,microbatches=4,schedule=zb-h1", "pp=2,chunks=2,microbatches=4,schedule=interleaved", "cp=2", "dp=2,tp=2",
                   "dp=2,pp=2,microbatches=2,zero=1", "tp=2,pp=2,microbatches=2,recompute=full", "dp=2,cp=2,recompute=selective"]
        for family, batch, precision in (("gpt2", 16, "f32"), ("gpt2", 7, "bf16"), ("llama", 9, "f32")):
            for layout in layouts:
                self.holds_and_moves_as_it_runs(machine, layout, family, batch, precision)

    @case.figures
    def test_bytes_of_every_optimizer(self):
        """What updates whole matrices, or keeps other states, at a step's end."""
        machine = self.machine(near=8)
        for optimizer in ("sgd", "adam", "lion", "muon"):
            for layout in ("", "dp=2,zero=1", "dp=2,zero=2", "dp=3,zero=3", "dp=2,tp=2,zero=2", "pp=2,microbatches=2"):
                self.holds_and_moves_as_it_runs(machine, layout, optimizer=optimizer)

    def holds_and_moves_as_it_runs(self, machine, layout, *of, **more):
        job, flags = self.job(*of, **more), ["--layout", layout] if layout else []
        with self.subTest(of=of, layout=layout, **more):
            ran, said = self.yoke("train", job, *flags, "--threads", 1), self.simulate(job, machine, *flags)
            self.assertEqual(ran["moved_by_axis"], said["moved_by_axis"])
            self.assertEqual(ran["moved_bytes_per_step"], said["moved_bytes_per_step"])
            stages = len(said["stages"])
            for i, stage in enumerate(said["stages"]):
                devices = [d for d in ran["devices"] if d["place"]["pp"] == i] if stages > 1 else ran["devices"]
                held = [[d["bytes"][k] for k in KINDS] for d in devices]
                self.assertIn([stage[k] for k in KINDS], held)

    @case.figures
    def test_contention_lasts_as_long_as_what_moves(self):
        """A product that is slowed while little moves ends when it is done, not when it would have been, had that gone on."""
        self.job()
        for contention in (0, 0.95):
            self.write(f"c{contention}.yaml", "name: slow\ndevice: {name: d, memory: 4GB, rates: {f32: 10 GFLOP/s}, bandwidth: 1 GB/s, launch: 0 us}\n"
                                              f"levels: [{{name: near, count: 2, bandwidth: 1000 GB/s, latency: 1 ns}}]\ncontention: {contention}\n")
        for layout in ("dp=2", "dp=2,zero=3", "pp=2,microbatches=4"):
            free, slowed = (self.simulate("job.yaml", f"c{c}.yaml", "--layout", layout)["step_ms"] for c in (0, 0.95))
            self.assertTrue(free <= slowed <= 1.02 * free, (layout, free, slowed))

    @case.figures
    def test_devices_share_the_work(self):
        """Over links that cost nothing n replicas take an nth, and a slow one makes all wait for it."""
        job = self.job(batch=64)
        one = self.simulate(job, self.machine())
        self.assertAlmostEqual(one["idle_fraction"], 0, delta=1e-12)
        fast = self.machine("fast", bandwidth=1e9).replace(".yaml", "")
        text = self.read(fast + ".yaml").replace("2 us", "0 us").replace("5 us", "0 us")
        self.write("fast.yaml", text)
        four = self.simulate(job, "fast.yaml", "--dp", 4)
        bodies = one["step_ms"] * (one["shares"]["compute"])
        self.assertAlmostEqual(four["step_ms"] * four["shares"]["compute"], bodies / 4, delta=bodies * 0.2)
        self.write("slow.yaml", text + "exceptions:\n  - {device: 2, slower: 3.0}\n")
        slow = self.simulate(job, "slow.yaml", "--dp", 4)
        self.assertAlmostEqual(slow["step_ms"], 3 * four["step_ms"], delta=1e-6 * slow["step_ms"])
        self.assertAlmostEqual(slow["shares"]["straggler"], 2 / 3, delta=1e-6)

    @case.figures
    def test_links(self):
        """Bytes over bandwidth: a slow link is what the step waits for, and a dead adapter slows the groups that use it."""
        job = self.job(batch=64)
        fast = self.simulate(job, self.machine(), "--dp", 8)
        slow = self.simulate(job, self.machine("slow", more="exceptions:\n  - {level: far, group: 1, bandwidth: 1 GB/s}\n"), "--dp", 8)
        self.assertGreater(slow["shares"]["exposed_dp"], fast["shares"]["exposed_dp"])
        self.assertGreater(slow["step_ms"], fast["step_ms"])
        near = self.simulate(job, self.machine("near", far=1), "--dp", 4)
        self.assertEqual(near["stages"], self.simulate(job, self.machine("other", far=1, bandwidth=1), "--dp", 4)["stages"])

    @case.figures
    def test_pipelines(self):
        """gpipe over p stages in m micro-batches idles (p - 1) / (m + p - 1) of the time, where stages are equal."""
        self.write("layers.yaml", "model:\n  family: layers\n  input: [256]\n  layers:\n" + "    - {type: linear, out: 256}\n" * 8 +
                   "data: {format: random, samples: 64}\ntrain: {steps: 1, batch: 64, loss: mse, optimizer: {name: sgd, lr: 0.1}}\n")
        text = self.read(self.machine("fast", bandwidth=1e9)).replace("2 us", "0 us").replace("5 us", "0 us")
        self.write("fast.yaml", text)
        for stages, micro in ((2, 4), (4, 8), (2, 16)):
            s = self.simulate("layers.yaml", "fast.yaml", "--pp", stages, "--microbatches", micro, "--schedule", "gpipe")
            works = 1 - s["shares"]["optimizer"] - s["shares"]["imbalance"] - s["shares"]["other"]
            self.assertAlmostEqual(s["shares"]["fill_drain"] / works, (stages - 1) / (micro + stages - 1), delta=0.06, msg=str(s["shares"]))

    @case.figures
    def test_launches(self):
        """What a kernel costs whatever its size."""
        job = self.job()
        none, some = self.simulate(job, self.machine()), self.simulate(job, self.machine("slow", launch="50 us"))
        self.assertEqual(none["shares"]["launch"], 0)
        self.assertAlmostEqual(some["step_ms"] * some["shares"]["launch"], some["step_ms"] - none["step_ms"], delta=1e-9 * some["step_ms"])

    @case.figures
    def test_causes_are_named_first(self):
        """Faults that were planted in a layout or a machine; and a change that is suggested brings what simulate says."""
        job = self.job(batch=64)
        slow_links, straggler = self.machine("links", bandwidth=0.01, far=1), self.machine("slow", more="exceptions:\n  - {device: 2, slower: 2.5}\n")
        self.write("uneven.yaml", "model:\n  family: layers\n  input: [64]\n  layers:\n" + "".join(
            f"    - {{type: linear, out: 1024, device: {device}}}\n" for device in (0, 1, 1, 1, 1, 1)) +
            "data: {format: random, samples: 64}\ntrain: {steps: 1, batch: 64, loss: mse, optimizer: {name: sgd, lr: 0.1}}\n")
        fast = self.machine("fast", near=2, far=1)
        for cause, of, machine, *layout in (("fill_drain", job, fast, "--pp", 2, "--microbatches", 1),
                                            ("exposed_dp", job, slow_links, "--dp", 4), ("exposed_tp", job, slow_links, "--tp", 4),
                                            ("straggler", job, straggler, "--dp", 4),
                                            ("imbalance", "uneven.yaml", fast, "--microbatches", 16),
                                            ("launch", job, self.machine("late", launch="1 ms"), "--dp", 2)):
            with self.subTest(cause=cause):
                e = self.yoke("explain", of, "--machine", machine, *layout)
                self.assertEqual(e["findings"][0]["cause"], cause, e["shares"])
                self.assertEqual(e["shares"], self.simulate(of, machine, *layout)["shares"])
                lost = [f["share"] for f in e["findings"] if f["cause"] not in ("compute", "optimizer")]
                self.assertEqual(lost, sorted(lost, reverse=True))
                where = e["findings"][0]["where"]
                self.assertEqual((where["device"], where["stage"]), {"straggler": (2, None), "imbalance": (None, 1)}.get(cause, (None, None)))
                for change in e["changes"]:
                    if change["flags"]:
                        then = self.simulate(of, machine, *change["flags"].split())["step_ms"]
                        self.assertAlmostEqual(change["step_ms"], then, delta=1e-9 * then)
                        self.assertAlmostEqual(change["gain"], e["step_ms"] / then, delta=1e-9 * change["gain"])
                        self.assertLess(then, e["step_ms"])

    def test_wrong_uses(self):
        """One sentence each, and the contract's codes."""
        job = self.job()
        for code, words, *arguments in ((2, "--machine", job), (2, "nowhere.yaml", job, "--machine", "nowhere.yaml"),
                                        (3, "16 devices", job, "--machine", self.machine(), "--dp", 16),
                                        (3, "short", job, "--machine", self.machine("small", memory="200kB")),
                                        (2, "bf16", self.job(precision="bf16"), "--machine", self.machine("f32", bf16=""))):
            error = self.yoke("simulate", *arguments, code=code)["error"]
            self.assertIn(words, error["message"])


class Plan(Described):
    @case.figures
    def test_plan_is_what_simulate_says(self):
        job, machine = self.job(), self.machine()
        p = self.yoke("plan", job, "--machine", machine, "--top", 7)
        self.assertEqual(p["chosen"], p["candidates"][0])
        self.assertEqual(len(p["candidates"]), 7)
        self.assertEqual([c["step_ms"] for c in p["candidates"]], sorted(c["step_ms"] for c in p["candidates"]))
        for c in p["candidates"]:
            s = self.yoke("simulate", job, "--machine", machine, *(["--layout", c["layout"]] if c["layout"] else []))
            self.assertAlmostEqual(s["step_ms"] / c["step_ms"], 1, places=9)
            self.assertEqual(max(x["peak_bytes"] for x in s["stages"]), c["peak_bytes"])

    def test_nothing_fits(self):
        e = self.yoke("plan", self.job(), "--machine", self.machine(memory="20kB"), code=3)["error"]
        self.assertRegex(e["message"], "no layout over 8 devices fits.* short")

    def test_this_host(self):
        p = self.yoke("plan", self.job(), "--devices", 2, "--device-memory", "1GB")
        self.assertLessEqual(p["chosen"]["peak_bytes"], 1e9)
        self.assertIn("--devices", self.yoke("plan", self.job(), code=2)["error"]["message"])


if __name__ == "__main__":
    unittest.main()
