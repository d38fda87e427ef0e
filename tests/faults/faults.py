"""What the tests of faults share: a small job whose every run can be told from every other, and runs of it under the
shim (shim.c)."""
import json, os, re, signal, subprocess, tempfile

JOB = """
model:
  family: layers
  input: [5]
  layers:
    - {type: linear, out: 7}
    - {type: batchnorm}
    - {type: relu}
    - {type: dropout, p: 0.1}
    - {type: linear, out: 3, bias: false}
data: {format: random, samples: 50}
train: {steps: %(steps)d, batch: 12, optimizer: {name: adamw, lr: 1e-2}}
layout: {threads: 1}
checkpoint: {dir: ck, every: %(every)d, keep: %(keep)d}
"""
# In memory where there is a place: a disk takes its time to make and remove folders.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
STEP = re.compile(r"step-(\d{8})$")


class Ended:
    """A run that ended: its code (negative: the signal), what it said, and the steps that it did."""

    def __init__(self, code, err, report):
        self.code, self.err, self.report = code, err, report
        told = re.findall(r"^step +(\d+)/", err, re.M)
        self.last_step = int(told[-1]) if told else None
        taken = re.search(r"resumed from \S*step-(\d{8})", err)
        self.resumed = int(taken.group(1)) if taken else None

    @property
    def final_loss(self):
        return self.report.get("final_loss")


class Place:
    """A folder with the job, and its runs."""

    def __init__(self, yoke, shim, folder, steps=4, every=2, keep=2, flags=()):
        self.yoke, self.shim, self.folder, self.flags = yoke, shim, str(folder), list(flags)
        self.checkpoints = os.path.join(self.folder, "ck")
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "job.yaml"), "w") as out:
            out.write(JOB % dict(steps=steps, every=every, keep=keep))

    def environment(self, fault):
        env = {k: v for k, v in os.environ.items() if not k.startswith("FAULT_")}
        if fault is None:
            return env
        env.update({"FAULT_" + k: str(v) for k, v in fault.items()})
        env.update(FAULT_FOLDER=self.checkpoints, LD_PRELOAD=self.shim)
        return env

    def command(self, resume=False, more=()):
        line = [self.yoke, "train", "job.yaml", "--json", "out.json", *self.flags, *more]
        return line + (["--resume", "ck"] if resume else [])

    def start(self, resume=False, fault=None, more=()):
        out = os.path.join(self.folder, "out.json")
        if os.path.exists(out):
            os.remove(out)
        return subprocess.Popen(self.command(resume, more), cwd=self.folder, env=self.environment(fault),
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def end(self, process, timeout=60):
        try:
            err = process.communicate(timeout=timeout)[1].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{self.folder}: hung: {process.communicate()[1]!r}")
        report = {}
        path = os.path.join(self.folder, "out.json")
        if process.returncode >= 0 and os.path.exists(path):
            with open(path) as text:
                report = json.load(text)
        return Ended(process.returncode, err, report)

    def run(self, resume=False, fault=None, more=()):
        return self.end(self.start(resume, fault, more))

    def calls(self, resume=False):
        """How many calls of a run the shim counts."""
        path = os.path.join(self.folder, "count")
        ended = self.run(resume, dict(COUNT=path))
        assert ended.code == 0, ended.err
        with open(path) as text:
            return int(text.read()), ended

    def names(self):
        return sorted(os.listdir(self.checkpoints)) if os.path.isdir(self.checkpoints) else []

    def newest(self):
        """The newest step whose name is there; a save's last act of all is to give it. None: there is none."""
        steps = [int(m.group(1)) for m in map(STEP.match, self.names()) if m]
        return max(steps, default=None)

    def state(self, step):
        with open(os.path.join(self.checkpoints, f"step-{step:08d}", "state.json")) as text:
            return json.load(text)


KILLED = -signal.SIGKILL
