"""yoke over several hosts: test_hosts.py openmpi|mpich BUILD. Network namespaces with a bridge between them stand for hosts; see
hosts.py. Losses are local ranks'; a host whose rank is killed, stopped or cut off is named by one that is left. Exit code
77: no such MPI, or no namespaces. Standard library only."""
import json
import os
import signal
import sys

import hosts
import launch
import test_train

MPI, BUILD = sys.argv[1], os.path.abspath(sys.argv[2])


# MPICH 4.0's mpirun may fail by itself, and lose what processes said last, when they end without MPI_Finalize, which over TCP
# may hang: docs/clusters.md.
TRIES = 4 if MPI == "mpich" else 1


class OverHosts(test_train.Case):
    def setUp(self):
        super().setUp()
        # MPICH's UCX would find the same kernel on all hosts, and go through its memory
        self.env = {"UCX_TLS": "tcp,self"} if MPI == "mpich" else {}

    def over(self, each, *args):
        out = self.dir + "/over.json"
        for _ in range(TRIES):
            p = self.under([*HOSTS.launcher(MPI, each), test_train.YOKE, *args, "--json", out], self.env)
            if p.returncode == 0 or "yoke: " in p.stderr:
                break
        self.assertEqual(p.returncode, 0, p.stderr[-600:])
        with open(out) as f:
            return json.load(f)

    def test_losses(self):
        for each, flags in ((1, ["--dp", "2"]), (2, ["--dp", "4"]), (2, ["--dp", "2", "--tp", "2", "--zero", "1"]),
                            (1, ["--dp", "2", "--pp", "2", "--microbatches", "2"]), (2, ["--dp", "4", "--zero", "3"])):
            with self.subTest(each=each, flags=flags):
                local = test_train.losses(self.yoke(0, "train", self.job, *flags))
                for a, b in zip(local, test_train.losses(self.over(each, "train", self.job, *flags)), strict=True):
                    self.assertLess(abs(a - b) / abs(a), 1e-6)

    def test_a_killed_or_stopped_rank_is_named_with_its_host(self):
        for number, sentence in ((signal.SIGKILL, "is gone"), (signal.SIGSTOP, "gave no sign of life")):
            sentence = f"yoke: rank 1 on {HOSTS.names[1]} {sentence}"
            for _ in range(TRIES):
                said = self.says_when_signalled(number)
                if sentence in said:
                    break
            self.assertIn(sentence, said)

    def says_when_signalled(self, number):
        command = launch.command
        launch.command = lambda mpi, n: HOSTS.launcher(mpi, n // len(HOSTS.names))
        try:
            os.environ.update(self.env)
            p = test_train.Faults.start(self, 2, "--dp", "2", "--set", "train.timeout=2")
        finally:
            launch.command = command
        os.kill(self.ranks[1], number)
        # how soon is asked in test_train.py; here mpirun's daemons of all hosts end too, beside other tests
        self.assertNotEqual(test_train.Faults.ends(self, p, 25), 0)
        return self.read()

    read = test_train.Faults.read


if __name__ == "__main__":
    launch.leave_if(launch.skip(MPI, BUILD) or hosts.skip())
    with hosts.Hosts(2) as HOSTS:
        print("hosts with", sorted(set(HOSTS.limits)) or "no limits", "by tc")
        launch.main(None)
