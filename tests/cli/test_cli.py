"""The program from outside: test_cli.py YOKE [test ...]. Standard library only."""
import fcntl
import json
import math
import os
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import unittest

import case

YOKE = os.path.abspath(sys.argv[1])
COMMANDS = ["train", "launch", "compare", "verify", "schedule", "plan", "generate", "predict", "eval", "inspect", "devices", "bench"]
ESCAPE = b"\x1b"
JOB = """model: {family: layers, input: [6], layers: [{type: linear, out: 8}, {type: tanh}, {type: linear, out: 3}]}
data: {format: random, samples: 50, holdout: 0.2}
train: {steps: 6, batch: 8, loss: cross_entropy, optimizer: {name: sgd, lr: 0.1}}
"""
TEXT = """model: {family: gpt2, layers: 2, heads: 2, width: 16, context: 16, vocab: 256}
data: {format: text, path: text.txt, holdout: 0.1}
train: {steps: 4, batch: 4, sequence: 16, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-3}, seed: 3}
"""


class Run:
    def __init__(self, *arguments, cwd=None, env=None, stdin=None):
        p = subprocess.run([YOKE, *map(str, arguments)], capture_output=True, cwd=cwd, timeout=120,
                           env={**os.environ, **(env or {})}, stdin=stdin)
        self.code, self.out, self.err = p.returncode, p.stdout, p.stderr.decode("utf-8")  # errors are UTF-8, always


class Case(case.Folder):
    def setUp(self):
        super().setUp()
        self.write("job.yaml", JOB)
        self.write("gpt.yaml", TEXT)
        self.write("text.txt", "To be, or not to be, that is the question.\n" * 60)

    def run_json(self, *arguments, code=0):
        """Runs with --json FILE; the exit code must be `code`."""
        r = Run(*arguments, "--json", self.path("out.json"), cwd=self.dir)
        self.assertEqual(r.code, code, f"{arguments}: {r.err}")
        with open(self.path("out.json"), encoding="utf-8") as f:
            r.json = json.load(f, parse_constant=lambda x: self.fail(f"{x} is no JSON"))
        self.assertEqual(r.json["version"], 1)
        return r

    def wrong(self, *arguments, says, code=2):
        """A wrong use: the exit code, at most four lines, a sentence that says so, the same in the JSON."""
        r = self.run_json(*arguments, code=code)
        self.assertRegex(r.err, says)
        self.assertLessEqual(len(r.err.splitlines()), 4)
        self.assertTrue(r.err.startswith("yoke: "), r.err)
        self.assertEqual(r.out, b"")
        error = r.json["error"]
        self.assertEqual(error["code"], code)
        self.assertTrue(error["message"])
        self.assertEqual(set(error), {"code", "message", "file", "line", "key", "would_fit"})
        return r


class Help(Case):
    def test_program(self):
        for arguments in (["--help"], ["-h"], ["help"]):
            r = Run(*arguments)
            self.assertEqual((r.code, r.err), (0, ""))
            for name in COMMANDS:
                self.assertIn(f"\n  {name} ", r.out.decode())

    def test_commands(self):
        for name in COMMANDS:
            text = Run(name, "--help").out
            self.assertEqual(Run(name, "-h").out, text)
            self.assertEqual(Run("help", name).out, text)
            text = text.decode()
            for part in (f"Usage: yoke {name}", "--json FILE", "--help", "Examples:", "Exit codes:\n  0 "):
                self.assertIn(part, text, name)
            self.assertLessEqual(max(map(len, text.splitlines())), 100, name)

    def test_help_with_other_options(self):
        self.assertEqual(Run("train", "--dp", "2", "--help").code, 0)

    def test_version(self):
        self.assertRegex(Run("--version").out.decode(), r"^yoke \d+\.\d+\.\d+\n$")


