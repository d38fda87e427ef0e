"""Traces against the plan: check_trace.py TRACE_RUNS. TRACE_RUNS is the program of trace_runs.c, which writes a trace for
each of its layouts and, from the plan, what must be in it. Standard library only."""
import collections
import json
import os
import subprocess
import sys
import tempfile

STEPS, COMPUTE, MOVEMENT = 0, 1, 2
# With clocks of their own: how wrong they may be about each other, in microseconds.
AHEAD, LATE = ["unshare", "--time", "--monotonic", "100000", "--fork"], 0
MOVES = {"send": "copy", "receive": "copy", "pass on": "copy"}
PHASES = {"": 0, " start": 1, " bucket wait": 2, " wait": 2, " bucket": 1}


def ns(microseconds):
    return round(microseconds * 1000)


def ends(event):
    return ns(event["ts"]), ns(event["ts"]) + ns(event["dur"])


def op_of(event):
    """(operator, is a movement, phase) as the plan names them."""
    name = event["name"]
    if event["args"]["layer"]:
        assert name.endswith(" " + event["args"]["layer"]), name
        name = name[:-len(event["args"]["layer"]) - 1]
    if event["tid"] == COMPUTE:
        return [name, 0, 0]
    name = name.removesuffix(" gradient")
    for word, phase in PHASES.items():
        if word and name.endswith(word):
            return [MOVES.get(name[:-len(word)], name[:-len(word)]), 1, phase]
    return [MOVES.get(name, name), 1, 0]


def check_threads(events):
    """Compute and movement: one after the other. Steps and actions: nested."""
    for tid in (COMPUTE, MOVEMENT):
        last = 0
        for start, end in sorted(ends(e) for e in events if e["tid"] == tid):
            assert start >= last, f"events overlap on thread {tid}: {start} before {last}"
            last = end
    stack = []
    for start, end in sorted((ends(e) for e in events if e["tid"] == STEPS), key=lambda e: (e[0], -e[1])):
        while stack and stack[-1] <= start:
            stack.pop()
        assert not stack or end <= stack[-1], "steps and actions are not nested"
        stack.append(end)


def check_rank(events, expected, steps):
    """Each step holds the program's actions and ends in order, and each of them every instruction of its body, once. Returns what
    the last step received."""
    complete = [e for e in events if e["ph"] == "X"]
    check_threads(complete)
    spans = {e["args"]["step"]: ends(e) for e in complete if e["name"].startswith("step ")}
    assert sorted(spans) == steps, sorted(spans)
    for step in steps:
        mine = [e for e in complete if e["args"]["step"] == step and not e["name"].startswith("step ")]
        for e in mine:
            assert spans[step][0] <= ends(e)[0] and ends(e)[1] <= spans[step][1], f"{e} is outside its step"
        actions = [e for e in mine if e["tid"] == STEPS]
        assert [e["name"] for e in actions] == [a["action"] for a in expected], step
        assert all("action" in e["args"] for e in mine if e["tid"] != STEPS)
        inside = collections.defaultdict(list)
        for e in mine:
            if e["tid"] != STEPS:
                inside[e["args"]["action"]].append(e)
        assert set(inside) <= {a["action"] for a in expected}
        for action, want in zip(actions, expected):
            found = sorted(inside[want["action"]], key=lambda e: e["args"]["node"])
            assert [e["args"]["node"] for e in found] == list(range(len(want["ops"]))), want["action"]
            assert [op_of(e) for e in found] == want["ops"], want["action"]
            bounds = ends(action)
            for e in found:
                assert e["args"].get("microbatch") == want["microbatch"]
                assert bounds[0] <= ends(e)[0] and ends(e)[1] <= bounds[1], f"{e} is outside its action"
        counters = [e for e in events if e["ph"] == "C" and spans[step][0] <= ns(e["ts"]) <= spans[step][1]]
        values = [e["args"]["bytes"] for e in counters]
        assert values[0] == 0 and values == sorted(values), values
        at = {ns(e["ts"]) for e in counters}
        for e in mine:
            if e["name"].startswith("receive wait") and e["args"]["bytes"] > 0 and e["args"]["peer"] != e["pid"]:
                assert ends(e)[1] in at, f"{e} is not counted"
        received = values[-1]
    return received


