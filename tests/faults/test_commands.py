#!/usr/bin/env python3
"""The commands with every so many-th allocation, read and write of theirs failing: an exit code and a sentence, or all of
the work done, and right; never a crash or a hang.

    test_commands.py YOKE INJECT [STRIDE]
"""
import json, os, shutil, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faults import SCRATCH, Place

COMMANDS = [
    ["inspect", "ck"],
    ["schedule", "--schedule", "zb-h1", "--stages", "3", "--microbatches", "5"],
    ["eval", "ck"],
    ["verify", "job.yaml", "--dp", "2"],
    ["train", "job.yaml", "--set", "checkpoint.dir=new", "--dp", "2"],
    ["train", "job.yaml", "--resume", "ck", "--steps", "6", "--set", "checkpoint.dir=more"],
    ["compare", "job.yaml", "--steps", "3"],
]


def run(folder, command, kind, number=0, count=None):
    env = dict(os.environ, LD_PRELOAD=INJECT, INJECT_KIND=kind, INJECT_AT=str(number))
    if count:
        env["INJECT_COUNT"] = count
    line = [YOKE, *command, "--json", "out.json"]
    return subprocess.run(line, cwd=folder, env=env, capture_output=True, timeout=60)


def result(folder, command):
    """What does not depend on the clock in a command's JSON."""
    with open(os.path.join(folder, "out.json")) as text:
        report = json.load(text)
    keys = dict(train=["steps", "final_loss"], compare=[]).get(command[0])
    return report if keys is None else [report.get(key) for key in keys]


def check(command, kind, number, expected):
    with tempfile.TemporaryDirectory(dir=BASE) as folder:
        shutil.copytree(PLACE.folder, folder, dirs_exist_ok=True)
        ended = run(folder, command, kind, number)
        what = f"{' '.join(command)}, {kind}, call {number}: {ended.returncode}, {ended.stderr.decode()[-400:]!r}"
        assert 0 <= ended.returncode <= 5, what
        assert ended.returncode == 0 or b"yoke: " in ended.stderr, what
        if ended.returncode == 0:
            there = result(folder, command)
            assert there == expected, f"{what}: {there}, not {expected}"
        return ended.returncode == 0


if __name__ == "__main__":
    YOKE, INJECT = map(os.path.abspath, sys.argv[1:3])
    stride = int(sys.argv[3]) if len(sys.argv) > 3 else 199
    BASE = tempfile.mkdtemp(prefix="yoke-commands-", dir=SCRATCH)
    try:
        PLACE = Place(YOKE, None, os.path.join(BASE, "place"), 4, 2, keep=2)
        assert PLACE.run().code == 0
        for command in COMMANDS:
            for kind in ("memory", "files"):
                with tempfile.TemporaryDirectory(dir=BASE) as folder:
                    shutil.copytree(PLACE.folder, folder, dirs_exist_ok=True)
                    path = os.path.join(folder, "count")
                    ended = run(folder, command, kind, count=path)
                    assert ended.returncode == 0, ended.stderr
                    count, expected = int(open(path).read()), result(folder, command)
                numbers = range(1, count + 1, stride if kind == "memory" else (stride + 12) // 13)
                with ThreadPoolExecutor(2) as pool:
                    done = list(pool.map(lambda n: check(command, kind, n, expected), numbers))
                print(f"{' '.join(command)}: {len(done)} of {count} calls for {kind}, {done.count(True)} done all the same")
    finally:
        shutil.rmtree(BASE, ignore_errors=True)
