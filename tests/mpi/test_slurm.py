"""yoke under Slurm's srun: test_slurm.py openmpi|mpich BUILD, on a Slurm of one machine that it makes (slurm.py). The same losses as
local ranks'; a rank that is killed; signals by scancel; yoke launch, inside a job and outside. Exit code 77: no such MPI, no
Slurm, or it cannot be made here. Standard library only."""
import json
import os
import re
import signal
import subprocess
import sys

import launch
import slurm
import test_train

MPI, BUILD = sys.argv[1], os.path.abspath(sys.argv[2])
PLUGIN = {"openmpi": "pmix", "mpich": "pmi2"}[MPI]
SRUN = ["srun", "--mpi=" + PLUGIN]


class UnderSlurm(test_train.Case):
    read, ends, until = test_train.Faults.read, test_train.Faults.ends, test_train.Faults.until

    def yoke(self, n, *args, **more):
        before, launch.command = launch.command, lambda _, n: [*SRUN, "-n", str(n)]
        try:
            return test_train.Case.yoke(self, n, *args, **more)
        finally:
            launch.command = before

    def start(self, words, *flags):
        """With two processes, until they are in a step; their ids go to `ranks`, the job's to `job_id`."""
        before, launch.command = launch.command, lambda *_: words[:-1]
        try:
            p = test_train.Faults.start(self, 2, "--dp", "2", *flags, program=words[-1])
        finally:
            launch.command = before
        self.job_id = slurm.ask("squeue", "--noheader", "--states=RUNNING", "--format=%i").strip()
        self.assertRegex(self.job_id, r"^\d+$")
        return p

    def launcher(self, *options):
        return [test_train.YOKE, "launch", "-n", "2", "--launcher", " ".join(SRUN), *options, "--"]

    def assertClose(self, expected, got):
        for a, b in zip(expected, got, strict=True):
            self.assertLess(abs(a - b) / abs(a), 1e-6)

    def test_losses_are_those_of_local_ranks(self):
        for n, flags in ((2, ["--dp", "2"]), (2, ["--dp", "2", "--tp", "2", "--zero", "1"]), (3, ["--dp", "3", "--zero", "3"]),
                         (4, ["--dp", "2", "--pp", "2", "--microbatches", "2"])):
            with self.subTest(n=n, flags=flags):
                local, over = self.yoke(0, "train", self.job, *flags), self.yoke(n, "train", self.job, *flags)
                self.assertClose(test_train.losses(local), test_train.losses(over))

    def test_who_disagrees_is_told(self):
        run = f"{test_train.YOKE} train {self.job} --dp 2"
        with open(self.dir + "/programs", "w") as f:
            f.write(f"0 {run}\n1 {run} --set train.seed=4\n")
        p = self.under([*SRUN, "-n", "2", "--multi-prog", self.dir + "/programs"])
        self.assertEqual(p.returncode, {"openmpi": 2, "mpich": 137}[MPI], p.stderr)
        self.assertRegex(p.stderr, r"yoke: rank 1 on \S+ has another job than rank 0")

    def test_a_killed_rank_is_named(self):
        p = self.start([*SRUN, "-n", "2", test_train.YOKE])
        os.kill(self.ranks[1], signal.SIGKILL)
        self.assertEqual(self.ends(p, 8), 137, self.read()[-500:])
        self.assertRegex(self.read(), r"yoke: rank 1 on \S+ is gone.*; rank 0 (waits|computes) in step \d+")
        # MPICH's MPI_Abort may ask srun to kill all before it ends by itself
        self.assertRegex(self.read(), r"task 0: Exited with exit code 4\b|MPI_Abort\(MPI_COMM_WORLD, 4\)")

    def test_signals_save(self):
        ways = {"term": ["scancel", "--signal=TERM"], "usr1": ["scancel", "--signal=USR1"], "all": ["scancel"], "srun": None}
        for way, command in ways.items():
            with self.subTest(way):
                p = self.start([*SRUN, "-n", "2", test_train.YOKE], "--set", "checkpoint.dir=" + way)
                if command:
                    subprocess.run([*command, self.job_id], check=True)
                else:
                    p.send_signal(signal.SIGUSR1)
                self.assertEqual(self.ends(p, 15), 75, self.read()[-500:])
                saved, = os.listdir(f"{self.dir}/{way}")
        step = int(saved.removeprefix("step-"))
        more = ["train", self.job, "--dp", "2", "--resume", way, "--steps", str(step + 3)]
        over, local = self.yoke(2, *more), self.yoke(0, *more)
        self.assertEqual([s["step"] for s in over["steps"]], [step, step + 1, step + 2])
        self.assertClose(test_train.losses(local), test_train.losses(over))

    def test_launch_begins_again(self):
        out = self.dir + "/out.json"
        p = self.start(self.launcher("--json", out, "--max-restarts", "1"), "--set", "checkpoint.dir=ck", "--set", "checkpoint.every=5")
        self.until(p, lambda: os.path.isdir(self.dir + "/ck/step-00000005"))
        os.kill(self.ranks[1], signal.SIGKILL)
        self.until(p, lambda: re.search(r"restart 1 of 1, from step (\d+)\n[^$]*^step +\d+/", self.read(), re.M))
        p.send_signal(signal.SIGTERM)
        self.assertEqual(self.ends(p, 30), 75, self.read()[-500:])
        with open(out) as f:
            result = json.load(f)
        first, last = (a["code"] for a in result["attempts"])
        self.assertIn(first, (4, 137))  # the run's own; srun's, where it kills rank 0 before that has said so
        self.assertEqual(last, 75)

    def test_launch_gives_up_with_4(self):
        p = self.start(self.launcher("--max-restarts", "0"), "--set", "checkpoint.dir=ck")
        os.kill(self.ranks[0], signal.SIGKILL)
        self.assertEqual(self.ends(p, 15), 4, self.read()[-500:])
        self.assertRegex(self.read(), r"yoke: rank 0 on \S+ is gone.*; rank 1 (waits|computes) in step \d+")

    def test_launch_inside_a_job_finds_srun(self):
        script = self.dir + "/script"
        with open(script, "w") as f:
            f.write(f"#!/bin/sh\n{test_train.YOKE} launch -n 2 --json out.json -- train {self.job} --dp 2 --set checkpoint.dir=ck\n")
        p = self.under(["sbatch", "--wait", "-n", "2", "--output", self.dir + "/said", script])
        with open(self.dir + "/said") as f:
            self.assertEqual(p.returncode, 0, p.stderr + f.read())
        with open(self.dir + "/out.json") as f:
            attempt, = json.load(f)["attempts"]
        self.assertEqual((attempt["code"], attempt["processes"]), (0, 2))
        self.assertEqual(os.listdir(self.dir + "/ck"), ["step-00000005"])


if __name__ == "__main__":
    launch.leave_if(launch.skip(MPI, BUILD) or slurm.skip())
    slurm.enter()
    test_train.RANK = "SLURM_PROCID"
    with slurm.Slurm(PLUGIN):
        launch.main(None)
