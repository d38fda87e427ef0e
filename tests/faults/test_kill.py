#!/usr/bin/env python3
"""Kills a run at every call that changes or flushes its checkpoints (open, write, reserve, fsync, rename, mkdir, unlink):
each time --resume takes the newest complete step, says which, and ends with the clean run's loss, bit for bit.

    test_kill.py YOKE SHIM [--stride K]     every K-th call
"""
import os, shutil, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faults import KILLED, SCRATCH, STEP, Place

STEPS, EVERY = 4, 2
CASES = {  # flags, kind of fault, intervals that may be lost, stride
    "one rank": ([], "kill", 1, 1),
    "four ranks": (["--dp", 4, "--zero", 1], "torn", 1, 1),
    # beside the run: steps go on while a save is written, at most until the next save is due
    "four ranks, beside the run": (["--dp", 2, "--tp", 2, "--set", "checkpoint.async=true"], "kill", 2, 2),
    "over an older run": (["--overwrite"], "kill", 1, 2),
}


def place(folder, flags):
    return Place(YOKE, SHIM, folder, STEPS, EVERY, keep=1, flags=map(str, flags))


def check(case, number, clean, older):
    flags, kind, intervals, _ = CASES[case]
    with tempfile.TemporaryDirectory(dir=BASE) as folder:
        p = place(folder, flags)
        if older:
            shutil.copytree(older, p.checkpoints)
        what = f"{case}, call {number}"
        first = p.run(fault=dict(AT=number, KIND=kind))
        if first.code == 0:
            return False  # another order of calls: this run had fewer
        assert first.code == KILLED, f"{what}: ended with {first.code}: {first.err}"
        done, newest = first.last_step or 0, p.newest()
        if newest is None:
            assert done <= EVERY * intervals, f"{what}: {done} steps are lost"
            assert p.run(resume=True).code == 2, f"{what}: resumed from nothing"
            again = p.run()
        else:
            assert older or done - newest <= EVERY * intervals, f"{what}: at {done}, and {newest} is the newest"
            again = p.run(resume=True)
            assert again.resumed == newest, f"{what}: {newest} is the newest, and {again.resumed} was taken"
        assert again.code == 0, f"{what}: resuming ended with {again.code}: {again.err}"
        last = again.final_loss if again.final_loss is not None else p.state(STEPS)["last_loss"]
        assert last == clean, f"{what}: ends with {last}, not {clean}"
        if again.final_loss is not None:  # it saved, so nothing of the killed save is left
            assert all(STEP.match(name) for name in p.names()), f"{what}: left {p.names()}"
        return True


def run(case, stride):
    flags, _, _, own = CASES[case]
    started, older = time.time(), None
    with tempfile.TemporaryDirectory(dir=BASE) as folder:
        p = place(folder, flags)
        if case.startswith("over"):
            assert p.run().code == 0
            older = os.path.join(folder, "older")
            shutil.copytree(p.checkpoints, older)
        count, ended = p.calls()
        with ThreadPoolExecutor(2) as pool:
            numbers = range(1, count + 1, own * stride)
            killed = sum(pool.map(lambda n: check(case, n, ended.final_loss, older), numbers))
    print(f"{case}: {killed} kills among {count} calls, all resumed ({time.time() - started:.0f} s)")
    assert killed >= len(numbers) - 4, case


if __name__ == "__main__":
    YOKE, SHIM = map(os.path.abspath, sys.argv[1:3])
    BASE = tempfile.mkdtemp(prefix="yoke-kill-", dir=SCRATCH)
    try:
        for name in CASES:
            run(name, int(sys.argv[4]) if "--stride" in sys.argv else 1)
    finally:
        shutil.rmtree(BASE, ignore_errors=True)