def check_flows(trace, by_rank):
    """Each arrow has one start, on a send, and one end, on the receive of its peer."""
    slices = collections.defaultdict(list)
    for rank, events in by_rank.items():
        for e in events:
            if e["ph"] == "X" and e["tid"] == MOVEMENT:
                slices[rank].append(e)
    arrows = {"s": {}, "f": {}}
    for e in trace:
        if e["ph"] in arrows:
            assert e["id"] not in arrows[e["ph"]], f"two ends {e['ph']} of arrow {e['id']}"
            around = [s for s in slices[e["pid"]] if ends(s)[0] <= ns(e["ts"]) <= ends(s)[1]]
            copies = [s for s in around if "peer" in s["args"]]
            assert copies, f"{e} lies in no copy"
            arrows[e["ph"]][e["id"]] = (e, copies)
    assert set(arrows["s"]) == set(arrows["f"]), "arrows with one end"
    for number, (send, froms) in arrows["s"].items():
        receive, tos = arrows["f"][number]
        assert send["ts"] <= receive["ts"] + LATE, f"arrow {number} goes back in time, by {send['ts'] - receive['ts']} us"
        assert any(f["args"]["peer"] == receive["pid"] and t["args"]["peer"] == send["pid"] and
                   f["args"]["bytes"] == t["args"]["bytes"] and f["args"]["step"] == t["args"]["step"]
                   for f in froms for t in tos), f"arrow {number} joins no pair"
    sent = sum(1 for e in trace if e["ph"] == "X" and e["tid"] == MOVEMENT and "peer" in e["args"] and
               (e["name"].startswith("send") or e["name"].startswith("pass on start")))
    assert len(arrows["s"]) == sent, (len(arrows["s"]), sent)
    return sent


def check(name, folder):
    with open(os.path.join(folder, name + ".json"), encoding="utf-8") as f:
        trace = json.load(f)
    with open(os.path.join(folder, name + ".expected.json"), encoding="utf-8") as f:
        expected = json.load(f)
    events = trace["traceEvents"]
    for e in events:
        e["tid"] -= 10 * (e["pid"] + 1)
        assert e["tid"] in (STEPS, COMPUTE, MOVEMENT)
    by_rank = collections.defaultdict(list)
    for e in events:
        by_rank[e["pid"]].append(e)
    assert sorted(by_rank) == list(range(len(expected["ranks"])))
    moved = 0  # in the last step, a ragged one
    for rank, actions in enumerate(expected["ranks"]):
        names = {e["args"]["name"] for e in by_rank[rank] if e["ph"] == "M" and e["name"] == "process_name"}
        assert len(names) == 1 and names.pop().startswith(f"rank {rank} on cpu:{rank} ")
        threads = {e["tid"] for e in by_rank[rank] if e["ph"] == "M" and e["name"] == "thread_name"}
        assert threads == {STEPS, COMPUTE, MOVEMENT}
        moved += check_rank(by_rank[rank], actions, expected["steps"])
    assert moved == expected["moved_bytes"], (moved, expected["moved_bytes"])
    steps = len(expected["steps"]) * len(by_rank)
    assert sum(e["ph"] == "X" for e in events) == expected["events"] + steps
    assert trace["otherData"]["dropped_events"] == 0
    return check_flows(events, by_rank)


ARROWS = {1: ("pp2", "cp2", "zb_v", "interleaved", "devices", "cp3", "mixed"), 2: ("pp2", "cp2", "cp3", "mixed"),
          3: ("devices", "recompute", "cp3")}


def main():
    """check_trace.py TRACE_RUNS [MPI BUILD N [apart]]: in one process, or in N; apart: a day is between their clocks."""
    global LATE
    program, environment, n = sys.argv[1], None, 1
    runs = [[program]]
    if len(sys.argv) > 2:
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mpi"))
        import launch
        why = launch.skip(*sys.argv[2:4])
        if why:
            print("skipped:", why)
            sys.exit(77)
        n = int(sys.argv[4])
        environment, command = launch.environment(sys.argv[3]), launch.command(sys.argv[2], n)
        runs = [[*command, program]]
        if sys.argv[5:] == ["apart"]:
            if subprocess.run([*AHEAD, "true"], capture_output=True).returncode != 0:
                print("skipped: no time namespaces here")
                sys.exit(77)
            LATE = 5000
            runs = [[*command[:-1], "1", program], ["-n", str(n - 1), *AHEAD, program]]
    with tempfile.TemporaryDirectory() as folder:
        line = [*runs[0], folder]
        for more in runs[1:]:
            line += [":", *more, folder]
        subprocess.run(line, check=True, env=environment)
        files = os.listdir(folder)
        names = sorted(f[:-14] for f in files if f.endswith(".expected.json"))
        assert len(names) >= {1: 15, 2: 12, 3: 3}[n], names
        assert len(files) == 2 * len(names), files  # one trace of all processes
        flows = {name: check(name, folder) for name in names}
    for name in ARROWS[n]:
        assert flows[name] > 0, f"{name} has no arrows"
    print(", ".join(f"{name}: {count} arrows" for name, count in flows.items()))


main()
