#!/usr/bin/env python3
"""Trains through faults, and says what share of the time trained. Each round is a training of its own at four ranks,
through kills at a checkpoint's call or at any moment, stops (SIGSTOP, then a kill), a disk that is full for a while,
truncated files and flipped bits in the newest step; it must end with the loss of a run that nothing disturbed, bit for
bit. A seed gives the same choices again.

    soak.py YOKE SHIM [--faults 300] [--seed 1] [--folder /dev/shm]
"""
import argparse, os, random, re, shutil, signal, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "faults"))
from faults import KILLED, SCRATCH, Place

JOB = """
model: {family: gpt2, layers: 2, heads: 4, width: 64, context: 32, vocab: 256, dropout: 0.1}
data: {format: random, samples: 500}
train: {steps: %(steps)d, batch: 16, optimizer: {name: adamw, lr: 1e-3}, schedule: {name: cosine, warmup: 10}, clip: 1.0}
layout: {threads: 1}
checkpoint: {dir: ck, every: %(every)d, keep: %(keep)d}
"""
STEPS, EVERY, KEEP = 100, 5, 3
LAYOUTS = [["--dp", "4", "--zero", "1"], ["--dp", "2", "--tp", "2"], ["--dp", "4", "--zero", "3"],
           ["--pp", "2", "--dp", "2", "--microbatches", "2"]]
WAYS = [[], ["--set", "checkpoint.async=true"], ["--set", "checkpoint.async=true", "--set", "checkpoint.on_error=continue"],
        ["--set", "checkpoint.on_error=continue"]]