class WrongUse(Case):
    def test_no_command(self):
        r = Run()
        self.assertEqual(r.code, 2)
        self.assertIn("--help", r.err)

    def test_unknown_command(self):
        self.wrong("trian", says="'trian' is no command.*'train'")
        self.wrong("help", "trian", says="train")
        self.wrong("--frob", says="command comes first")

    def test_every_command_refuses_unknown_options(self):
        for name in COMMANDS:
            r = self.wrong(name, "--frobnicate", says=f"--frobnicate.*yoke {name}")
            self.assertEqual(r.json["error"]["key"], "--frobnicate")
            self.wrong(name, "-q", says="-q")
            self.wrong(name, "--jsom=x", says="--jsom.*--json")

    def test_nearest_option(self):
        self.wrong("train", "job.yaml", "--microbatch", 2, says="--microbatches")
        self.wrong("compare", "job.yaml", "--layout", "dp=2", says="--layouts")
        self.wrong("generate", "x", "--promt", "a", says="--prompt")

    def test_no_near_name(self):
        """Words that have nothing in common are no guesses."""
        self.write("t.csv", "age,income,class\n1,2,0\n3,4,1\n")
        r = self.wrong("train", "job.yaml", "--set", "data.format=csv", "--set", "data.path=t.csv", "--set", "data.samples=",
                       "--set", "data.targets=[nope]", says='no column is named "nope"')
        self.assertNotIn("did you mean", r.err)
        self.wrong("train", "job.yaml", "--version", says="--version is no option of `yoke train`: `yoke --version`")

    def test_what_is_no_job_and_no_checkpoint(self):
        self.wrong("train", self.dir, says="is a folder, and no job: .* job.yaml")
        self.wrong("compare", self.dir, says="is a folder, and no job")
        self.wrong("inspect", "job.yaml", says="is a file where a checkpoint's folder or a .safetensors file is needed")

    def test_arguments(self):
        for name in ("train", "compare", "verify", "generate", "predict", "eval", "inspect"):
            self.wrong(name, says="missing")
            self.wrong(name, "a", "b", says="'b' is one argument too many")
        self.wrong("devices", "a", says="too many")

    def test_values(self):
        self.wrong("train", "job.yaml", "--steps", says="--steps needs a value")
        self.wrong("train", "job.yaml", "--steps", "--resume", "x", says="--steps needs a value")
        self.wrong("train", "job.yaml", "--help=3", says="--help takes no value")
        for value in ("0", "-1", "x", "1.5", "", "99999999999999999999", "0x10"):
            self.wrong("train", "job.yaml", "--stop-after", value, says=f"--stop-after.*'{value}'")
        for value in ("0", "1025", "two"):
            self.wrong("compare", "job.yaml", "--devices", value, says=f"--devices.*'{value}'")
        for value in ("nan", "inf", "-1", "x", "1e999"):
            self.wrong("verify", "job.yaml", "--tolerance", value, says=f"--tolerance.*'{value}'")
            self.wrong("generate", "d", "--temperature", value, says=f"--temperature.*'{value}'")
        for value in ("1", "1,2", "1,2,3,4,5", "1,,2,3", "a,b,c,d", "1,2,-3,4", "1,2,3,", "1,2,nan,4"):
            self.wrong("schedule", "--stages", 2, "--microbatches", 2, "--times", value, says="--times")
        self.wrong("schedule", "--stages", 2, says="--microbatches")
        self.wrong("schedule", says="--stages")
        self.wrong("train", "job.yaml", "--set", "steps", says="--set takes KEY=VALUE.*'steps'")
        self.wrong("compare", "job.yaml", "--layouts", "auto", says="auto")
        self.wrong("train", "job.yaml", "--layout", "dp", says="'dp' is no KEY=VALUE")

    def test_keys_are_named_as_typed(self):
        for arguments, says in ((["--dp", 0], r"--dp 0: "), (["--dp", "x"], "--dp x: .*'x'"),
                                (["--set", "train.lr=3"], "--set train.lr=3: .*'optimizer.lr'"),
                                (["--precision", "f7"], "--precision f7: "), (["--steps=-1"], "--steps -1: "),
                                (["--layout", "dp=2,zreo=1"], r"--layout dp=2,zreo=1: .*'zero'"),
                                (["--device-memory", "3 cows"], "--device-memory 3 cows: "),
                                (["--devices", 3, "--dp", 2], "dp|devices"),
                                (["--pp", 2, "--schedule", "nope"], "--schedule nope: ")):
            r = self.wrong("train", "job.yaml", *arguments, says="^yoke: " + says)
            self.assertNotIn("job.yaml", r.err)
            self.assertTrue(r.json["error"]["key"])

    def test_the_last_flag_wins(self):
        self.wrong("train", "job.yaml", "--dp", 0, "--dp", "y", says="--dp y: ")

    def test_file_and_line(self):
        self.write("bad.yaml", JOB.replace("optimizer", "optimiser"))
        r = self.wrong("train", "bad.yaml", says=r"^yoke: \S*bad.yaml:3: .*optimizer")
        self.assertEqual((os.path.basename(r.json["error"]["file"]), r.json["error"]["line"]), ("bad.yaml", 3))
        self.wrong("train", "nowhere.yaml", says="nowhere.yaml")
        for name in ("verify", "compare", "eval"):
            self.wrong(name, "bad.yaml", says="bad.yaml:3: ")

    def test_bytes_that_are_no_text(self):
        p = subprocess.run([YOKE, "train", b"x\xff\x1b[31m\n.yaml", "--json", "-"], capture_output=True)
        self.assertEqual(p.returncode, 2)
        self.assertIn(rb"\xff\x1b[31m", p.stderr)
        self.assertEqual(p.stderr.count(b"\n"), 1)
        self.assertNotIn(ESCAPE, p.stderr)
        json.loads(p.stdout.decode("utf-8"))

    def test_json_that_cannot_be_written(self):
        for path in ("/nonexistent/x.json", self.dir):
            for arguments in (["devices"], ["train", "job.yaml"], ["frob"]):
                r = Run(*arguments, "--json", path, cwd=self.dir)
                self.assertEqual(r.code, 1, r.err)
                self.assertIn("cannot write", r.err)
        self.assertEqual(Run("devices", "--json", "/dev/full").code, 1)
        self.assertEqual(Run("devices", "--json").code, 2)

    def test_standard_output_that_is_full(self):
        with open("/dev/full", "w") as full:
            for arguments in (["--help"], ["devices"], ["devices", "--json", "-"]):
                p = subprocess.run([YOKE, *arguments], stdout=full, stderr=subprocess.PIPE)
                self.assertEqual(p.returncode, 1, arguments)
                self.assertIn(b"cannot write", p.stderr)

    def test_standard_output_that_is_closed(self):
        p = subprocess.run(f"'{YOKE}' devices --json out.json >&-", shell=True, cwd=self.dir, stderr=subprocess.PIPE)
        self.assertEqual(p.returncode, 1)
        with open(self.path("out.json")) as f:
            self.assertTrue(json.load(f)["devices"])


