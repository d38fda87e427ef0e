"""Reads with TensorBoard what yoke wrote for it: check_tensorboard.py YOKE. Where Python has no tensorboard
(scripts/venv puts it into build/venv) it says so: under ./check a failure, else exit code 77 (skipped)."""
import glob
import json
import os
import subprocess
import sys
import tempfile

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.compat.proto import event_pb2
except ImportError as error:
    venv = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/venv")
    if os.path.exists(venv + "/bin/python3") and os.path.realpath(sys.prefix) != os.path.realpath(venv):
        os.execv(venv + "/bin/python3", [venv + "/bin/python3", *sys.argv])
    print(f"skipped: {error}; it needs the package tensorboard")
    sys.exit(1 if "YOKE_CHECK" in os.environ else 77)

from event_file import records

JOB = """model: {family: gpt2, layers: 2, heads: 2, width: 16, context: 16, vocab: 64}
data: {format: random, samples: 32}
train: {steps: 12, batch: 4, sequence: 16, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-3}}
checkpoint: {dir: ck, every: 4}
"""


def main():
    yoke = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "job.yaml"), "w") as f:
            f.write(JOB)
        command = [yoke, "train", "job.yaml", "--dp", "2", "--log", "run.jsonl", "--tensorboard", "tb"]
        for more in (["--stop-after", "9"], ["--resume", "ck/step-00000004", "--overwrite"]):  # steps 4 .. 8 twice
            subprocess.run(command + more, cwd=folder, check=True, capture_output=True)
        for path in glob.glob(os.path.join(folder, "tb", "*")):
            with open(path, "rb") as f:
                for record in records(f.read()):
                    event = event_pb2.Event.FromString(record)
                    assert event.SerializeToString() == record, "fields that TensorBoard does not know"
        accumulator = EventAccumulator(os.path.join(folder, "tb"))
        accumulator.Reload()
        names = ["loss", "lr", "gradient_norm", "samples_per_s", "tokens_per_s", "share_of_peak"]
        assert sorted(accumulator.Tags()["scalars"]) == sorted(names), accumulator.Tags()
        with open(os.path.join(folder, "run.jsonl")) as f:
            lines = [json.loads(line) for line in f]
        logged = {l["step"]: l for l in lines if "event" not in l}  # the later of two
        for name in names:
            scalars = accumulator.Scalars(name)
            assert [s.step for s in scalars] == list(range(12)), (name, [s.step for s in scalars])
            for s in scalars:
                want = logged[s.step][name]
                assert abs(s.value - want) <= 1e-6 * abs(want), (name, s.step, s.value, want)
                assert abs(s.wall_time - logged[s.step]["time"]) < 1
    print(f"TensorBoard reads {', '.join(names)} of 12 steps")


main()
