#!/usr/bin/env python3
"""Asks a run to end (SIGTERM, SIGUSR1, twice in a row too) at calls all over its saves, the last step's among them: it
finishes the step and what it is saving, saves, and exits with 75, or 0 where nothing was left to do; then --resume ends
with the clean run's loss, bit for bit.

    test_preempt.py YOKE SHIM
"""
import os, shutil, signal, sys, tempfile
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faults import SCRATCH, STEP, Place

STEPS = 5
ASYNC = ["--set", "checkpoint.async=true"]
CASES = {  # flags, signal, how often, stride
    "SIGTERM": ([], signal.SIGTERM, 1, 5),
    "SIGUSR1 twice, four ranks, beside the run": (["--dp", "2", "--tp", "2", *ASYNC], signal.SIGUSR1, 2, 7),
    "SIGTERM four times, beside the run": (ASYNC, signal.SIGTERM, 4, 7),
}


def check(case, number, clean):
    flags, asked, times, _ = CASES[case]
    with tempfile.TemporaryDirectory(dir=BASE) as folder:
        p = Place(YOKE, SHIM, folder, STEPS, every=2, keep=2, flags=flags)
        what = f"{case}, call {number}"
        first = p.run(fault=dict(AT=number, KIND="signal", SIGNAL=int(asked), CALLS=times))
        assert first.code in (0, 75), f"{what}: {first.code}: {first.err}"
        assert all(STEP.match(name) for name in p.names()), f"{what}: left {p.names()}"
        done = p.newest()
        if first.code == 75:
            assert "saved in" in first.err and done < STEPS, f"{what}: {done}: {first.err}"
            assert done == (first.last_step or 0), f"{what}: did {first.last_step} steps, and saved {done}"
            again = p.run(resume=True)
            assert again.code == 0 and again.resumed == done, f"{what}: {again.code}: {again.err}"
            last = again.final_loss
        else:
            assert done == STEPS, f"{what}: {done}"
            last = first.final_loss
        assert last == clean, f"{what}: ends with {last}, not {clean}"
        return first.code


if __name__ == "__main__":
    YOKE, SHIM = map(os.path.abspath, sys.argv[1:3])
    BASE = tempfile.mkdtemp(prefix="yoke-preempt-", dir=SCRATCH)
    try:
        for case, (flags, _, _, stride) in CASES.items():
            p = Place(YOKE, SHIM, os.path.join(BASE, "clean"), STEPS, every=2, keep=2, flags=flags)
            count, ended = p.calls()
            shutil.rmtree(p.folder)
            with ThreadPoolExecutor(2) as pool:
                codes = list(pool.map(lambda n: check(case, n, ended.final_loss), range(1, count + 1, stride)))
            print(f"{case}: {len(codes)} of {count} calls, {codes.count(75)} ended early, {codes.count(0)} in the last step")
            assert codes.count(75) > 3 and codes.count(0) > 0, case
    finally:
        shutil.rmtree(BASE, ignore_errors=True)