class Output(Case):
    def test_json_on_standard_output_is_alone(self):
        r = Run("schedule", "--stages", 2, "--microbatches", 2, "--json", "-")
        self.assertEqual(r.code, 0)
        self.assertEqual(set(json.loads(r.out)), {"version", "stages", "microbatches", "makespan", "bubble_rate", "idle_share", "actions"})

    def test_json_replaces_a_longer_file(self):
        self.write("out.json", "x" * 100000)
        self.run_json("devices")

    def test_devices(self):
        r = self.run_json("devices")
        self.assertRegex(r.out.decode(), r"cpu:0")
        self.assertGreaterEqual(r.json["devices"][0]["cores"], 1)
        self.assertGreater(r.json["devices"][0]["memory_bytes"], 2**20)

    def test_an_environment_that_cannot_be_had_is_refused(self):
        with open("/proc/cpuinfo") as f:
            avx512 = "avx512f" in f.read()
        cases = [("YOKE_ISA", "nonsense", "^yoke: YOKE_ISA is 'nonsense'; it takes base, avx2 or avx512"),
                 ("YOKE_ISA", "AVX2", "YOKE_ISA is 'AVX2'")]
        if not avx512:
            cases.append(("YOKE_ISA", "avx512", r"^yoke: YOKE_ISA is avx512, and the best that this CPU has is (base|avx2)"))
        for name, value, says in cases:
            for arguments in (["train", "job.yaml"], ["eval", "job.yaml"], ["compare", "job.yaml"]):
                r = Run(*arguments, cwd=self.dir, env={name: value})
                self.assertEqual(r.code, 2, r.err)
                self.assertRegex(r.err, says)
        for value in ("", "base"):
            self.assertEqual(Run("train", "job.yaml", cwd=self.dir, env={"YOKE_ISA": value}).code, 0)

    def test_teams_that_openmp_may_not_make_are_refused(self):
        limited = {"OMP_THREAD_LIMIT": "1"}
        r = Run("train", "job.yaml", "--threads", "2", cwd=self.dir, env=limited)
        with open(YOKE, "rb") as f:
            openmp = b"libgomp" in f.read()
        if openmp:
            self.assertEqual(r.code, 2, r.err)
            self.assertRegex(r.err, "2 threads, and OMP_THREAD_LIMIT allows 1")
        self.assertEqual(Run("train", "job.yaml", "--threads", "1", cwd=self.dir, env=limited).code, 0)

    def test_devices_of_a_machine(self):
        r = self.run_json("devices", "--machine", "h100-sxm:8x1280")
        self.assertRegex(r.out.decode(), r"cpu:0")
        self.assertRegex(r.out.decode(), r"h100-sxm:8x1280: 10,240 devices H100-SXM5-80GB, described and not measured\n")
        self.assertRegex(r.out.decode(), r"bf16\s+989.4\s+TFLOP/s")
        self.assertRegex(r.out.decode(), r"infiniband +1280 +nvlink +10240 +50 GB/s +an adapter +14 us +8\n")
        self.assertLessEqual(max(map(len, r.out.decode().splitlines())), 80)
        self.assertTrue(r.json["devices"])
        m = r.json["machine"]
        self.assertEqual((m["name"], m["devices"], m["measured"], m["exceptions"]), ("h100-sxm:8x1280", 10240, None, []))
        self.assertEqual(m["device"]["memory_bytes"], 80 * 10**9)
        self.assertEqual(m["device"]["rates"]["bf16"], 989.4e12)
        self.assertEqual([(v["name"], v["count"], v["adapters"]) for v in m["levels"]], [("nvlink", 8, 0), ("infiniband", 1280, 8)])
        self.assertNotIn("machine", self.run_json("devices").json)

    def test_devices_of_a_machine_file(self):
        self.write("m.yaml", """name: a CPU
device:
  {name: core, memory: 8GiB, reserve: 1GiB, rates: {f32: 80 GFLOP/s}, bandwidth: 10 GB/s, launch: 1.5 us, cores: 4,
   shared_rate: {2: 0.7, 4: 0.4}, efficiency: [{work: 1e6, share: 0.5}]}
levels: [{name: memory, count: 4, bandwidth: 5 GB/s, latency: 200 ns, oversubscription: 1.5}]
contention: 0.25
exceptions: [{device: 3, slower: 2}, {level: memory, group: 1, bandwidth: 8 Gb/s}]
measured: {on: 2026-01-31, by: hand}
""")
        r = self.run_json("devices", "--machine", "m.yaml")
        out = r.out.decode()
        for part in ("a CPU: 4 devices core, measured 2026-01-31 by hand", "7.516 GB usable of 8.59 GB, 10 GB/s", "f32 80 GFLOP/s", "1.5 us a kernel",
                     "0.5 of the rate by products of 1 MFLOP", "4, which devices share: each has 0.7 of its rate where 2 work", "0.25 of a product's rate",
                     "5 GB/s  a device   200 ns", "oversubscribed 1.5 to 1", "device 3 takes 2 times as long", "level memory, group 1 has 1 GB/s"):
            self.assertIn(part, out)
        m = r.json["machine"]
        self.assertEqual(m["exceptions"], [{"device": 3, "slower": 2}, {"level": "memory", "group": 1, "bandwidth_bytes_s": 10**9}])
        self.assertEqual(m["measured"], {"on": "2026-01-31", "by": "hand", "command": None})
        self.assertEqual(m["device"]["shared_rate"], [{"devices": 2, "rate": 0.7}, {"devices": 4, "rate": 0.4}])
        self.assertEqual(m["device"]["efficiency"], [{"work": 10**6, "share": 0.5}])
        many = "".join(f"  - {{device: {i}, slower: 2}}\n" for i in range(12))
        self.write("m.yaml", "name: m\ndevice: {name: d, memory: 1GB, rates: {f32: 1 FLOP/s}, bandwidth: 1 B/s}\n"
                             "levels: [{name: a, count: 12, bandwidth: 1 B/s, latency: 0 s}]\nexceptions:\n" + many)
        r = self.run_json("devices", "--machine", "m.yaml")
        self.assertIn("device 7 takes 2 times as long\n  and 4 more\n", r.out.decode())
        self.assertEqual(len(r.json["machine"]["exceptions"]), 12)
        self.write("m.yaml", "name: m\ndevice:\n  {name: d, memory: 1GB, rates: {f32: 1}, bandwidth: 1 B/s}\n")
        r = self.wrong("devices", "--machine", "m.yaml", says="^yoke: m.yaml:3: device.rates.f32: must be a rate like 312 TFLOP/s: 1 has no unit")
        self.assertEqual((r.json["error"]["line"], r.json["error"]["key"]), (3, "device.rates.f32"))
        for machine, says in (("h10-sxm", "did you mean 'h100-sxm'"), ("h100-sxm:8", "PERNODExNODES"), ("nothing.yaml", "no machine 'nothing.yaml'")):
            self.wrong("devices", "--machine", machine, says=says)
        r = Run("devices", "--machine", "here", cwd=self.dir, env={**os.environ, "XDG_DATA_HOME": self.dir})
        self.assertEqual(r.code, 2)
        self.assertIn("has not been measured", r.err)

    def test_schedule(self):
        for name in ("gpipe", "1f1b", "zb-h1", "zb-h2"):
            r = self.run_json("schedule", "--schedule", name, "--stages", 3, "--microbatches", 5, "--times", "1,1,1,0")
            self.assertEqual(len([a for a in r.json["actions"] if a["kind"] == "F"]), 15)
            self.assertLessEqual(max(map(len, r.out.decode().splitlines())), 80)
            for a in r.json["actions"]:
                self.assertEqual(set(a), {"stage", "kind", "microbatch", "chunk", "start", "end"})
        # 1F1B, F 1 and BW 2: (m + p - 1) of 3 for 3 m of work
        one = self.run_json("schedule", "--stages", 4, "--microbatches", 6).json
        self.assertAlmostEqual(one["makespan"], 3 * (6 + 3))
        self.assertAlmostEqual(one["bubble_rate"], 3 / 9)

    def test_times_are_divided_by_chunks(self):
        r = self.run_json("schedule", "--schedule", "interleaved", "--stages", 2, "--microbatches", 2, "--chunks", 2,
                          "--times", "1,1,1,0")
        self.assertEqual({a["end"] - a["start"] for a in r.json["actions"] if a["kind"] == "F"}, {0.5})

    def test_schedule_files(self):
        out, svg = self.path("s.txt"), self.path("s.svg")
        first = self.run_json("schedule", "--schedule", "zb-h1", "--stages", 3, "--microbatches", 4, "--out", out, "--svg", svg).json
        self.assertEqual(self.run_json("schedule", "--schedule", out).json, first)
        for flag, file in (("--out", out), ("--svg", svg)):
            with open(file, "rb") as f:
                self.assertEqual(Run("schedule", "--schedule", out, flag, "-").out, f.read())
        for two in (["--out", "-", "--svg", "-"], ["--svg", "-", "--json", "-"]):
            r = Run("schedule", "--schedule", out, *two)
            self.assertEqual(r.code, 2)
            self.assertIn("standard output takes one of --out -, --svg - and --json -", r.err)
        with open(svg) as f:
            self.assertIn("<svg", f.read())
        self.wrong("schedule", "--stages", 2, "--microbatches", 2, "--out", "/nonexistent/x", says="cannot write /nonexistent/x")
        self.write("bad.txt", "F0 BW0 F1 BW1\nF1 BW1 F0 BW0\n")
        self.wrong("schedule", "--schedule", self.path("bad.txt"), says="stage.*F")
        self.wrong("schedule", "--schedule", "/nonexistent.txt", says="nonexistent")
        self.wrong("schedule", "--schedule", "nope", "--stages", 2, "--microbatches", 2, says="nope.*1f1b")
        self.assertEqual(Run("schedule", "--stages", 2, "--microbatches", 2, "--out", "/dev/full").code, 1)

    def test_plain_in_a_pipe(self):
        for arguments in (["--help"], ["train", "--help"], ["devices"], ["schedule", "--stages", 2, "--microbatches", 2]):
            r = Run(*arguments, env={"TERM": "xterm"})
            self.assertNotIn(ESCAPE, r.out)
            self.assertNotIn(b"\r", r.out)

    def test_no_colour(self):
        self.assertIn(ESCAPE, terminal("--help", env={"TERM": "xterm"}))
        for env in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn(ESCAPE, terminal("--help", env=env))


