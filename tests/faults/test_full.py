#!/usr/bin/env python3
"""Fills the disk from some call on a run's checkpoints on, for good or for a while. `stop` ends with code 1 and one
sentence; `continue` says each failed save once and trains on; the steps saved before stay whole, nothing is left of those
that failed, and --resume ends with the clean run's loss, bit for bit.

    test_full.py YOKE SHIM
"""
import os, re, shutil, sys, tempfile
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faults import SCRATCH, STEP, Place

STEPS, EVERY, FOR_GOOD = 6, 2, 10**6
GO_ON, BESIDE = ["--set", "checkpoint.on_error=continue"], ["--set", "checkpoint.async=true"]
CASES = {  # flags, calls that fail, stride
    "stop": ([], FOR_GOOD, 9),
    "stop, four ranks, beside the run": (["--dp", "4", "--zero", "1", *BESIDE], FOR_GOOD, 9),
    "continue, for a while": (GO_ON, 3, 9),
    "continue, for good": (["--dp", "2", *GO_ON], FOR_GOOD, 13),
    "continue, four ranks, beside the run": (["--dp", "2", "--tp", "2", *GO_ON, *BESIDE], 3, 9),
}


def check(case, number, clean):
    flags, calls, _ = CASES[case]
    with tempfile.TemporaryDirectory(dir=BASE) as folder:
        p = Place(YOKE, SHIM, folder, STEPS, EVERY, keep=0, flags=flags)
        what = f"{case}, call {number}"
        first = p.run(fault=dict(AT=number, KIND="full", CALLS=calls))
        said = [line for line in first.err.splitlines() if line.startswith("yoke:") and "they wait for a core" not in line]
        kept = [line for line in said if re.match("yoke: (saved in|the newest step that is saved|no step is saved)", line)]
        begun = first.last_step is not None  # a folder that cannot be written is found before the first step
        assert len(kept) == (first.code if begun else 0), f"{what}: {first.err}"
        assert begun or (first.code == 1 and len(said) == 1 and p.names() == []), f"{what}: {first.code}: {first.err}"
        said = [line for line in said if line not in kept]
        warned = [line for line in said if "was not saved, and the run goes on" in line]
        assert first.code in (0, 1), f"{what}: {first.code}: {first.err}"
        assert all("No space left" in line for line in said), f"{what}: {first.err}"
        # what failed, and where that is another call, why the step at hand cannot be kept either
        assert first.code <= len(said) - len(warned) <= 2 * first.code, f"{what}: {first.code}: {first.err}"
        assert len(set(warned)) == len(warned) and (not warned or GO_ON[1] in flags), f"{what}: {first.err}"
        assert all(STEP.match(name) for name in p.names()), f"{what}: left {p.names()}"
        steps = [int(STEP.match(name).group(1)) for name in p.names()]
        lost = [int(re.search(r"step (\d+) was not saved", line).group(1)) for line in warned]
        assert first.code == 1 or sorted(steps + lost) == [2, 4, 6], f"{what}: {steps} and {lost}"
        assert GO_ON[1] not in flags or not begun or first.last_step == STEPS, f"{what}: {first.err}"
        again = p.run(resume=bool(steps))
        assert again.code == 0 and again.resumed == (max(steps) if steps else None), f"{what}: {again.err}"
        last = again.final_loss if again.final_loss is not None else p.state(STEPS)["last_loss"]
        assert last == clean, f"{what}: ends with {last}, not {clean}"
        return first.code, len(warned)


if __name__ == "__main__":
    YOKE, SHIM = map(os.path.abspath, sys.argv[1:3])
    BASE = tempfile.mkdtemp(prefix="yoke-full-", dir=SCRATCH)
    try:
        for case, (flags, _, stride) in CASES.items():
            p = Place(YOKE, SHIM, os.path.join(BASE, "clean"), STEPS, EVERY, keep=0, flags=flags)
            count, ended = p.calls()
            shutil.rmtree(p.folder)
            with ThreadPoolExecutor(2) as pool:
                ends = list(pool.map(lambda n: check(case, n, ended.final_loss), range(1, count + 1, stride)))
            codes, warned = [code for code, _ in ends], sum(n for _, n in ends)
            print(f"{case}: {len(ends)} runs, {codes.count(1)} ended with 1, {warned} saves failed and were gone on after")
            assert codes.count(1) > 0 or warned > 0, case
    finally:
        shutil.rmtree(BASE, ignore_errors=True)
