"""yoke launch: test_launch.py YOKE [test ...]. Its launchers are scripts here, so no MPI is needed: one process, that they
kill, or a host that is gone. Standard library only."""
import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import unittest

import case

YOKE = os.path.abspath(sys.argv[1])
JOB = """model: {family: layers, input: [6], layers: [{type: linear, out: 8}, {type: tanh}, {type: linear, out: 3}]}
data: {format: random, samples: 50}
train: {steps: 40, batch: 12, loss: cross_entropy, optimizer: {name: sgd, lr: 0.1, momentum: 0.9}}
checkpoint: {dir: ck, every: 5}
"""
# Starts the one process. Its life number L (from 0) ends by a signal when a step's folder of LIVES[L] is there.
LAUNCHER = """import fcntl, glob, json, os, signal, subprocess, sys, termios, time
words = sys.argv[1:]
if words == ["--version"]: sys.exit(print("none"))
n, words = words[1], words[2:]
hosts = words[1] if words[0] == "--host" else ""
words = words[2:] if hosts else words
life = len(glob.glob("life-*"))
if words == ["true"]:
    with open("probes", "a") as f: f.write(hosts + " ")
    sys.exit(hosts == "b:1")
with open(f"life-{life}", "w") as f: json.dump({"n": n, "hosts": hosts, "words": words}, f)
lives = json.loads(os.environ["LIVES"])
if "IDLES" in os.environ and life == 0: signal.pause() # before it has started anything
for _ in range(2 if "QUEUES" in os.environ else 0): # as srun outside a job; the second line is read after a look at the time
    print("queued", file=sys.stderr, flush=True)
    while any(fcntl.ioctl(2, termios.FIONREAD, bytes(4))): time.sleep(0.001)
signal.signal(signal.SIGUSR1, lambda *_: p.send_signal(signal.SIGTERM))
if life >= len(lives):
    p = subprocess.Popen(words)
else: # the run waits until each thing it said is read: it cannot end before it is killed
    said, end = os.pipe2(os.O_DIRECT)
    fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096) # room for one write
    p = subprocess.Popen(words, stderr=end)
    os.close(end)
    while not os.path.exists(f"ck/step-{lives[life]:08}") and (text := os.read(said, 4096)): os.write(2, text)
    p.kill()
    if os.environ.get("HANGS"): # as mpirun that waits for what runs on a lost host
        with open("left", "w") as f: f.write(str(subprocess.Popen(["sleep", "1000"], start_new_session=True).pid))
        print("yoke: rank 1 on b is gone: its process ended", file=sys.stderr, flush=True)
        signal.pause()
code = p.wait()
if "STAYS" in os.environ: signal.pause() # as mpirun that waits for its daemon on a host that has gone in the end
if "LOSES" in os.environ: sys.exit(int(os.environ["LOSES"]))
sys.exit(code if code >= 0 else 128 - code)
"""


