#!/usr/bin/env python3
"""Runs bench_mpi_* over hosts that are network namespaces on this machine, joined by links of a rate: all_reduce through yoke
beside MPI_Allreduce. Needs root.

usage: bench/mpi_hosts.py openmpi|mpich BUILD [HOSTS [EACH [RATE [MAX_BYTES]]]]; 2 hosts, 1 process on each, 1gbit"""
import os
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/mpi"))
import hosts  # noqa: E402

if len(sys.argv) < 3 or sys.argv[1] not in ("openmpi", "mpich"):
    sys.exit(__doc__)
mpi, build = sys.argv[1], os.path.abspath(sys.argv[2])
count, each, rate, most = (sys.argv[3:] + ["2", "1", "1gbit", "16777216"][len(sys.argv) - 3:])[:4]
if hosts.skip():
    sys.exit(f"bench/mpi_hosts.py: {hosts.skip()}")
# UCX would find the same kernel on all hosts, and go through its memory
env = dict(os.environ, YOKE_MPI_PATH=build, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", **({"UCX_TLS": "tcp,self"} if mpi == "mpich" else {}))
with hosts.Hosts(int(count), rate) as made:
    print(f"{mpi}: {count} hosts of {each}, {rate}, limited: {' '.join(made.limits) or 'nothing'}", flush=True)
    sys.exit(subprocess.run([*made.launcher(mpi, int(each)), f"{build}/bench/bench_mpi_{mpi}", most], env=env).returncode)