def terminal(*arguments, cwd=None, env=None, columns=None):
    """What the program shows in a terminal, standard output and error together."""
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    environment.update(env or {})
    pid, file = pty.fork()
    if pid == 0:
        if columns:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.chdir(cwd or "/")
        os.execve(YOKE, [YOKE, *map(str, arguments)], environment)
    shown = b""
    while select.select([file], [], [], 60)[0]:
        try:
            piece = os.read(file, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.waitpid(pid, 0)
    os.close(file)
    return shown


def lines_shown(text):
    """Lines as they stand in a terminal at the end: without colours, and without what was drawn over."""
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", text).replace(b"\r\n", b"\n")
    return [re.split(r"\r|\x1b\[K", line)[-1] for line in plain.decode().split("\n")]


class Widths(Case):
    """No line is longer than the terminal."""

    def check(self, columns, *arguments):
        lines = lines_shown(terminal(*arguments, cwd=self.dir, env={"TERM": "xterm"}, columns=columns))
        self.assertTrue(any(lines))
        for line in lines:
            self.assertLessEqual(len(line), columns, (arguments, line))
        return lines

    def test_help(self):
        for columns in (60, 80, 120):
            self.check(columns, "--help")
            for name in COMMANDS:
                self.check(columns, name, "--help")

    def test_tables(self):
        for columns in (80, 120):
            lines = self.check(columns, "compare", "gpt.yaml", "--steps", 2, "--layouts",
                               "dp=2,zero=1,recompute=full,microbatches=2,device_memory=1GiB; tp=3")
            text = "\n".join(lines)
            for word in ("speed-up", "predicted", "measured", "moved", "loss diff", "refused: "):
                self.assertIn(word, text)
            text = "\n".join(self.check(columns, "train", "gpt.yaml", "--dp", 2))
            for word in ("predicted", "measured", "weights", "optimizer", "workspace", "moved per step"):
                self.assertIn(word, text)
            self.check(columns, "verify", "gpt.yaml", "--tp", 2)
            self.check(columns, "schedule", "--stages", 4, "--microbatches", 8)
            self.check(columns, "devices")
            self.check(columns, "eval", "gpt.yaml")

    def test_errors(self):
        """Sentences are wrapped at words in a terminal, and one line in a pipe; flags too, to be copied as they stand."""
        arguments = ["train", "gpt.yaml", "--device-memory", "300KiB"]
        text = "\n".join(self.check(80, *arguments))
        r = self.wrong(*arguments, code=3, says="would fit: --")
        sentence, *fits = r.err.splitlines()
        self.assertIn(" ".join(sentence.split()), " ".join(text.split()))
        self.assertEqual([re.sub("^(would fit|       or): ", "", x) for x in fits], r.json["error"]["would_fit"][:3])
        for columns in (40, 80):
            text = "\n".join(self.check(columns, *arguments))
            for line in fits:
                self.assertIn(" ".join(line.split()), " ".join(text.replace(" \\\n", " ").split()))

    def test_what_would_fit_fits(self):
        """Flags mean what they say: after the flags that were refused, and alone with the file."""
        with open(self.dir + "/gpt.yaml") as f:
            job = f.read()
        self.write("laid.yaml", job + "layout: {tp: 2, microbatches: 2, device_memory: 300KiB}\n")
        self.write("listed.yaml", job + "layout: {devices: 2}\n")
        tried = 0
        for file, given in (("gpt.yaml", ["--device-memory", "300KiB"]), ("laid.yaml", ["--recompute", "full"]), ("laid.yaml", []),
                            ("gpt.yaml", ["--dp", "2", "--device-memory", "300KiB"]),
                            ("listed.yaml", ["--device-memory", "300KiB"]), ("listed.yaml", ["--dp", "1", "--device-memory", "300KiB"])):
            p = subprocess.run([YOKE, "train", file, *given, "--dry-run", "--json", "-"], cwd=self.dir, capture_output=True, text=True)
            if p.returncode == 0:
                continue
            self.assertEqual(p.returncode, 3, p.stderr)
            for flags in json.loads(p.stdout)["error"]["would_fit"]:
                self.assertNotIn("--pp 1", flags)
                self.assertIn("--device-memory 300KiB", flags)
                reports = []
                for before in (given, []):
                    words = ["train", file, *before, *flags.split(), "--dry-run"]
                    reports.append(self.run_json(*words).json["devices"])
                    tried += 1
                self.assertEqual(*reports)
        self.assertGreater(tried, 8)

    def test_more_devices_than_cores(self):
        devices = 1 + max(x["cores"] for x in self.run_json("devices").json["devices"])
        says = f"yoke: {devices} devices .*share .*times say nothing about {devices} devices"
        p = subprocess.run([YOKE, "train", "gpt.yaml", "--dp", str(devices), "--set", f"train.batch={devices}", "--steps", "1"],
                           cwd=self.dir, capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertRegex(p.stderr, says)
        p = subprocess.run([YOKE, "compare", "gpt.yaml", "--devices", str(devices), "--set", f"train.batch={devices}", "--steps", "1",
                            "--json", "t.json"], cwd=self.dir, capture_output=True, text=True)
        self.assertRegex(p.stderr.splitlines()[0], says)
        self.assertRegex(p.stdout, f"{devices} devices share .*: they wait for a core")
        with open(self.dir + "/t.json") as f:
            self.assertIs(json.load(f)["trusted"], False)

    def test_more_threads_than_cores(self):
        cores = max(x["cores"] for x in self.run_json("devices").json["devices"])
        r = Run("train", "job.yaml", "--threads", cores + 1, cwd=self.dir)
        self.assertEqual(r.code, 0, r.err)
        self.assertRegex(r.err, f"yoke: {cores + 1} threads of one device share {cores} core.*: they wait for a core")

    def test_short_times(self):
        """Times of tiny runs are milliseconds, not powers of ten."""
        r = Run("train", "job.yaml", "--set", "eval.every=2", "--set", "checkpoint.dir=c", cwd=self.dir)
        self.assertRegex(r.out.decode(), r"evaluated      on the way, in [\d.]+ m?s\nsaved          1 time, for which steps waited [\d.]+ m?s\n")

    def test_names_of_classes(self):
        """Names stand whole where there is room for them."""
        kinds = ["early-flowering", "late-flowering"]
        self.write("t.csv", "a,kind\n" + "".join(f"{i % 7},{kinds[i % 2]}\n" for i in range(40)))
        self.write("csv.yaml", "model: {family: layers, input: [1], layers: [{type: linear, out: 2}]}\n"
                   "data: {format: csv, path: t.csv, targets: [kind]}\ntrain: {steps: 2, batch: 8}\n")
        text = "\n".join(self.check(80, "eval", "csv.yaml"))
        for kind in kinds:
            self.assertEqual(text.count(kind), 2)

    def test_compare_shows_more(self):
        """What a row suggests is the row's own job and layout, whatever the command line and the job's layout."""
        self.write("a job.yaml", TEXT + "layout: {dp: 2, microbatches: 2}\n")
        arguments = ["compare", "a job.yaml", "--steps", 1, "--set", "train.batch=8", "--precision", "bf16"]
        rows = {x["strategy"]: x for x in self.run_json(*arguments).json["rows"]}
        for name, devices in (("single", 1), ("data", 2), ("pipeline", 2), ("tensor", 2), ("whole", 1)):
            more = rows[name]["more"]
            program, command, *words = shlex.split(more)
            self.assertEqual((program, words[0]), ("yoke", "a job.yaml"), more)
            if command == "train":
                report = self.run_json(command, *words, "--dry-run").json
                self.assertEqual(len(report["devices"]), devices, more)
                self.assertEqual(max(x["predicted_peak_bytes"] for x in report["devices"]), rows[name]["predicted_peak_bytes"], more)
            else:
                self.assertEqual(self.run_json(command, *words).json["stages"], rows[name]["mesh"]["pp"], more)
        text = "\n".join(self.check(80, *arguments)).replace(" \\\n", " ")
        self.assertIn(" ".join(rows["data"]["more"].split()), " ".join(text.split()))
        self.wrong("compare", "job.yaml", "--dp", 2, says="write --layouts dp=2, which adds a row")

    def test_compare_fits_before_weights(self):
        """What does not fit is refused by its size: 1.5 G first weights are not made, nor room for them."""
        self.write("xl.yaml", "model: {family: gpt2, layers: 48, heads: 25, width: 1600, context: 64, vocab: 50257}\n"
                   "data: {format: random}\ntrain: {steps: 2, batch: 8, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-3}}\n")
        p = subprocess.run([YOKE, "compare", "xl.yaml", "--devices", "8", "--device-memory", "1MiB", "--json", "-"], cwd=self.dir,
                           capture_output=True, text=True, timeout=250)
        self.assertEqual(p.returncode, 0, p.stderr)
        rows = {x["strategy"]: x["status"] for x in json.loads(p.stdout)["rows"]}
        self.assertEqual((rows["single"], rows["data"], rows["whole"]), ("does_not_fit",) * 3)
        self.assertNotIn("ok", rows.values())


class Training(Case):
    KINDS = {"weights", "gradients", "optimizer", "activations", "movement", "workspace"}

    def test_report(self):
        r = self.run_json("train", "job.yaml")
        j = r.json
        self.assertEqual([s["step"] for s in j["steps"]], list(range(6)))
        self.assertEqual(j["final_loss"], j["steps"][-1]["loss"])
        for key in ("step_ms_median", "samples_per_s"):
            self.assertGreater(j[key], 0)
        self.assertIsNone(j["tokens_per_s"])
        self.assertEqual(set(j["devices"][0]["bytes"]), self.KINDS)
        self.assertEqual(set(j["moved_by_axis"]), {"dp", "tp", "pp", "cp"})
        self.assertEqual(j["actions_run"].split(), ["F0", "BW0"])
        self.assertEqual(j["held_out"]["samples"], 10)
        self.assertTrue(0 <= j["held_out"]["accuracy"] <= 1)
        self.assertRegex(r.out.decode(), r"final loss.*after 6 of 6 steps(.|\n)*cpu:0(.|\n)*held-out loss")
        self.assertEqual(len(r.err.splitlines()), 6)

    def test_flags_are_overrides(self):
        a = self.run_json("train", "job.yaml", "--dp", 2, "--steps=3").json
        b = self.run_json("train", "job.yaml", "--layout", "dp=2", "--set", "train.steps=3").json
        self.assertEqual(len(a["devices"]), 2)
        self.assertEqual(a["steps"], b["steps"])
        c = self.run_json("train", "job.yaml", "--devices", "cpu:3,cpu:1", "--steps", 3).json
        self.assertEqual([d["name"] for d in c["devices"]], ["cpu:3", "cpu:1"])

    def test_plain_lines_of_a_long_run(self):
        r = Run("train", "job.yaml", "--steps", 200, cwd=self.dir)
        self.assertLessEqual(len(r.err.splitlines()), 23)
        self.assertIn("step 200/200", r.err.splitlines()[-1])
        self.assertNotIn("\r", r.err)

    def test_terminal(self):
        shown = terminal("train", "job.yaml", cwd=self.dir, env={"TERM": "xterm"})
        self.assertRegex(shown, rb"\r.*step 6/6.*loss")
        plain = terminal("train", "job.yaml", cwd=self.dir, env={"TERM": "xterm", "NO_COLOR": "1"})
        self.assertNotRegex(plain, rb"\x1b\[[0-9;]*m")
        self.assertNotIn(ESCAPE, terminal("train", "job.yaml", cwd=self.dir, env={"TERM": "dumb"}))

    def test_stop_and_resume(self):
        whole = self.run_json("train", "job.yaml").json["steps"]
        r = self.run_json("train", "job.yaml", "--stop-after", 2, "--set", "checkpoint.dir=ck")
        self.assertRegex(r.out.decode(), r"saved in \S*step-00000002.*--resume")
        self.assertEqual(r.json["steps"], whole[:2])
        r = self.run_json("train", "job.yaml", "--resume", "ck", "--set", "checkpoint.dir=ck")
        self.assertEqual(r.json["steps"], whole[2:])
        r = self.run_json("train", "job.yaml", "--resume", "ck")
        self.assertEqual((r.json["steps"], r.json["final_loss"]), ([], None))
        self.wrong("train", "job.yaml", "--resume", "/nonexistent", says="nonexistent")
        seen = self.run_json("inspect", "ck")
        self.assertEqual(seen.json["step"], 6)
        self.assertIn("0.weight", [t["name"] for t in seen.json["tensors"]])
        self.assertIn("[8, 6]", seen.out.decode())
        self.assertAlmostEqual(self.run_json("eval", "ck").json["loss"], r.json["held_out"]["loss"], 6)

    def test_signals(self):
        for number, extra in ((signal.SIGTERM, []), (signal.SIGUSR1, []), (signal.SIGINT, ["--set", "checkpoint.dir=ck"])):
            shutil.rmtree(self.path("yoke-interrupted"), ignore_errors=True)
            p = subprocess.Popen([YOKE, "train", "job.yaml", "--steps", "100000000", "--json", "s.json", *extra],
                                 cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.assertIn("step", p.stderr.readline())
            p.send_signal(number)
            text = p.communicate(timeout=60)[1]
            self.assertEqual(p.returncode, 75, text)
            place = "ck" if extra else "yoke-interrupted"
            self.assertRegex(text, rf"saved in \S*{place}.*--resume \S*{place}")
            with open(self.path("s.json")) as f:
                j = json.load(f)
            self.assertEqual(j["error"]["code"], 75)
            n = j["steps_done"]
            r = self.run_json("train", "job.yaml", "--steps", n + 2, "--resume", place)
            self.assertEqual([s["step"] for s in r.json["steps"]], [n, n + 1])

    def test_does_not_fit(self):
        r = self.wrong("train", "job.yaml", "--device-memory", "1KiB", says="cpu:0|device 0", code=3)
        peak = self.run_json("train", "job.yaml").json["devices"][0]["predicted_peak_bytes"]
        self.wrong("train", "job.yaml", "--device-memory", peak - 1, says="bytes|KiB", code=3)
        self.run_json("train", "job.yaml", "--device-memory", peak)
        self.assertIsInstance(r.json["error"]["would_fit"], list)

    def test_not_finite(self):
        r = self.run_json("train", "gpt.yaml", "--set", "train.optimizer.lr=1e38", "--steps", 60, code=5)
        self.assertEqual(r.json["error"]["code"], 5)

    def test_verify(self):
        r = self.run_json("verify", "gpt.yaml", "--dp", 2, "--tp", 2, "--write-gradients", "g.safetensors")
        self.assertTrue(r.json["passed"])
        errors = [t["rel_err"] for t in r.json["tensors"]]
        self.assertEqual(errors, sorted(errors, reverse=True))
        self.assertTrue(self.run_json("verify", "gpt.yaml", "--against", "g.safetensors").json["passed"])
        r = self.run_json("verify", "gpt.yaml", "--against", "g.safetensors", "--set", "train.seed=4", code=1)
        self.assertFalse(r.json["passed"])
        self.assertLessEqual(len(re.findall("too far", r.out.decode())), 10)
        self.wrong("verify", "gpt.yaml", "--against", "nowhere.safetensors", says="nowhere")

    def test_compare(self):
        r = self.run_json("compare", "gpt.yaml", "--steps", 2, "--layouts", " dp=2,zero=1 ; tp=2;")
        rows = {x["strategy"]: x for x in r.json["rows"]}
        self.assertEqual(list(rows), ["single", "data", "model", "pipeline", "tensor", "whole", "dp=2,zero=1", "tp=2"])
        for x in rows.values():
            self.assertIn(x["status"], ("ok", "refused", "does_not_fit", "failed"))
            self.assertTrue(x["status"] == "ok" or x["reason"])
        text = r.out.decode()
        self.assertLessEqual(max(map(len, text.splitlines())), 110)
        self.assertRegex(text.splitlines()[0], r"2 devices.*thread.*core.*steps")
        self.assertEqual(rows["single"]["speedup"], 1)
        self.assertEqual(r.json["rounds"], 3)
        self.assertIsInstance(r.json["trusted"], bool)
        for x in rows.values():
            if x["status"] == "ok":
                self.assertTrue(0 < x["step_ms_min"] <= x["step_ms"] <= x["step_ms_max"], x)

    def test_recompute(self):
        plain = self.run_json("train", "gpt.yaml", "--pp", 2, "--microbatches", 2).json
        for arguments in (["--recompute", "full,none"], ["--layout", "recompute=full,none,dp=1"],
                          ["--layout", "recompute=[full,none]"], ["--set", "layout.recompute=[full, none]"]):
            r = self.run_json("train", "gpt.yaml", "--pp", 2, "--microbatches", 2, *arguments).json
            self.assertEqual(r["steps"], plain["steps"])
            a, b = (x["devices"] for x in (r, plain))
            self.assertLess(a[0]["predicted_peak_bytes"], b[0]["predicted_peak_bytes"])
            self.assertEqual(a[1]["predicted_peak_bytes"], b[1]["predicted_peak_bytes"])
        self.wrong("train", "gpt.yaml", "--recompute", "full,none", says="recompute has 2 entries, and the layout 1 stage")
        self.wrong("train", "gpt.yaml", "--recompute", "some", says="--recompute some: .*none, selective or full")
        r = self.run_json("compare", "gpt.yaml", "--steps", 2, "--layouts", "pp=2,recompute=full,none; recompute=selective")
        self.assertEqual([x["recompute"] for x in r.json["rows"]], ["none"] * 6 + [["full", "none"], "selective"])

    def test_generate_and_eval(self):
        self.run_json("train", "gpt.yaml", "--set", "checkpoint.dir=ck")
        a, b = (self.run_json("generate", "ck", "--prompt", "To be", "--tokens", 12, "--seed", s) for s in (1, 1))
        self.assertEqual(a.json["text"], b.json["text"])
        self.assertEqual((a.json["stopped"], len(a.json["prompt_tokens"]) + len(a.json["tokens"])), ("context", 16))
        self.assertTrue(a.out.decode("utf-8").startswith("To be"))
        self.assertNotIn(ESCAPE, a.out)
        e = self.run_json("eval", "ck")
        self.assertTrue(math.isfinite(e.json["loss"]) and e.json["samples"] > 0)
        self.assertTrue(math.isfinite(self.run_json("eval", "gpt.yaml").json["loss"]))
        self.wrong("generate", "/nonexistent", says="nonexistent")
        self.wrong("inspect", "/nonexistent", says="nonexistent")
        self.wrong("eval", "/nonexistent", says="nonexistent")

    def test_schedule_of_a_job(self):
        r = self.run_json("schedule", "gpt.yaml", "--stages", 2, "--microbatches", 4, "--schedule", "gpipe")
        self.assertEqual(len(r.json["actions"]), 2 * 4 * 2)
        self.wrong("schedule", "gpt.yaml", "--stages", 40, says="stages|pp|layer")


if __name__ == "__main__":
    unittest.main(argv=["test_cli.py", *sys.argv[2:]])
