"""yoke launch where a host is lost: test_relaunch.py openmpi|mpich BUILD, over the hosts of hosts.py. The run goes on over the hosts
that are left, in another layout, and its losses are those of one device. Told to end, it saves. Exit code 77: no such MPI, or no
namespaces. Standard library only."""
import glob
import json
import os
import re
import signal
import subprocess
import sys

import hosts
import launch
import test_train

MPI, BUILD = sys.argv[1], os.path.abspath(sys.argv[2])
ENDLESS = test_train.JOB.replace("steps: 5", "steps: 100000000").replace("lr: 1e-2", "lr: 1e-4") + "checkpoint: {dir: ck, every: 5, keep: 3}\n"


def steps_of(begin):
    """How many steps an attempt from `begin` is followed for."""
    return max(100, begin + 20)


class Relaunch(test_train.Case):
    read, until = test_train.Faults.read, test_train.Faults.until

    def run_losing(self, network, lose, names, n, *flags, job=""):
        """`yoke launch` from the first host over `names`; once there is something to go on from, lose() takes one away, and once
        there are steps after that, it is told to end."""
        with open(self.job, "w") as f:
            f.write(ENDLESS + job)
        command = network.on(network.names[0], test_train.YOKE, "launch", "-n", str(n), "--max-restarts", "6", "--hosts", ",".join(names),
                             "--launcher", " ".join(network.words(MPI)), "--json", "out.json", "--", "train", self.job, *flags,
                             "--log", "log.jsonl", "--set", "train.timeout=2")
        with open(self.dir + "/log", "wb") as log:
            # MPICH's UCX would find the same kernel on all hosts, and go through its memory
            p = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.dir, start_new_session=True,
                                 env=launch.environment(BUILD, UCX_TLS="tcp,self"))
        self.addCleanup(lambda: p.poll() is None and os.killpg(p.pid, signal.SIGKILL))
        self.until(p, lambda: any(name >= "step-00000010" for name in self.saved()))
        lose()
        self.until(p, self.goes_on, 200)
        p.send_signal(signal.SIGTERM)
        try:
            code = p.wait(60)
        except subprocess.TimeoutExpired:
            code = "none"
        self.assertEqual(code, 75, self.read())
        with open(self.dir + "/out.json") as f:
            return json.load(f)

    def saved(self):
        return glob.glob("step-????????", root_dir=self.dir + "/ck")

    def goes_on(self):
        begins = re.findall(r"restart \d+ of \d+, from step (\d+)\n", self.read())
        with open(self.dir + "/log.jsonl") as f:
            steps = re.findall(r'^\{"step":(\d+),"loss".*\n', f.read(), re.M)
        # an attempt that was lost had not come far beyond the next one's begin: it saves every 5 steps
        return begins and int(steps[-1]) + 1 >= steps_of(int(begins[-1]))

    def holds(self, result, lost, processes, layout):
        """The last attempt ran in `layout`, and the log's losses, each step's last, are one device's."""
        first, last = result["attempts"][0], result["attempts"][-1]
        self.assertNotIn(first["code"], (0, 2, 3, 5, 75))
        self.assertEqual((last["code"], last["processes"]), (75, processes))
        self.assertRegex(last["layout"], layout)
        self.assertGreaterEqual(last["from_step"], 10)
        self.assertRegex(self.read(), rf"yoke: host {lost} no longer answers\n")
        self.assertRegex(self.read(), r"time trained +\d+\.\d % of")
        self.assertTrue(0 < result["trained_share"] < 1)
        with open(self.dir + "/log.jsonl") as f:
            got = {line["step"]: line["loss"] for line in map(json.loads, f) if "loss" in line}
        steps = str(steps_of(last["from_step"]))
        one = test_train.losses(self.yoke(0, "train", self.job, "--set", "checkpoint=null", "--steps", steps))
        self.assertEqual(sorted(got), list(range(len(got))))
        for step, loss in enumerate(one):
            self.assertLess(abs(got[step] / loss - 1), 1e-4, step)

    def test_a_link_is_down(self):
        with hosts.Hosts(3) as network:
            result = self.run_losing(network, lambda: network.cut(1), network.names, 3, "--dp", "3")
            self.assertRegex(self.read(), rf"yoke: rank 1 on {network.names[1]} gave no sign of life")
            self.holds(result, network.names[1], 2, "dp=(2,tp=1,pp=1,cp=1|1,tp=2,pp=1,cp=1|1,tp=1,pp=2,cp=1|1,tp=1,pp=1,cp=2),")

    def test_the_host_of_rank_0_is_gone(self):
        with hosts.Hosts(2) as network:
            a, b = network.names
            result = self.run_losing(network, lambda: network.lose(1), (b, a), 4, "--dp", "4", "--zero", "1",
                                     job="launch: {fallbacks: [dp=3, 'tp=2']}\n")
            self.holds(result, b, 2, "dp=1,tp=2,pp=1,cp=1")


class Signals(test_train.Case):
    read, ends = test_train.Faults.read, test_train.Faults.ends

    def test_told_to_end_it_saves_and_ends_with_75(self):
        *words, _, n = launch.command(MPI, 2)
        before, launch.command = launch.command, lambda *_: [test_train.YOKE, "launch", "-n", n, "--launcher", " ".join(words)]
        try:
            p = test_train.Faults.start(self, 2, "--dp", "2", "--set", "checkpoint.dir=ck", program="--")
        finally:
            launch.command = before
        p.send_signal(signal.SIGTERM)
        self.assertEqual(self.ends(p, 15), 75, self.read())
        self.assertNotIn("restart 1", self.read())
        self.assertEqual(len([name for name in os.listdir(self.dir + "/ck") if name.startswith("step-")]), 1)


if __name__ == "__main__":
    launch.main(launch.skip(MPI, BUILD) or hosts.skip())