class Soak:
    def __init__(self, options):
        self.o, self.draw = options, random.Random(options.seed)
        self.base = tempfile.mkdtemp(prefix="yoke-soak-", dir=options.folder)
        self.faults, self.done, self.useful, self.steps_run = {}, 0, 0.0, 0
        self.clean = {}

    def place(self, name, flags):
        p = Place(self.o.yoke, self.o.shim, os.path.join(self.base, name), flags=flags)
        with open(os.path.join(p.folder, "job.yaml"), "w") as out:
            out.write(JOB % dict(steps=STEPS, every=EVERY, keep=KEEP))
        return p

    def clean_run(self, layout):
        if tuple(layout) not in self.clean:
            p = self.place("clean", layout)
            ended = p.run()
            assert ended.code == 0, ended.err
            shutil.rmtree(p.folder)
            self.clean[tuple(layout)] = ended.final_loss, ended.report["step_ms_median"] / 1000
        return self.clean[tuple(layout)]

    def count(self, kind):
        self.faults[kind] = self.faults.get(kind, 0) + 1
        self.done += 1

    # ---- what befalls a run; each returns how it ended ----

    def at_a_call(self, p, resume, kind):
        return p.run(resume, dict(AT=self.draw.randint(1, 500), KIND=kind))

    def at_a_moment(self, p, resume, stops):
        process = p.start(resume)
        saves, pause, since = self.draw.randint(0, 4), self.draw.random() * .05, p.newest() or 0
        until = time.time() + 30
        while process.poll() is None and (p.newest() or 0) < since + saves * EVERY and time.time() < until:
            time.sleep(.002)
        time.sleep(pause)
        if process.poll() is None and stops:
            process.send_signal(signal.SIGSTOP)
            time.sleep(.05)
        if process.poll() is None:
            process.kill()
        return p.end(process)

    def full_disk(self, p, resume):
        return p.run(resume, dict(AT=self.draw.randint(1, 300), CALLS=self.draw.choice([1, 5, 40]), KIND="full"))

    # ---- what befalls the newest step afterwards ----

    def file_of_newest(self, p):
        step = os.path.join(p.checkpoints, f"step-{p.newest():08d}")
        names = sorted(n for n in os.listdir(step) if n not in ("job.yaml", "config.json"))
        return step, self.draw.choice(names)

    def truncate(self, p):
        step, name = self.file_of_newest(p)
        path = os.path.join(step, name)
        os.truncate(path, self.draw.randrange(os.path.getsize(path)))
        self.count("truncated file")

    def flip(self, p):
        step, name = self.file_of_newest(p)
        with open(os.path.join(step, name), "r+b") as file:
            bytes_there = file.seek(0, os.SEEK_END)
            at = self.draw.randrange(bytes_there)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << self.draw.randrange(8)]))
        self.count("flipped bit")

    def refused(self, p, ended):
        """A step that is not what was saved is named; who runs the training takes it away."""
        named = re.search(r"(step-\d{8})(?:/\S+:| is incomplete)", ended.err)
        assert ended.code == 2 and named, f"{ended.code}: {ended.err}"
        assert named.group(1) in p.names(), ended.err
        shutil.rmtree(os.path.join(p.checkpoints, named.group(1)))

    def befall(self, p, resume):
        """One run with one fault; whether the training is done."""
        kind = self.draw.choice(["kill at a call", "torn write", "kill", "stop", "disk full"])
        before = p.newest() or 0
        ended = (self.at_a_call(p, resume, "kill") if kind == "kill at a call" else
                 self.at_a_call(p, resume, "torn") if kind == "torn write" else
                 self.at_a_moment(p, resume, kind == "stop") if kind in ("kill", "stop") else
                 self.full_disk(p, resume))
        self.steps_run += max(0, (ended.last_step or 0) - (ended.resumed or 0))
        if resume and ended.code == 2:
            self.refused(p, ended)
            return None
        if ended.code == 0:
            if "was not saved" in ended.err:
                self.count("disk full")
            return ended
        assert ended.code == (1 if kind == "disk full" else KILLED), f"{kind}: {ended.code}: {ended.err}"
        assert kind != "disk full" or "No space left" in ended.err, ended.err
        self.count(kind)
        assert (p.newest() or 0) >= before or "step-" in ended.err, f"{kind}: lost step {before}: {ended.err}"
        return None

    def round(self, number):
        layout, way = self.draw.choice(LAYOUTS), self.draw.choice(WAYS)
        loss, step_seconds = self.clean_run(layout)
        p = self.place(f"round-{number}", layout + way)
        ended = None
        while ended is None and self.done < self.o.faults:
            ended = self.befall(p, p.newest() is not None)
            if ended is None and p.newest() and self.draw.random() < .25 and self.done < self.o.faults:
                self.draw.choice([self.truncate, self.flip])(p)
        while ended is None:
            ended = p.run(p.newest() is not None)
            self.steps_run += max(0, (ended.last_step or 0) - (ended.resumed or 0))
            if p.newest() is not None and ended.code == 2:
                self.refused(p, ended)
                ended = None
        assert ended.code == 0, ended.err
        last = ended.final_loss if ended.final_loss is not None else p.state(STEPS)["last_loss"]
        assert last == loss, f"round {number}, {layout + way}: ends with {last}, not {loss}"
        self.useful += STEPS * step_seconds
        shutil.rmtree(p.folder)

    def run(self):
        started, rounds = time.time(), 0
        while self.done < self.o.faults:
            self.round(rounds)
            rounds += 1
        wall = time.time() - started
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(self.faults.items()))
        print(f"seed {self.o.seed}: {self.done} faults ({kinds}) in {rounds} trainings of {STEPS} steps at four ranks;")
        print(f"each ended with the loss of the undisturbed run, bit for bit")
        print(f"{rounds * STEPS} steps kept of {self.steps_run} run; {self.useful:.1f} s of {wall:.1f} s trained "
              f"({100 * self.useful / wall:.1f} %), a fault every {wall / max(1, self.done):.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("yoke", type=os.path.abspath)
    parser.add_argument("shim", type=os.path.abspath)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", default=SCRATCH)
    soak = Soak(parser.parse_args())
    try:
        soak.run()
    finally:
        shutil.rmtree(soak.base, ignore_errors=True)
