"""yoke under mpirun: test_train.py openmpi|mpich BUILD. The same losses as local ranks', whatever the layout and however ranks
are dealt to processes; saves and resumes; processes that disagree; ranks that are killed or stopped. Exit code 77: no such
MPI. Standard library only."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import launch

MPI, BUILD = sys.argv[1], os.path.abspath(sys.argv[2])
YOKE = BUILD + "/yoke"
RANK = {"openmpi": "OMPI_COMM_WORLD_RANK", "mpich": "PMI_RANK"}[MPI]
JOB = """model: {family: gpt2, layers: 2, heads: 4, width: 32, context: 16, vocab: 64}
data: {format: random, samples: 64, holdout: 0.2}
train: {steps: 5, batch: 8, sequence: 16, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-2}, clip: 1.0, seed: 3}
"""
LAYOUTS = [
    (2, ["--dp", "2"]),
    (2, ["--tp", "2"]),
    (2, ["--pp", "2", "--microbatches", "2"]),
    (2, ["--cp", "2"]),
    (2, ["--cp", "2", "--set", "layout.cp_kind=ulysses"]),
    (2, ["--dp", "2", "--zero", "1"]),
    (2, ["--dp", "2", "--zero", "2", "--microbatches", "2"]),
    (3, ["--dp", "3", "--zero", "3"]),
    (2, ["--tp", "2", "--set", "layout.sp=true"]),
    (4, ["--dp", "2", "--pp", "2", "--microbatches", "2", "--zero", "1"]),
    # several ranks in each process
    (2, ["--dp", "4"]),
    (2, ["--dp", "2", "--tp", "2"]),
    (2, ["--tp", "4"]),
    (2, ["--tp", "2", "--pp", "2", "--microbatches", "4", "--schedule", "zb-h1"]),
    (2, ["--dp", "2", "--cp", "2", "--zero", "2"]),
    (2, ["--dp", "2", "--tp", "2", "--precision", "bf16"]),
    (3, ["--dp", "3", "--tp", "2", "--zero", "3"]),
]


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="yoke-mpi-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.job = self.dir + "/job.yaml"
        with open(self.job, "w") as f:
            f.write(JOB)

    def under(self, command, env=None, timeout=120):
        for _ in range(4):
            try:
                p = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, cwd=self.dir,
                                   env=launch.environment(BUILD, **(env or {})))
            except subprocess.TimeoutExpired as e:
                self.fail(f"no end in {timeout} s: {' '.join(command)}: {(e.stderr or b'')[-300:]}")
            # Hydra 4.0.2 itself dies of that in 1 of 160 runs of programs that end at once, /bin/false too
            if MPI != "mpich" or p.returncode != -signal.SIGPIPE or p.stderr:
                break
        return p

    def yoke(self, n, *args, code=0, env=None):
        """Under mpirun with n processes, or alone (0); the JSON."""
        out = tempfile.mktemp(dir=self.dir, suffix=".json")
        p = self.under([*(launch.command(MPI, n) if n else []), YOKE, *args, "--json", out], env)
        self.assertEqual(p.returncode, code, f"{args}: {p.stdout[-200:]} {p.stderr[-500:]}")
        self.said = "\n".join(line for line in p.stderr.splitlines() if line.startswith("yoke: "))
        with open(out) as f:
            text = f.read()
        return json.loads(text) if text else None


def losses(run):
    return [s["loss"] for s in run["steps"]]


class Layouts(Case):
    def test_losses_are_those_of_local_ranks(self):
        for n, flags in LAYOUTS if MPI == "openmpi" else LAYOUTS[::3]:  # what is sent is the same: by whom differs
            with self.subTest(n=n, flags=flags):
                log = tempfile.mktemp(dir=self.dir, suffix=".log")
                local = self.yoke(0, "train", self.job, *flags)
                over = self.yoke(n, "train", self.job, *flags, "--log", log)
                tolerance = 1e-3 if "bf16" in flags else 1e-6
                for a, b in zip(losses(local), losses(over), strict=True):
                    self.assertLess(abs(a - b) / abs(a), tolerance)
                with open(log) as f:
                    logged = [line["moved_bytes"] for line in map(json.loads, f) if "loss" in line]
                self.assertEqual(logged, [local["moved_bytes_per_step"]] * 5)
                for key in ("moved_by_axis", "moved_bytes_per_step", "actions_run"):
                    self.assertEqual(local[key], over[key], key)
                for a, b in zip(local["devices"], over["devices"], strict=True):
                    self.assertEqual(b["predicted_peak_bytes"], b["measured_peak_bytes"])
                    self.assertEqual((a["name"], a["bytes"]["weights"]), (b["name"], b["bytes"]["weights"]))
                self.assertLess(abs(local["held_out"]["loss"] / over["held_out"]["loss"] - 1), tolerance)

    def test_the_same_bits_again(self):
        flags = ["train", self.job, "--dp", "2", "--tp", "2", "--set", "train.steps=8"]
        self.assertEqual(losses(self.yoke(2, *flags)), losses(self.yoke(2, *flags)))

    def test_memory_that_mpi_does_not_reach(self):
        for flags in (["--dp", "4", "--zero", "1"], ["--tp", "2", "--pp", "2", "--microbatches", "4"]):
            args = ["train", self.job, *flags]
            self.assertEqual(losses(self.yoke(2, *args, env={"YOKE_BACKEND": "far"})), losses(self.yoke(2, *args)))

    def test_a_file_gets_no_colours(self):
        p = self.under([*launch.command(MPI, 2), YOKE, "train", self.job, "--dp", "2"], {"TERM": "xterm"})
        self.assertIn("final loss", p.stdout)
        self.assertNotIn("\033", p.stdout + p.stderr)

    def test_verify(self):
        result = self.yoke(2, "verify", self.job, "--dp", "2", "--tp", "2", "--write-gradients", "g.safetensors")
        self.assertTrue(result["passed"])
        self.assertTrue(self.yoke(0, "verify", self.job, "--against", "g.safetensors")["passed"])


class Evaluations(Case):
    EVERY = ["--set", "eval.every=2", "--set", "checkpoint.dir=ck", "--set", "checkpoint.best=true", "--set", "train.steps=9"]

    def test_they_change_nothing(self):
        for n, flags in ((2, ["--dp", "2"]), (2, ["--tp", "2", "--pp", "2", "--microbatches", "2"])):
            with self.subTest(flags):
                plain = self.yoke(n, "train", self.job, *flags, "--set", "train.steps=9")
                over = self.yoke(n, "train", self.job, *flags, *self.EVERY)
                self.assertEqual(losses(over), losses(plain))
                self.assertEqual([e["step"] for e in over["evals"]], [2, 4, 6, 8, 9])
                self.assertEqual(os.readlink(self.dir + "/ck/best"), f"step-{over['best']['step']:08}")
                for device in over["devices"]:
                    self.assertEqual(device["predicted_peak_bytes"], device["measured_peak_bytes"])
                shutil.rmtree(self.dir + "/ck")

    def test_patience(self):
        flags = ["--dp", "2", *self.EVERY, "--set", "train.steps=60", "--set", "train.optimizer.lr=1", "--set", "stop.patience=2"]
        over = self.yoke(2, "train", self.job, *flags)
        self.assertTrue(over["stopped_early"])
        self.assertEqual(over["steps_done"], over["best"]["step"] + 4)


class WaysOut(Case):
    def test_one_process_cannot_read_its_data(self):
        """Its copy of the text is cut short on the way: all save the same step, and end with its sentence."""
        text = bytes(97 + i * i % 26 for i in range(200000))
        for rank in (0, 1):
            os.mkdir(f"{self.dir}/{rank}")
            with open(f"{self.dir}/{rank}/t.txt", "wb") as f:
                f.write(text)
        with open(self.job, "w") as f:
            f.write("""model: {family: gpt2, layers: 1, heads: 2, width: 8, context: 8, vocab: 256}