class Launch(case.Folder):
    def setUp(self):
        super().setUp()
        self.write("job.yaml", JOB)
        self.write("launcher.py", LAUNCHER)

    def launch(self, *arguments, lives=(), code=0, options=(), job="job.yaml", **more):
        r = subprocess.run([YOKE, "launch", "--json", "out.json", "--launcher", f"{sys.executable} launcher.py", *options,
                            "--", "train", job, *arguments], cwd=self.dir, capture_output=True, text=True, timeout=120,
                           env={**os.environ, "LIVES": json.dumps(list(lives)), **more})
        self.assertEqual(r.returncode, code, r.stderr)
        with open(os.path.join(self.dir, "out.json")) as f:
            r.json = json.load(f)
        return r

    def life(self, i):
        with open(os.path.join(self.dir, f"life-{i}")) as f:
            return json.load(f)

    def weights(self, folder):
        with open(os.path.join(self.dir, folder, "step-00000040", "model.safetensors"), "rb") as f:
            return f.read()

    def test_killed_twice(self):
        r = self.launch("--dp", "2", lives=[10, 25], options=["-n", "1"])
        self.assertEqual([a["code"] for a in r.json["attempts"]], [137, 137, 0])
        self.assertEqual([a["from_step"] for a in r.json["attempts"]], [0, 10, 25])
        self.assertNotIn("--resume", self.life(0)["words"])
        self.assertEqual(self.life(1)["words"][-2:], ["--resume", os.path.join(os.path.realpath(self.dir), "ck", "step-00000010")])
        for life in range(3):  # whose host may be gone, and have the folder's lock yet
            self.assertEqual("--take-over" in self.life(life)["words"], life > 0)
        self.assertRegex(r.stderr, r"ended with 4 .*restart 1 of 3, from step \d+")
        self.assertRegex(r.stdout, r"restarts +2\ntime trained +\d")
        self.assertTrue(0 < r.json["trained_share"] < 1)
        # every step once: the time is that of the forty lines that count
        with open(os.path.join(self.dir, "ck.launch.jsonl")) as f:
            lines = [json.loads(line) for line in f]
        last = {line["step"]: line["seconds"] for line in lines if "seconds" in line}
        self.assertEqual(sorted(last), list(range(40)))
        self.assertAlmostEqual(r.json["trained_seconds"], sum(last.values()), places=9)
        subprocess.run([YOKE, "train", "job.yaml", "--dp", "2", "--set", "checkpoint.dir=clean"], cwd=self.dir, check=True,
                       capture_output=True)
        self.assertEqual(self.weights("ck"), self.weights("clean"))

    def test_a_launcher_that_hides_a_killed_rank(self):
        r = self.launch("--dp", "2", lives=[10], options=["-n", "1"], LOSES="0")
        self.assertEqual([a["code"] for a in r.json["attempts"]], [4, 0])

    def test_a_launcher_that_waits_for_a_lost_host_is_killed(self):
        r = self.launch(lives=[10], options=["-n", "1"], HANGS="1")
        self.assertEqual([a["code"] for a in r.json["attempts"]], [137, 0])
        self.assertRegex(r.stderr, "yoke: rank 1 on b is gone.*\n(.*\n)*yoke: a rank is lost, and .* has not ended for 10 s: killed\n")
        with open(os.path.join(self.dir, "left")) as f:
            self.assertFalse(os.path.exists("/proc/" + f.read()))

    def test_a_launcher_that_outlives_the_run_is_killed(self):
        r = self.launch(options=["-n", "1"], STAYS="1")
        self.assertEqual([a["code"] for a in r.json["attempts"]], [0])
        self.assertRegex(r.stderr, "yoke: the run has ended, and .* has not for 10 s: killed\n")
        r = self.launch("--device-memory", "1KiB", options=["-n", "1"], code=3, STAYS="1")
        self.assertEqual([a["code"] for a in r.json["attempts"]], [3])

    def test_a_launcher_that_starts_nothing_is_killed(self):
        self.write("mpirun", f"#!/bin/sh\n[ $1 != --version ] || exec echo HYDRA\nexec {sys.executable} launcher.py \"$@\"\n")
        os.chmod(os.path.join(self.dir, "mpirun"), 0o755)
        r = self.launch(options=["-n", "1", "--launcher", "./mpirun"], IDLES="1", YOKE_START_TIMEOUT="9.5")  # room for a loaded machine
        self.assertEqual([a["code"] for a in r.json["attempts"]], [137, 0])
        self.assertRegex(r.stderr, r"has started nothing that wrote to \S+/ck\.launch\.signs in 9\.5 s: killed; all hosts must")
        self.assertEqual(sorted(n for n in os.listdir(self.dir) if n.startswith("ck")), ["ck", "ck.launch.jsonl"])

    def test_a_launcher_may_stand_in_a_queue(self):
        r = self.launch(options=["-n", "1"], QUEUES="1", YOKE_START_TIMEOUT="1e-6")
        self.assertEqual([a["code"] for a in r.json["attempts"]], [0])
        self.assertIn("queued\nqueued\n", r.stderr)

    def test_signs_that_cannot_be_given(self):
        os.mkdir(os.path.join(self.dir, "ck.launch.signs"))
        r = self.launch(options=["-n", "1"], code=2)
        self.assertRegex(r.stderr, r"^yoke: cannot write \S+ck\.launch\.signs: Is a directory")
        r = subprocess.run([YOKE, "train", "job.yaml", "--signs", "none/signs"], cwd=self.dir, capture_output=True, text=True, timeout=60)
        self.assertEqual((r.returncode, r.stderr), (2, "yoke: none/signs: cannot write it: No such file or directory\n"))
        r = subprocess.run([YOKE, "launch", "-n", "1", "--", "train", "job.yaml"], cwd=self.dir, capture_output=True, text=True, timeout=60,
                           env={**os.environ, "YOKE_START_TIMEOUT": "soon"})
        self.assertEqual(r.returncode, 2)
        self.assertRegex(r.stderr, "^yoke: YOKE_START_TIMEOUT is 'soon'; it takes seconds")

    def test_restarts_are_used_up(self):
        r = self.launch(lives=[5, 5, 5], options=["-n", "1", "--max-restarts", "1"], code=4)
        self.assertEqual(len(r.json["attempts"]), 2)
        self.assertRegex(r.stderr, "1 restarts are used up\n(.*\n)*yoke: go on with: .* launch -n 1 --launcher .* --max-restarts 1 train job.yaml --resume .*/ck/step-0+\\d+\n$")

    def test_what_cannot_work_is_not_begun_again(self):
        self.assertEqual(len(self.launch("--resume", "nothere", options=["-n", "1"], code=2).json["attempts"]), 1)
        self.assertEqual(len(self.launch("--device-memory", "1KiB", options=["-n", "1"], code=3).json["attempts"]), 1)

    def test_a_host_is_gone(self):
        r = self.launch("--dp", "2", lives=[10], options=["-n", "2", "--hosts", "a,b"])
        self.assertEqual((self.life(0)["n"], self.life(0)["hosts"]), ("2", "a:1,b:1"))
        self.assertEqual((self.life(1)["n"], self.life(1)["hosts"]), ("1", "a:1"))
        self.assertRegex(r.stderr, "host b no longer answers\n.*going on with 1")
        layout = r.json["attempts"][1]["layout"]
        self.assertIn("dp=1,tp=1,pp=1,cp=1", layout)
        words = self.life(1)["words"]
        self.assertEqual(words[words.index("--layout") + 1], layout)

    def test_the_jobs_fallbacks_come_first(self):
        self.write("job.yaml", JOB + "launch: {fallbacks: [dp=3, 'tp=2,zero=0', dp=1]}\n")
        r = self.launch("--dp", "4", lives=[10], options=["-n", "2", "--hosts", "a,b"])
        self.assertIn("dp=1,tp=2,pp=1,cp=1", r.json["attempts"][1]["layout"])
        self.assertEqual(r.json["attempts"][1]["code"], 0)

    def test_a_fallback_is_a_layout_by_itself(self):
        """All of it holds, lists too, whatever the file and the flags say; of what is no split, the job's."""
        self.write("job.yaml", JOB + "layout: {devices: 4, dp: 2, tp: 2, zero: 1, threads: 1, bucket: 64KiB, device_memory: 1GiB}\n"
                   "launch: {fallbacks: ['pp=2,recompute=full,none,threads=2']}\n")
        r = self.launch("--zero", "2", "--devices", "4", lives=[10], options=["-n", "2", "--hosts", "a,b"])
        self.assertRegex(r.stderr, "going on with 1, --layout pp=2,bucket=64KiB,recompute=\\[full,none\\],threads=2,device_memory=1GiB\n")
        self.assertEqual([a["code"] for a in r.json["attempts"]], [137, 0])
        with open(os.path.join(self.dir, "ck", "step-00000040", "state.json")) as f:
            self.assertEqual(json.load(f)["layout"], "pp=2,bucket=64KiB,recompute=[full,none],threads=2,device_memory=1GiB")

    def test_layers_on_devices_of_choice(self):
        self.write("job.yaml", JOB.replace("out: 8}", "out: 8, device: 0}").replace("out: 3}", "out: 3, device: 1}"))
        r = self.launch("--dp", "2", lives=[10], options=["-n", "4", "--hosts", "a,b"])  # 2 x 2 devices
        self.assertRegex(r.stderr, "2 processes are left: going on with 2, --layout dp=1\n")
        self.assertEqual([a["code"] for a in r.json["attempts"]], [137, 0])

    def test_an_older_runs_folder(self):
        """Refused; or, where its steps may go, the run goes on from its own alone, whatever their numbers."""
        subprocess.run([YOKE, "train", "job.yaml", "--steps", "200", "--set", "train.optimizer.lr=0.01",
                        "--set", "checkpoint.every=20"], cwd=self.dir,
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        r = self.launch(options=["-n", "1"], code=2)
        self.assertEqual([a["code"] for a in r.json["attempts"]], [2])
        self.assertRegex(r.stderr, "ck: holds 10 steps of another run, the newest 200")
        os.remove(os.path.join(self.dir, "life-0"))
        subprocess.run([YOKE, "train", "job.yaml", "--set", "checkpoint.dir=clean"], cwd=self.dir, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # the first is lost before it has saved: the older run's step 20 is there
        r = self.launch("--overwrite", lives=[20, 10], options=["-n", "1"])
        self.assertEqual([a["from_step"] for a in r.json["attempts"]], [0, 0, 10])
        self.assertEqual(self.weights("ck"), self.weights("clean"))
        self.assertEqual(max(n for n in os.listdir(os.path.join(self.dir, "ck")) if n.startswith("step-")), "step-00000040")

    def test_a_scheduler_begins_the_job_again(self):
        """It goes on from its own steps, and has the lock that it left, though its host be gone."""
        self.launch(lives=[5], options=["-n", "1", "--max-restarts", "0"], code=4)
        file = os.path.join(self.dir, "ck", ".yoke-run")
        with open(file) as f:
            text = f.read()
        with open(file, "w") as f:  # the same file, and another host's
            f.write(re.sub("host .*", "host far", text))
        fd = os.open(file, os.O_RDWR)
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        r = self.launch(options=["-n", "1"], SLURM_RESTART_COUNT="1")
        os.close(fd)
        self.assertEqual([a["code"] for a in r.json["attempts"]], [0])
        self.assertIn("--resume", self.life(1)["words"])

    def test_a_signal_is_handed_on(self):
        for more in ({}, {"LOSES": "0"}, {"LOSES": "1"}):  # launchers that lose the code of the run
            with self.subTest(more):
                self.stopped(more)

    def stopped(self, more):
        p = subprocess.Popen([YOKE, "launch", "-n", "1", "--launcher", f"{sys.executable} launcher.py", "--", "train",
                              "job.yaml", "--steps", "100000000", "--set", "checkpoint.every=0"], cwd=self.dir,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "LIVES": "[]", **more})
        for line in p.stderr:
            if line.startswith("step"):
                break
        p.send_signal(signal.SIGTERM)
        rest = p.communicate(timeout=60)[1]
        self.assertEqual(p.returncode, 75, rest)
        self.assertRegex(rest, r"yoke: stopped by a signal; saved in \S+/ck/step-\d+\n(?:.*\n)*yoke: go on with: (.*)\n$")
        self.assertEqual(rest.count("go on with"), 1)
        words = shlex.split(rest[rest.index("go on with: ") + len("go on with: "):])
        self.assertEqual(words[:2], [YOKE, "launch"])
        step = words[words.index("--resume") + 1]
        os.remove(os.path.join(self.dir, "life-0"))
        words[words.index("--steps") + 1] = str(int(step[-8:]) + 2)
        again = subprocess.run([*words, "--json", "inner.json"], cwd=self.dir, capture_output=True, text=True, timeout=60, env={**os.environ, "LIVES": "[]"})
        self.assertEqual(again.returncode, 0, again.stderr)
        with open(os.path.join(self.dir, "inner.json")) as f:
            self.assertEqual([s["step"] for s in json.load(f)["steps"]], [int(step[-8:]), int(step[-8:]) + 1])
        self.assertFalse(os.path.exists(os.path.join(self.dir, "life-1")))
        os.remove(os.path.join(self.dir, "life-0"))
        shutil.rmtree(os.path.join(self.dir, "ck"))

    ENDLESS = ["launch", "-n", "1", "--launcher", f"{sys.executable} launcher.py", "train", "job.yaml", "--steps", "100000000",
               "--set", "checkpoint.every=0"]

    def until_a_step(self, stream):
        seen = b""
        while b"step" not in seen:
            seen += os.read(stream, 4096)

    def saved(self):
        return [name for name in os.listdir(os.path.join(self.dir, "ck")) if name.startswith("step-")]

    def test_nothing_is_left_behind(self):
        """Told to hang up, more than once; or killed: what was launched saves and ends. It holds a pipe as long as it lives."""
        for number, times in ((signal.SIGHUP, 2), (signal.SIGKILL, 1)):
            with self.subTest(number):
                lives, held = os.pipe()
                os.set_inheritable(held, True)
                p = subprocess.Popen([YOKE, *self.ENDLESS], cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                     env={**os.environ, "LIVES": "[]"}, pass_fds=[held])
                os.close(held)
                self.until_a_step(p.stderr.fileno())
                for _ in range(times):
                    p.send_signal(number)
                text = p.communicate(timeout=60)[1]
                self.assertEqual(p.returncode, 75 if number == signal.SIGHUP else -number, text)
                self.assertEqual(os.read(lives, 1), b"")  # nobody is there any more
                os.close(lives)
                self.assertEqual(len(self.saved()), 1)
                shutil.rmtree(os.path.join(self.dir, "ck"))

    def test_a_terminal_that_closes(self):
        lives, held = os.pipe()
        os.set_inheritable(held, True)
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.dir)
            os.environ["LIVES"] = "[]"
            os.execv(YOKE, [YOKE, *self.ENDLESS])
        os.close(held)
        self.until_a_step(terminal)
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 75)
        self.assertEqual(os.read(lives, 1), b"")
        os.close(lives)
        self.assertEqual(len(self.saved()), 1)

    def test_without_dashes(self):
        r = subprocess.run([YOKE, "launch", "-n", "1", "--json", "out.json", "--launcher", f"{sys.executable} launcher.py",
                            "train", "job.yaml", "--steps", "6", "--json", "inner.json"], cwd=self.dir, capture_output=True,
                           text=True, timeout=120, env={**os.environ, "LIVES": "[]"})
        self.assertEqual(r.returncode, 0, r.stderr)
        with open(os.path.join(self.dir, "out.json")) as outer, open(os.path.join(self.dir, "inner.json")) as inner:
            self.assertEqual((len(json.load(outer)["attempts"]), json.load(inner)["steps_done"]), (1, 6))

    def test_wrong_uses(self):
        for arguments, says in (([], "-n N is missing"), (["-n"], "-n needs a value"), (["-n", "2"], "what to run comes last"),
                                (["-n", "2", "--", "eval", "job.yaml"], "what to run comes last"),
                                (["-n", "3", "--", "train", "job.yaml", "--dp", "2"], "2 devices.*3 processes"),
                                (["-n", "2", "--hosts", "a,b,c", "--", "train", "job.yaml", "--dp", "2"], "3 hosts"),
                                (["-n", "1", "--", "train", "job.yaml", "--set", "checkpoint=null"], "checkpoint.dir"),
                                (["-n", "1", "--launcher", "no-such", "--", "train", "job.yaml"], "cannot start no-such"),
                                (["-n", "1", "--launcher", "true", "--", "train", "job.yaml"], "true has ended with 0, and nothing"),
                                (["-n", "1", "--", "train", "job.yaml", "--set", "launch.fallbacks=dp=x"], "fallbacks"),
                                (["-n", "1", "--", "train", "job.yaml", "--dpp", "2"], "nearest is --dp")):
            with self.subTest(arguments):
                r = subprocess.run([YOKE, "launch", *arguments], cwd=self.dir, capture_output=True, text=True, timeout=60)
                self.assertEqual(r.returncode, 2, r.stderr)
                self.assertRegex(r.stderr, says)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
