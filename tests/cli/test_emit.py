"""yoke plan --emit from outside: the flags of other programs say what the layout that was chosen says, and what they cannot say is named.
test_emit.py YOKE"""
import json
import subprocess
import sys
import unittest

import case

YOKE = sys.argv.pop(1)
MACHINE = """name: m
device: {{name: d, memory: {memory} B, rates: {{f32: 50 GFLOP/s, bf16: 100 GFLOP/s}}, bandwidth: 50 GB/s, launch: 1 us}}
levels: [{{name: near, count: {count}, bandwidth: {link}, latency: 2 us}}]
"""
JOB = """model: {{family: gpt2, layers: 4, heads: 4, width: 64, context: 32, vocab: 64}}
data: {{format: random}}
train: {{steps: 1, batch: {batch}, sequence: 32, loss: cross_entropy, precision: {precision}, optimizer: {{name: adamw, lr: 1e-3}}}}
"""
TITAN = {"1f1b": "1F1B", "interleaved": "Interleaved1F1B", "zb-v": "ZBVZeroBubble"}


def value(flags, name, join):
    """Of a flag that is there once; None where it is not; "" where it has none."""
    found = [f.partition(join)[2] for f in flags if f.partition(join)[0] == name]
    return found[0] if len(found) == 1 else None if not found else "twice"