data: {format: text, path: /proc/self/cwd/t.txt}
train: {steps: 1000000000, batch: 4, loss: cross_entropy, timeout: 60}
layout: {dp: 2, threads: 1}
checkpoint: {dir: %s/ck}
""" % self.dir)
        p = subprocess.Popen([*launch.command(MPI, 2), "sh", "-c", f"cd ${RANK}; exec {YOKE} train {self.job}"], cwd=self.dir,
                             env=launch.environment(BUILD), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in p.stderr:
            if line.startswith("step"):
                break
        os.truncate(f"{self.dir}/1/t.txt", 1000)
        said = p.communicate(timeout=120)[1]
        self.assertNotEqual(p.returncode, 0)
        self.assertRegex(said, r"t.txt: rank 1 on \S+: was cut short")
        self.assertRegex(said, "yoke: saved in .*step-")
        self.assertEqual(len(os.listdir(self.dir + "/ck")), 1)

    def test_steps_left_out(self):
        """A learning rate past everything: steps that are not finite are left out by all, and the third ends all."""
        r = self.yoke(2, "train", self.job, "--dp", "2", "--set", "train.optimizer.lr=1e30", "--set", "train.clip=0", "--set",
                      "train.skip_nonfinite=2", code=5)
        self.assertEqual([l is None for l in losses(r)].count(True), 2)
        self.assertIn("after 2 steps in a row", self.said)

    def test_a_layout_of_one_device(self):
        self.yoke(2, "train", self.job, code=2)
        self.assertIn("add --dp 2", self.said)

    def test_a_sweep(self):
        for rank in (0, 1):
            os.mkdir(f"{self.dir}/{rank}")
        sweep = [*launch.command(MPI, 2), "sh", "-c",
                 f"cd ${RANK}; exec {YOKE} train {self.job} --set train.seed=1${RANK} --threads 1 --json out.json"]
        p = self.under(sweep)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("YOKE_ALONE=1", p.stderr)
        p = self.under(["env", "YOKE_ALONE=1", *sweep])
        self.assertEqual(p.returncode, 0, p.stderr)
        for rank in (0, 1):
            alone = self.yoke(0, "train", self.job, "--threads", "1", "--set", f"train.seed=1{rank}")
            with open(f"{self.dir}/{rank}/out.json") as f:
                self.assertEqual(losses(json.load(f)), losses(alone))


class Saves(Case):
    def test_a_run_goes_on_under_another_launcher(self):
        full = losses(self.yoke(0, "train", self.job, "--dp", "2", "--zero", "1"))
        flags = ["--dp", "2", "--zero", "1", "--set", "checkpoint.dir=ck", "--stop-after", "2"]
        first = losses(self.yoke(2, "train", self.job, *flags))
        self.assertEqual(os.listdir(self.dir + "/ck"), ["step-00000002"])
        for n, layout in ((0, ["--tp", "2"]), (2, ["--pp", "2"]), (3, ["--dp", "3", "--zero", "3"])):
            rest = losses(self.yoke(n, "train", self.job, *layout, "--resume", "ck"))
            for a, b in zip(full, first + rest, strict=True):
                self.assertLess(abs(a - b) / abs(a), 1e-5)

    def test_a_save_that_fails_fails_everywhere(self):
        with open(self.dir + "/file", "w"):
            pass
        self.yoke(2, "train", self.job, "--dp", "2", "--set", "checkpoint.dir=file/ck", code=2)
        self.assertIn("file", self.said)


class Refusals(Case):
    def refused(self, command, *patterns, env=None):
        p = self.under(command, env, timeout=60)
        said = [line for line in p.stderr.splitlines() if line.startswith("yoke: ")]
        self.assertEqual(p.returncode, 2, p.stderr[-500:])
        for pattern in patterns:
            self.assertRegex("\n".join(said), pattern)
        self.assertEqual(len(said), 1, said)

    def apart(self, first, second):
        """Two processes with command lines of their own."""
        one = launch.command(MPI, 1)
        return [*one, *first, ":", *one[-2:], *second]

    def test_who_disagrees_is_told(self):
        run = [YOKE, "train", self.job, "--dp", "2"]
        self.refused(self.apart(run, [*run, "--set", "train.seed=4"]), r"rank 1 on \S+ has another job than rank 0")
        self.refused(self.apart(run, [YOKE, "train", "nothing.yaml", "--dp", "2"]), r"^yoke: nothing\.yaml: rank 1 on \S+: cannot read")
        self.refused(self.apart([YOKE, "train", "nothing.yaml", "--dp", "2"], run), "nothing.yaml")
        odd = self.dir + "/odd.yaml"  # whoever speaks, it says where
        with open(self.job) as f, open(odd, "w") as g:
            g.write(f.read() + "nonsense: 3\n")
        where = r"^yoke: odd\.yaml:\d+: nonsense: (rank \d on \S+: )?unknown key"
        self.refused(self.apart(run, [YOKE, "train", "odd.yaml", "--dp", "2"]), where)
        self.refused([*launch.command(MPI, 3), YOKE, "train", "odd.yaml", "--dp", "3"], where)
        other = self.dir + "/yoke"
        shutil.copy(YOKE, other)
        with open(other, "ab") as f:
            f.write(b"another")
        self.refused(self.apart(run, [other, *run[1:]]), r"rank 1 on \S+ runs another binary")

    def test_what_all_refuse_is_said_once(self):
        for args, pattern in ((["train", "nothing.yaml"], "nothing.yaml"), (["train", self.job, "--frobnicate"], "frobnicate"),
                              (["train", self.job, "--dp", "3"], "3 devices"), (["train", self.job], "1 device"),
                              (["compare", self.job], "one process")):
            self.refused([*launch.command(MPI, 2), YOKE, *args], pattern)

    def test_no_module_and_the_wrong_one(self):
        run = [*launch.command(MPI, 3), YOKE, "train", self.job, "--dp", "3"]
        self.refused(run, f"yoke-mpi-{MPI}", "process 0 of 3", env={"YOKE_MPI_PATH": self.dir})
        other = {"openmpi": "mpich", "mpich": "openmpi"}[MPI]
        if not launch.skip(other, BUILD):
            self.refused(run, "rank 0 of 1", env={"YOKE_MPI_PATH": f"{BUILD}/yoke-mpi-{other}.so"})

    def test_who_does_not_come_is_waited_for_so_long(self):
        run = [YOKE, "train", self.job, "--dp", "3"]
        mpirun = [word for word in launch.command(MPI, 3) if word != "-disable-auto-cleanup"]  # with it, Hydra waits for who is stopped
        for stopped in (0, 2):
            late = ["sh", "-c", f'[ "${RANK}" != {stopped} ] || kill -STOP $$; exec "$@"', "sh", *run]
            p = self.under([*mpirun, *late], {"YOKE_START_TIMEOUT": "1.5"}, timeout=60)
            self.assertNotEqual(p.returncode, 0)
            self.assertRegex(p.stderr, r"(?m)^yoke: rank [012] on \S+ has waited 1.5 s for the other processes of 3, in MPI_Init: ")
        self.refused([*mpirun, *run], r"YOKE_START_TIMEOUT is '1 min'", env={"YOKE_START_TIMEOUT": "1 min"})

    def test_processes_that_read_other_things(self):
        """Files of the same size under one path, on "disks" of their own: the odd process and the file are named."""
        for i in range(2):
            os.mkdir(f"{self.dir}/{i}")
            with open(f"{self.dir}/{i}/t.txt", "w") as f:
                f.write(("ab" if i else "ba") * 500)
        with open(self.job, "w") as f:
            f.write(JOB.replace("vocab: 64", "vocab: 256").replace("format: random, samples: 64",
                                                                   "format: text, path: /proc/self/cwd/t.txt"))
        own = ["sh", "-c", f'cd {self.dir}/${RANK}; exec "$@"', "sh", YOKE, "train", self.job, "--dp", "2"]
        mpirun = launch.command(MPI, 2)
        self.refused([*mpirun, *own], r"rank 1 on \S+ has another content of data \(inputs\), t\.txt")
        shutil.copy(f"{self.dir}/0/t.txt", f"{self.dir}/1/t.txt")
        self.assertEqual(self.under([*mpirun, *own]).returncode, 0)
        for i in range(2):  # the same data, other first weights
            self.yoke(0, "train", self.job, "--set", f"checkpoint.dir={self.dir}/{i}/ck", "--set", f"train.seed={i}",
                      "--set", f"data.path={self.dir}/0/t.txt")
            shutil.move(f"{self.dir}/{i}/ck/step-00000005/model.safetensors", f"{self.dir}/{i}/w.safetensors")
        of = ["--set", "model.from=/proc/self/cwd/w.safetensors"]
        self.refused([*mpirun, *own, *of], r"rank 1 on \S+ has another content of the weights w\.safetensors")
        isa = ["sh", "-c", f'cd {self.dir}/0; [ "${RANK}" = 0 ] || export YOKE_ISA=base; exec "$@"', *own[3:]]
        if self.yoke(0, "devices")["devices"][0].get("instructions", "base") != "base":
            self.refused([*mpirun, *isa], r"rank 1 on \S+ has another instruction set .*YOKE_ISA")
        # a folder that the other process does not see
        self.refused([*mpirun, *own, "--set", "checkpoint.dir=/proc/self/cwd/ck2"],
                     r"rank 1 on \S+: this process does not see there what process 0 writes")

    def test_processes_that_begin_in_other_ways(self):
        self.yoke(0, "train", self.job, "--set", "checkpoint.dir=ck", "--stop-after", "1")
        for way in ("--resume ck", "--resume auto", "--overwrite"):
            other = ["sh", "-c", f'[ "${RANK}" = 0 ] || set -- "$@" {way}; exec "$@"', "sh", YOKE, "train", self.job, "--dp", "2",
                     "--set", "checkpoint.dir=ck"]
            self.refused([*launch.command(MPI, 2), *other], r"rank 1 on \S+ has another way to begin \(--resume, --overwrite, --take-over\)")

    def test_eval_runs_once(self):
        self.yoke(2, "train", self.job, "--dp", "2", "--set", "checkpoint.dir=ck")
        # of one thread each: another number of them may sum in another order
        alone, under = (self.yoke(n, "eval", "ck", "--set", "layout.threads=1") for n in (0, 2))
        self.assertEqual(alone["loss"], under["loss"])


def ranks_of(path):
    with open(path) as f:
        return sorted({e["pid"] for e in json.load(f)["traceEvents"] if e["ph"] == "X"})


class Traces(Case):
    def test_one_file_has_all_ranks(self):
        for n, code, flags in ((2, 0, ["--dp", "2", "--tp", "2"]), (3, 5, ["--dp", "3", "--set", "train.optimizer.lr=1e30",
                                                                           "--set", "train.clip=0"])):
            path, ranks = self.dir + f"/{n}.json", 4 if n == 2 else 3
            with open(path + ".1", "w") as f:
                f.write("an older run's")
            result = self.yoke(n, "train", self.job, *flags, "--trace", path, code=code)
            self.assertEqual(ranks_of(path), list(range(ranks)))
            self.assertEqual(result["trace"]["ranks"], ranks)
            self.assertEqual([name for name in os.listdir(self.dir) if name.startswith(f"{n}.json")], [f"{n}.json"])


    def test_a_full_disk_loses_no_result(self):
        path = self.dir + "/full.json"
        os.symlink("/dev/full", path)
        result = self.yoke(2, "train", self.job, "--dp", "2", "--trace", path, code=1)
        self.assertIn("No space left", self.said)
        self.assertEqual(len(result["steps"]), 5)
        self.assertIn("the trace", result["error"]["message"])
        self.assertEqual(ranks_of(path + ".1"), [1])  # what process 1 has of it


class Faults(Case):
    def start(self, n, *flags, program=YOKE):
        command = [*launch.command(MPI, n), program, "train", self.job, "--steps", "100000000", *flags]
        with open(self.dir + "/log", "wb") as log:
            p = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=self.dir,
                                 env=launch.environment(BUILD))
        self.addCleanup(lambda: p.poll() is None and os.killpg(p.pid, signal.SIGKILL))
        end = time.time() + 30
        while "step" not in self.read():
            self.assertLess(time.time(), end, self.read())
            self.assertIsNone(p.poll(), self.read())
            time.sleep(0.1)
        self.ranks = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as e, open(f"/proc/{pid}/cmdline", "rb") as c:
                    rank = re.search(RANK.encode() + rb"=(\d+)", e.read())
                    if rank and c.read().startswith(YOKE.encode() + b"\0train\0" + self.job.encode()):
                        self.ranks[int(rank[1])] = int(pid)
            except OSError:
                continue
        self.assertEqual(sorted(self.ranks), list(range(n)))
        return p

    def read(self):
        with open(self.dir + "/log", errors="replace") as log:  # a place in the file of its own: the launcher's is where it writes
            return log.read()

    def until(self, p, holds, seconds=60):
        """While the run goes on."""
        end = time.monotonic() + seconds
        while not holds():
            self.assertIsNone(p.poll(), self.read())
            self.assertLess(time.monotonic(), end, self.read())
            time.sleep(0.05)

    def ends(self, p, limit):
        begin = time.time()
        try:
            p.wait(limit + 20)
        except subprocess.TimeoutExpired:
            self.fail("hangs: " + self.read()[-500:])
        finally:
            for pid in self.ranks.values():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.assertLess(time.time() - begin, limit, self.read()[-500:])
        return p.returncode

    def test_a_killed_rank_is_named(self):
        for n, victim, flags in ((4, 2, ["--dp", "4"]), (2, 0, ["--dp", "2"]), (3, 1, ["--pp", "2", "--tp", "3"])):
            if flags[0] == "--pp":
                flags = ["--dp", "3", "--pp", "2", "--microbatches", "2"]  # two ranks a process
            rank = victim * (2 if "--pp" in flags else 1)
            sentence = rf"yoke: rank {rank} .*on \S+ is gone.*; rank \d+ (waits|computes) in step \d+"
            for _ in range(4 if MPI == "mpich" else 1):  # Hydra kills the others some milliseconds later: docs/clusters.md
                p = self.start(n, *flags)
                os.kill(self.ranks[victim], signal.SIGKILL)
                self.assertNotEqual(self.ends(p, 5), 0)
                if re.search(sentence, self.read()):
                    break
            self.assertRegex(self.read(), sentence)

    @unittest.skipIf(MPI == "mpich", "its library may abort a process that waits for the lost one, and MPI_Abort ends the others")
    def test_what_others_traced_is_left(self):
        p = self.start(3, "--dp", "3", "--trace", "t.json", "--trace-steps", "0..9")
        os.kill(self.ranks[1], signal.SIGKILL)
        self.assertNotEqual(self.ends(p, 5), 0)
        self.assertEqual(ranks_of(self.dir + "/t.json"), [0])
        self.assertEqual(ranks_of(self.dir + "/t.json.2"), [2])
        self.assertFalse(os.path.exists(self.dir + "/t.json.1"))

    def test_a_stopped_rank_is_named(self):
        p = self.start(3, "--dp", "3", "--set", "train.timeout=2")
        os.kill(self.ranks[1], signal.SIGSTOP)
        self.assertNotEqual(self.ends(p, 9), 0)
        self.assertRegex(self.read(), r"yoke: rank 1 on \S+ gave no sign of life for 2 s.*waits in step \d+.* for ")

    def test_a_signal_to_one_rank_saves_and_ends_all(self):
        for number, victim in ((signal.SIGTERM, 1), (signal.SIGUSR1, 0)):
            p = self.start(2, "--dp", "2", "--set", f"checkpoint.dir=ck{number}")
            os.kill(self.ranks[victim], number)
            code = self.ends(p, 15)
            self.assertEqual(code, 75, self.read()[-500:])
            self.assertEqual(len(os.listdir(f"{self.dir}/ck{number}")), 1)

    @unittest.skipIf(MPI == "mpich", "MPI_Abort ends the scripts that write the codes down")
    def test_a_signal_while_a_peer_is_lost_ends_with_4(self):
        wrapper = self.dir + "/wrapper"
        with open(wrapper, "w") as f:  # writes the code of each process, whatever the launcher does then
            f.write(f'#!/bin/sh\ntrap "" TERM\n{YOKE} "$@"\ncode=$?\necho ${RANK} $code >>{self.dir}/codes\nexit 4\n')
        os.chmod(wrapper, 0o700)
        p = self.start(3, "--dp", "3", program=wrapper)
        os.kill(self.ranks[1], signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):  # the loss may have ended it by then
            os.kill(self.ranks[0], signal.SIGTERM)
        self.assertNotEqual(self.ends(p, 5), 0)
        with open(self.dir + "/codes") as f:
            codes = dict(line.split() for line in f)
        codes.pop("1")
        self.assertTrue(codes and set(codes.values()) == {"4"}, codes)

    def test_a_loss_that_is_not_finite_ends_all_with_5(self):
        self.yoke(2, "train", self.job, "--dp", "2", "--set", "train.optimizer.lr=1e30", "--set", "train.clip=0", code=5)
        self.assertIn("not finite", self.said)
        self.assertEqual(len(re.findall("^yoke: step", self.said, re.M)), 1)
        self.assertEqual(len(self.said.splitlines()), 2, self.said)  # where it is kept, or why not


if __name__ == "__main__":
    launch.main(launch.skip(MPI, BUILD))
