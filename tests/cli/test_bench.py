"""yoke bench from outside: what it measures is physical, what it writes reads back and is what predictions are made of.
test_bench.py YOKE [BUILD]. No time is held against another: the machine may be busy."""
import json
import os
import subprocess
import sys
import unittest

import case

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mpi"))
import launch

BUILD = os.path.abspath(sys.argv.pop(2))
YOKE = os.path.abspath(sys.argv.pop(1))
JOB = """model: {family: gpt2, layers: 1, heads: 2, width: 24, context: 8, vocab: 32}
data: {format: random}
train: {steps: 2, batch: 6, sequence: 8, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-3}, clip: 1.0}
checkpoint: {dir: saves, every: 1}
"""
KEYS = {"products", "memory", "kernels", "collectives", "contention", "shared_rate", "launch_us", "step_us", "seconds", "noise", "file"}


class Bench(case.Folder):
    def yoke(self, *arguments, code=0, before=()):
        done = subprocess.run([*before, YOKE, *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=self.dir,
                              env={**launch.environment(BUILD), "XDG_DATA_HOME": self.dir})
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def bench(self, *arguments, before=()):
        return json.loads(self.yoke("bench", "--quick", *arguments, "--json", "-", before=before).stdout)

    def test_measures_and_predicts(self):
        """Text, keys, ranges; the file is where `here` is looked for, and reads back."""
        r = self.bench()
        self.assertLessEqual(KEYS, set(r))
        self.assertEqual(r["file"], self.path("yoke", "machine.yaml"))
        self.assertEqual({p["dtype"] for p in r["products"]}, {"f32", "bf16"})
        for p in r["products"]:
            self.assertGreater(min(p["m"], p["n"], p["k"], p["threads"]), 0)
            self.assertTrue(1e6 < p["flop_s"] < 1e14, p)
        self.assertTrue(1e8 < r["memory"]["bytes_s"] < 1e13)
        names = {k["name"] for k in r["kernels"]}
        self.assertLessEqual({"layernorm", "activation", "adam", "attention", "cross_entropy.grad", "embedding"}, names)
        self.assertTrue(all(1e3 < k["bytes_s"] < 1e13 for k in r["kernels"]))
        self.assertLessEqual({"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "copy"}, {c["op"] for c in r["collectives"]})
        self.assertTrue(all(c["us"] > 0 and c["bytes"] > 0 and c["ranks"] >= 2 for c in r["collectives"]))
        self.assertTrue(0 <= r["contention"] < 1)
        self.assertTrue(all(0 < v <= 1 for v in r["shared_rate"].values()) and r["shared_rate"])
        machine = json.loads(self.yoke("devices", "--machine", "here", "--json", "-").stdout)["machine"]
        self.assertEqual(machine["measured"]["command"], "yoke bench --quick")
        self.write("job.yaml", JOB)
        for layout in ([], ["--dp", 2], ["--tp", 2, "--precision", "bf16"]):
            s = json.loads(self.yoke("simulate", "job.yaml", "--machine", "here", *layout, "--json", "-").stdout)
            self.assertTrue(s["calibrated"] and s["step_ms"] > 0)
            self.assertAlmostEqual(sum(s["shares"].values()), 1, delta=1e-9)

    def test_parts(self):
        """A part alone is measured alone; what was measured before stays."""
        alone = self.bench("--only", "memory")
        self.assertTrue(alone["memory"]["bytes_s"] > 0 and not alone["products"] and not alone["kernels"] and not alone["collectives"])
        self.assertIsNone(alone["file"])
        self.assertFalse(os.path.exists(self.path("yoke")))
        whole = self.bench("--out", "m.yaml")
        before = self.read("m.yaml")
        again = self.bench("--only", "collectives", "--out", "m.yaml")
        self.assertTrue(again["collectives"] and not again["kernels"])
        rows = [line for line in before.splitlines() if line.startswith("  - {name:") and "type:" in line]
        self.assertEqual(rows, [line for line in self.read("m.yaml").splitlines() if line.startswith("  - {name:") and "type:" in line])
        self.assertGreater(len(rows), 50)
        products = self.bench("--only", "products", "--out", "m.yaml")
        self.assertTrue(products["products"] and not products["kernels"] and not products["memory"])
        self.assertTrue(whole["products"])

    def test_a_jobs_shapes(self):
        """Those of the job are among what was measured; nothing of it is saved."""
        self.write("job.yaml", JOB)
        shapes = {(p["m"], p["n"], p["k"]) for p in self.bench("--job", "job.yaml", "--only", "products")["products"]}
        for shape in ((48, 72, 24), (48, 96, 24), (48, 24, 96), (48, 32, 24)):
            self.assertIn(shape, shapes)
        self.assertFalse(os.path.exists(self.path("saves")))

    def test_refused(self):
        for arguments, says in ((["--only", "links"], "--only takes products, memory, kernels or collectives, not 'links'"),
                                (["--job", "none.yaml"], "none.yaml"), (["x"], "too many"), (["--only"], "--only")):
            self.assertIn(says, self.yoke("bench", *arguments, code=2).stderr)
        self.write("bad.yaml", "name: 3\n")
        self.assertIn("bad.yaml", self.yoke("bench", "--only", "memory", "--out", "bad.yaml", code=2).stderr)
        self.assertIn("nowhere", self.yoke("bench", "--quick", "--out", "nowhere/m.yaml", code=2).stderr)

    def test_under_mpi(self):
        """Movements between processes; one of them speaks and writes."""
        for mpi in ("openmpi", "mpich"):
            command = launch.command(mpi, 2)
            if not command:
                continue
            with self.subTest(mpi=mpi):
                r = self.bench("--only", "collectives", before=command)
                self.assertEqual({c["level"] for c in r["collectives"]}, {"mpi"})
                self.assertEqual({c["ranks"] for c in r["collectives"]}, {2})
                self.bench("--out", mpi + ".yaml", before=command)
                self.write("job.yaml", JOB)
                s = json.loads(self.yoke("simulate", "job.yaml", "--machine", mpi + ".yaml", "--dp", 2, "--json", "-").stdout)
                self.assertGreater(s["shares"]["exposed_dp"], 0)


if __name__ == "__main__":
    unittest.main()