class Emit(case.Folder):
    def plan(self, program, batch, precision, memory, count, link):
        self.write("job.yaml", JOB.format(batch=batch, precision=precision))
        self.write("m.yaml", MACHINE.format(memory=memory, count=count, link=link))
        done = subprocess.run([YOKE, "plan", "job.yaml", "--machine", "m.yaml", "--emit", program, "--json", "-"], capture_output=True, text=True,
                              timeout=300, cwd=self.dir)
        self.assertEqual(done.returncode, 0, done.stderr)
        r = json.loads(done.stdout)
        return r["chosen"], r["emit"]

    CASES = [(batch, precision, memory, count, link) for batch, precision, memory, count, link in (
        (32, "bf16", 10**9, 4, "10 GB/s"), (32, "f32", 10**9, 1, "1 GB/s"), (2, "f32", 10**9, 4, "1000 GB/s"), (32, "f32", 1200000, 4, "1 GB/s"),
        (8, "f32", 1500000, 4, "20 MB/s"), (32, "f32", 1300000, 4, "100 MB/s"), (16, "f32", 10**9, 4, "3 MB/s"), (4, "f32", 10**9, 8, "100 GB/s"), (1, "f32", 1400000, 4, "100 GB/s"))]

    def test_torchtitan(self):
        kinds = set()
        for c in self.CASES:
            chosen, emit = self.plan("torchtitan", *c)
            mesh, flags, m = chosen["mesh"], emit["flags"], chosen["microbatches"]
            of = lambda name: value(flags, name, "=")
            with self.subTest(layout=chosen["layout"], flags=flags):
                sharded = mesh["dp"] if chosen["zero"] else 1
                self.assertEqual(emit["ranks"], mesh["dp"] * mesh["tp"] * mesh["pp"] * mesh["cp"])
                self.assertEqual(of("--parallelism.data_parallel_shard_degree"), str(sharded))
                self.assertEqual(of("--parallelism.data_parallel_replicate_degree"), str(mesh["dp"] // sharded))
                self.assertEqual(of("--parallelism.fsdp_reshard_after_forward"), None if sharded == 1 else "always" if chosen["zero"] == 3 else "never")
                self.assertEqual(of("--parallelism.tensor_parallel_degree"), str(mesh["tp"]))
                self.assertEqual(of("--parallelism.no_enable_sequence_parallel"), "" if mesh["tp"] > 1 and not chosen["sp"] else None)
                self.assertEqual(of("--parallelism.pipeline_parallel_degree"), str(mesh["pp"]))
                self.assertEqual(of("--parallelism.context_parallel_degree"), str(mesh["cp"]))
                self.assertEqual(of("--activation_checkpoint.mode"), chosen["recompute"])
                self.assertEqual(of("--training.global_batch_size"), str(c[0]))
                self.assertEqual(of("--training.seq_len"), "32")
                self.assertEqual(of("--training.mixed_precision_param"), "bfloat16" if c[1] == "bf16" else "float32")
                if mesh["pp"] > 1:
                    self.assertEqual(of("--parallelism.pipeline_parallel_schedule"), TITAN.get(chosen["schedule"]))
                    self.assertEqual(of("--parallelism.num_pp_microbatches"), str(m))
                    self.assertEqual(of("--training.local_batch_size"), str(c[0] // mesh["dp"]))
                else:
                    self.assertEqual(of("--training.local_batch_size"), str(c[0] // mesh["dp"] // m))
                said = " ".join(emit["missing"])
                self.assertEqual("zero=1" in said, sharded > 1 and chosen["zero"] == 1)
                self.assertEqual("schedule" in said, mesh["pp"] > 1 and chosen["schedule"] not in TITAN)
                kinds |= {axis for axis in mesh if mesh[axis] > 1} | {f"zero{chosen['zero']}"}
        self.assertLessEqual({"dp", "tp", "pp"}, kinds, kinds)

    def test_megatron(self):
        for c in self.CASES:
            chosen, emit = self.plan("megatron", *c)
            mesh, flags = chosen["mesh"], emit["flags"]
            of = lambda name: value(flags, name, " ")
            with self.subTest(layout=chosen["layout"], flags=flags):
                zero = chosen["zero"] if mesh["dp"] > 1 else 0
                self.assertEqual(of("--tensor-model-parallel-size"), str(mesh["tp"]))
                self.assertEqual(of("--pipeline-model-parallel-size"), str(mesh["pp"]))
                self.assertEqual(of("--context-parallel-size"), str(mesh["cp"]))
                self.assertEqual(of("--sequence-parallel"), "" if chosen["sp"] else None)
                self.assertEqual(of("--use-distributed-optimizer"), "" if zero else None)
                self.assertEqual(of("--use-megatron-fsdp"), "" if zero > 1 else None)
                self.assertEqual(of("--data-parallel-sharding-strategy"), (None, None, "optim_grads", "optim_grads_params")[zero])
                self.assertEqual(of("--recompute-granularity"), None if chosen["recompute"] == "none" else chosen["recompute"])
                self.assertEqual(of("--num-virtual-stages-per-pipeline-rank"), str(chosen["chunks"]) if chosen["schedule"] == "interleaved" else None)
                self.assertEqual(of("--micro-batch-size"), str(c[0] // mesh["dp"] // chosen["microbatches"]))
                self.assertEqual(of("--global-batch-size"), str(c[0]))
                self.assertEqual(of("--bf16"), "" if c[1] == "bf16" else None)
                self.assertEqual(any("schedule" in s for s in emit["missing"]), mesh["pp"] > 1 and chosen["schedule"] not in ("1f1b", "interleaved"))

    def test_what_is_refused_or_missing(self):
        self.write("job.yaml", JOB.format(batch=8, precision="f32"))
        done = subprocess.run([YOKE, "plan", "job.yaml", "--devices", "1", "--emit", "deepspeed"], capture_output=True, text=True, cwd=self.dir)
        self.assertEqual(done.returncode, 2)
        self.assertIn("torchtitan or megatron", done.stderr)
        self.write("mlp.yaml", "model: {family: layers, input: [8], layers: [{type: linear, out: 4}]}\n"
                               "data: {format: random}\ntrain: {steps: 1, batch: 8, loss: mse, optimizer: {name: sgd, lr: 0.1}}\n")
        for program in ("torchtitan", "megatron"):
            done = subprocess.run([YOKE, "plan", "mlp.yaml", "--devices", "1", "--emit", program], capture_output=True, text=True, cwd=self.dir)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"\n{program}, 1 rank:\n", done.stdout)
            self.assertIn("no counterpart: model.family layers", done.stdout)


if __name__ == "__main__":
    unittest.main()
