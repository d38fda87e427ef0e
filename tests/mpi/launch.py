"""Runs a program under an MPI's launcher: launch.py openmpi|mpich N PROGRAM [NAME=VALUE ...]. Exit code 77: it is not here."""
import os
import shutil
import subprocess
import sys
import unittest

AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def command(mpi, n):
    """The launcher of n processes; None: this MPI is not installed, or yoke was built without its module."""
    launcher = shutil.which("mpirun." + mpi)
    if not launcher:
        return None
    # Hydra kills survivors in the moment a process is gone, before they have said a word, unless told not to
    return [launcher, "--oversubscribe" if mpi == "openmpi" else "-disable-auto-cleanup", "-n", str(n)]


def environment(build, **more):
    # MPIs leave memory of their own behind: under ASan that is not for us to find
    leaks = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return {**os.environ, **AS_ROOT, "YOKE_MPI_PATH": build, "ASAN_OPTIONS": leaks, **more}


def lacks(what):
    """A reason to skip: something is missing that `scripts/install check` installs. Under ./check that is a failure."""
    if "YOKE_CHECK" in os.environ:
        sys.exit(f"{what}; ./check needs it: scripts/install check")
    return what


def skip(mpi, build):
    """Why nothing can be tested, or None."""
    if not command(mpi, 1):
        return lacks(f"mpirun.{mpi} is not installed")
    if not os.path.exists(f"{build}/yoke-mpi-{mpi}.so"):
        return lacks(f"yoke was built without the module for {mpi}")
    return None


def leave_if(why):
    """Nothing can be tested, for that reason; None: go on."""
    if why:
        print("skipped:", why)
        sys.exit(77)


def main(why, taken=3):
    """The tests of the script that is run, of whose words the first `taken` are its own."""
    leave_if(why)
    unittest.main(argv=[sys.argv[0], *sys.argv[taken:]])


if __name__ == "__main__":
    mpi, n, build, program, *settings = sys.argv[1:]
    leave_if(skip(mpi, build))
    more = dict(s.split("=", 1) for s in settings)
    sys.exit(subprocess.run([*command(mpi, n), program], env=environment(build, **more)).returncode)
