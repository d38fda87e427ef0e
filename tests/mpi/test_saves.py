"""Saves beside the run, over several processes: test_saves.py openmpi|mpich BUILD [SHIM]. The same bytes as saves between
steps, under whatever layout; steps go on while one process is held up in any phase of a save; disks that are full, signals
and kills in one process. Without the SHIM of tests/faults only the first. Exit code 77: no such MPI. Standard library only."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import launch
import test_train

MPI, BUILD = sys.argv[1], os.path.abspath(sys.argv[2])
SHIM = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else None
# In memory where there is a place: what takes its time here are processes, not a disk
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
FILES = ["model.safetensors", "optimizer.safetensors", "hashes.json", "state.json", "config.json"]
LAYOUTS = [
    (2, ["--dp", "2"]),  # one process owns all
    (2, ["--dp", "2", "--zero", "3"]),
    (2, ["--tp", "2"]),
    (2, ["--pp", "2", "--microbatches", "2"]),
    (2, ["--dp", "2", "--tp", "2"]),
    (2, ["--tp", "4", "--precision", "bf16"]),
    (3, ["--dp", "3", "--tp", "2", "--zero", "1"]),
]


def step_of(name):
    found = re.fullmatch(r"step-(\d{8})", name)
    return int(found[1]) if found else None


class Case(test_train.Case):
    def setUp(self):
        super().setUp()
        self.ck = tempfile.mkdtemp(prefix="yoke-saves-", dir=SCRATCH)
        self.addCleanup(shutil.rmtree, self.ck, ignore_errors=True)

    def flags(self, steps, every, *more, asynchronous=True, folder=""):
        return ["train", self.job, "--set", f"train.steps={steps}", "--set", f"checkpoint.every={every}",
                "--set", f"checkpoint.dir={self.ck}/{folder}", "--set", f"checkpoint.async={str(asynchronous).lower()}", *more]

    def names(self):
        return sorted(os.listdir(self.ck)) if os.path.isdir(self.ck) else []

    def only_steps(self):
        steps = [step_of(name) for name in self.names()]
        self.assertNotIn(None, steps, self.names())
        return steps


class Bytes(Case):
    def test_beside_and_between(self):
        for n, layout in LAYOUTS:
            with self.subTest(n=n, layout=layout):
                runs = [self.yoke(n, *self.flags(6, 2, *layout, "--run", "0" * 32, asynchronous=a, folder=f"{a}"))
                        for a in (False, True)]
                self.assertEqual(test_train.losses(runs[0]), test_train.losses(runs[1]))
                self.assertEqual(runs[0]["checkpoint"]["staging_bytes"], 0)
                self.assertEqual([runs[1]["checkpoint"][k] for k in ("saves", "failed")], [3, 0])
                for step in (2, 4, 6):
                    for name in FILES:
                        bytes_of = []
                        for a in (False, True):
                            with open(f"{self.ck}/{a}/step-{step:08d}/{name}", "rb") as f:
                                bytes_of.append(f.read())
                        self.assertEqual(bytes_of[0], bytes_of[1], f"{name} of step {step}")
                self.assertEqual(len(os.listdir(f"{self.ck}/True")), 3)
                rest = self.yoke(n, *self.flags(6, 2, *layout, folder="again"), "--resume", f"{self.ck}/True/step-00000002")
                self.assertEqual(test_train.losses(runs[0])[2:], test_train.losses(rest))
                shutil.rmtree(self.ck)

    def test_a_process_copies_what_its_ranks_own(self):
        def staged(n, *layout):
            return self.yoke(n, *self.flags(2, 2, *layout, "--overwrite"))["checkpoint"]["staging_bytes"]
        whole = staged(0)
        self.assertEqual(staged(2, "--dp", "2"), whole)
        for n, layout in ((2, ["--tp", "2"]), (3, ["--dp", "3", "--zero", "3"]), (2, ["--dp", "2", "--tp", "2", "--zero", "3"])):
            self.assertLess(abs(staged(n, *layout) * n / whole - 1), .1)

    def test_a_save_ends_before_the_next_is_due(self):
        self.yoke(2, *self.flags(900, 300, "--dp", "2", "--log", "log"))
        with open(self.dir + "/log") as f:
            events = [json.loads(line) for line in f]
        done = 0
        for event in events:
            done = event["step"] if "loss" in event else done
            if event.get("event") == "save" and event["step"] < 900:
                self.assertLess(done, event["step"] + 290)


@unittest.skipIf(not SHIM, "no shim is preloaded under sanitizers")
class Faults(Case):
    STEPS, EVERY, LAYOUT = 8, 2, ["--dp", "2", "--zero", "1"]

    def command(self, victim, fault, *flags):
        """Two processes, a fault in one of them."""
        return self.with_faults({victim: fault}, *flags)

    def with_faults(self, faults, *flags):
        """Two processes, with the faults of each. Calls count from the first save on, if nothing else is said."""
        script = self.dir + "/run"
        with open(script, "w") as f:
            f.write("#!/bin/sh\n")
            for process, fault in faults.items():
                settings = " ".join(f"FAULT_{key}={value}" for key, value in {"SAVES": 1, **fault}.items())
                f.write(f'[ "${test_train.RANK}" != {process} ] ||\n'
                        f'exec env LD_PRELOAD={SHIM} FAULT_FOLDER={self.ck} {settings} {test_train.YOKE} "$@"\n')
            f.write(f'exec {test_train.YOKE} "$@"\n')
        os.chmod(script, 0o700)
        return [*launch.command(MPI, 2), script, *flags]

    def with_fault(self, victim, fault, *more, save=None):
        return self.under(self.command(victim, fault, *(save or self.flags(self.STEPS, self.EVERY, *self.LAYOUT, *more))), timeout=60)

    def clean(self, victim, save=None):
        """Losses of the run that nothing befalls; calls of a process."""
        p = self.with_fault(victim, dict(COUNT=self.dir + "/count"), "--json", self.dir + "/out", save=save)
        self.assertEqual(p.returncode, 0, p.stderr[-600:])
        with open(self.dir + "/count") as count, open(self.dir + "/out") as out:
            calls, losses = int(count.read()), [] if save else test_train.losses(json.load(out))
        shutil.rmtree(self.ck)
        return calls, losses

    def goes_on(self, losses, what):
        """Resumes from the newest step, and ends as the clean run, bit for bit."""
        steps = [step for step in map(step_of, self.names()) if step]
        newest = max(steps, default=0)
        again = self.yoke(2, *self.flags(self.STEPS, self.EVERY, *self.LAYOUT), *(["--resume", self.ck] if steps else []))
        self.assertEqual(test_train.losses(again) if again["steps"] else [], losses[newest:], what)
        if again["steps"]:
            self.only_steps()
        return newest

    def done(self, stderr):
        return max(map(int, re.findall(r"^step +(\d+)/", stderr, re.M)), default=0)

    def test_kills(self):
        for victim, kills in ((0, 8), (1, 5)) if MPI == "openmpi" else ((0, 3), (1, 3)):  # no file is written by an MPI
            calls, losses = self.clean(victim)
            save = calls // (self.STEPS // self.EVERY)
            for number in sorted({save + 1 + (save - 1) * i // (kills - 1) for i in range(kills)}):
                what = f"process {victim} is killed at call {number} of {calls}"
                p = self.with_fault(victim, dict(KIND="kill", AT=number))
                self.assertNotEqual(p.returncode, 0, what)
                self.assertNotIn("hung", p.stderr)
                newest = self.goes_on(losses, what)
                self.assertLessEqual(self.done(p.stderr) - newest, 2 * self.EVERY, what)
                shutil.rmtree(self.ck)

    def test_full_disks(self):
        go_on = ["--set", "checkpoint.on_error=continue"]
        for victim in (0, 1):
            calls, losses = self.clean(victim)
            failed = 0
            for number in (2, calls // 3, calls // 2 + 2) if MPI == "openmpi" else (calls // 3,):
                what = f"process {victim} has no room from call {number} of {calls} on"
                p = self.with_fault(victim, dict(KIND="full", AT=number, CALLS=10**6))
                said = [line for line in p.stderr.splitlines() if line.startswith("yoke:")]
                kept = [line for line in said if re.match("yoke: (the newest step that is saved|no step is saved)", line)]
                self.assertEqual(p.returncode, 1, p.stderr[-600:])
                self.assertEqual(said[-1:], kept, said)  # where to go on from is said once, and last
                # what failed, and where that is another file, why the step at hand cannot be kept either
                self.assertIn(len(said), (2, 3), said)
                for line in said[:-1]:
                    self.assertIn("No space left", line)
                self.assertEqual("rank 1 on" in said[0], victim == 1, said)
                self.only_steps()
                self.goes_on(losses, what)
                shutil.rmtree(self.ck)
                p = self.with_fault(victim, dict(KIND="full", AT=number), *go_on)
                said = [line for line in p.stderr.splitlines() if line.startswith("yoke:")]
                lost = [int(step) for step in re.findall(r"step (\d+) was not saved, and the run goes on: .*No space", p.stderr)]
                self.assertEqual(p.returncode, 0, p.stderr[-600:])
                self.assertEqual(len(said), len(lost), said)
                self.assertEqual(sorted(lost + self.only_steps()), [2, 4, 6, 8], what)
                failed += len(lost)
                shutil.rmtree(self.ck)
            self.assertGreater(failed, 0)

    def test_who_has_no_room_is_named_between_steps_too(self):
        for victim in (0, 1):
            save = self.flags(self.STEPS, self.EVERY, *self.LAYOUT, asynchronous=False)
            p = self.with_fault(victim, dict(KIND="full", AT=2, CALLS=10**6), save=save)
            said = [line for line in p.stderr.splitlines() if line.startswith("yoke:")]
            self.assertEqual(p.returncode, 1, p.stderr[-600:])
            self.assertRegex(said[0], r"safetensors: rank 1 on \S+: .*No space left" if victim else "No space left")
            self.assertEqual("rank 1 on" in said[0], victim == 1, said)
            shutil.rmtree(self.ck)

    def test_a_disk_that_is_full_before_the_first_step(self):
        """Where the folder for steps is made a run's own: nothing begins, whatever failed saves mean."""
        for number in (1, 2):
            for on_error in ("stop", "continue"):
                p = self.with_fault(0, dict(SAVES=0, KIND="full", AT=number, CALLS=10**6), "--set", f"checkpoint.on_error={on_error}")
                said = [line for line in p.stderr.splitlines() if line.startswith("yoke:")]
                self.assertEqual((p.returncode, len(said), self.done(p.stderr)), (1, 1, 0), p.stderr[-600:])
                self.assertIn("No space left", said[0])
                self.assertEqual(self.names(), [])

    def test_what_failed_is_taken_away_before_another_process_ends_the_run(self):
        """Process 1 fails, and again where the step at hand is to be kept before the run ends; process 0 is held up where it
        removes what was written of that, until process 1 is about to end."""
        before = 3  # two files and their folder, of the save that failed first
        gate = self.dir + "/gate"
        os.mkfifo(gate)
        for asynchronous in (False, True):
            faults = {1: dict(KIND="full", AT=1, CALLS=10**6), 0: dict(KIND="hold", AT=before + 1, REMOVALS=1, GATE=gate)}
            p = subprocess.Popen(self.with_faults(faults, *self.flags(self.STEPS, self.EVERY, *self.LAYOUT, asynchronous=asynchronous)),
                                 stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=self.dir, env=launch.environment(BUILD))
            late = threading.Timer(60, p.kill)
            late.start()
            self.addCleanup(late.cancel)
            said = ""
            while "No space left" not in said and (line := p.stderr.readline()):
                said += line
            with self.assertRaises(subprocess.TimeoutExpired, msg=said):  # of the two seconds that it may wait
                p.wait(0.4)
            go_on = os.open(gate, os.O_RDWR)  # lets go who is behind it, and who comes there
            said += p.communicate()[1]
            os.close(go_on)
            self.assertEqual(p.returncode, 1, said)
            self.assertRegex(said, r"(?m)^yoke: .*No space left")
            self.assertEqual(self.names(), [])

    def test_a_signal_while_a_save_is_under_way(self):
        for victim in (0, 1):
            calls, losses = self.clean(victim)
            p = self.with_fault(victim, dict(KIND="signal", SIGNAL=int(signal.SIGTERM), AT=calls // 3))
            self.assertEqual(p.returncode, 75, p.stderr[-600:])
            saved = self.only_steps()[-1]
            self.assertEqual(saved, self.done(p.stderr))
            self.goes_on(losses, f"a signal to {victim}")
            shutil.rmtree(self.ck)

    def hold(self, victim, number, save, until):
        """A run of which a process is held up at a call, once a step was told; and the FIFO that lets it go."""
        gate = tempfile.mktemp(dir=self.dir)
        os.mkfifo(gate)
        p = subprocess.Popen(self.command(victim, dict(KIND="hold", AT=number, GATE=gate), *save), stderr=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, text=True, cwd=self.dir, env=launch.environment(BUILD))
        late = threading.Timer(60, p.kill)  # nobody goes on: the lines end
        late.start()
        self.addCleanup(late.cancel)
        told = 0
        while told < until and (line := p.stderr.readline()):
            told = self.done(line) or told
        self.assertEqual(told, until, f"process {victim} was held at call {number}")
        return p, gate

    def pid_of(self, rank):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as e, open(f"/proc/{pid}/cmdline", "rb") as c:
                    if f"{test_train.RANK}={rank}".encode() in e.read().split(b"\0") and \
                            c.read().startswith(f"{test_train.YOKE}\0train\0{self.job}\0".encode()):
                        return int(pid)
            except OSError:
                continue
        self.fail("there is no such process")

    def test_a_kill_ends_those_who_wait_for_a_save(self):
        """Of the process that is held up in it, and of the other one: in steps, and at the next save."""
        save = self.flags(16, 8, "--tp", "2")
        calls = [self.clean(held, [*save, "--json", self.dir + "/out"])[0] for held in (0, 1)]
        for held, victim, told in ((0, 0, 15), (1, 1, 16), (1, 0, 12), (0, 1, 16)):
            p, gate = self.hold(held, calls[held] // 4, save, told)
            begin = time.time()
            os.kill(self.pid_of(victim), signal.SIGKILL)
            said = p.communicate(timeout=30)[1]
            self.assertLess(time.time() - begin, 6)
            self.assertNotEqual(p.returncode, 0)
            if MPI == "openmpi":  # Hydra may lose what was said last
                self.assertRegex(said, rf"yoke: rank {victim} on \S+ is gone")
            self.assertFalse([name for name in self.names() if step_of(name)])
            shutil.rmtree(self.ck)

    def test_steps_go_on_in_every_phase(self):
        steps, every = 16, 8
        save = self.flags(steps, every, "--tp", "2")
        for victim in (0, 1):
            calls, _ = self.clean(victim, [*save, "--json", self.dir + "/out"])
            # of the first save; the leader's last but two gives the step its name
            for number in (1, calls // 4, calls // 2 - (8 if victim == 0 else 0)):
                p, gate = self.hold(victim, number, save, steps - 1)
                self.assertNotIn(f"step-{every:08d}", self.names(), f"process {victim} was held at call {number} of {calls}")
                with open(gate, "w"):  # waits until it is held
                    pass
                said = p.communicate()[1]
                self.assertEqual(p.returncode, 0, said)
                self.assertEqual(self.only_steps(), [every, steps])
                shutil.rmtree(self.ck)


if __name__ == "__main__":
    launch.main(launch.skip(MPI, BUILD), 4)
