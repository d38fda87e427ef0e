"""A Slurm of one machine, for one test: munged, slurmctld and slurmd in namespaces of their own (processes, network, mounts), with
a key and folders of their own. Its ports and names meet no other's, and the kernel ends all of it with the test. Needs root."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

import launch

INSIDE = "YOKE_TEST_INSIDE"
# Besides lo an address is needed: Slurm asks getaddrinfo for those of a kind that the machine has (AI_ADDRCONFIG)
NETWORK = ("ip link set lo up && ip link add one type veth peer name two && ip addr add 10.78.0.1/24 dev one && "
           "ip link set one up && ip link set two up")
NAMESPACES = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--net", "--ipc"]
# No cgroups: in containers they are not to be had
CONF = """ClusterName=yoke
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={dir}/munge.socket
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.pid
TmpFS={dir}/tmp
PlugStackConfig=/dev/null
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault={mpi}
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
# Nothing above asks for cgroups, yet slurmd looks for the kind that is mounted, and ends where there is none, or both are. The
# first kind's plugin, when named, does nothing before it is asked to
CGROUP = "CgroupPlugin=cgroup/v1\n"


def daemon(name):
    """Where it is: the folders of daemons are in root's PATH only."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def skip():
    """Why there can be no Slurm, or None."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    for tool in ("munged", "slurmctld", "slurmd", "srun", "scontrol", "ip", "unshare"):
        if not daemon(tool):
            why = f"{tool} is not installed"
            # not installed beside a systemd, which would start its services
            return f"{why}, and systemd is here" if os.path.isdir("/run/systemd/system") else launch.lacks(why)
    tried = subprocess.run([*NAMESPACES, "sh", "-c", NETWORK], capture_output=True, text=True)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else None


def enter():
    """Begins this program again inside; a shell is the first process there, which takes in the orphans of daemons."""
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp(NAMESPACES[0], [*NAMESPACES, "sh", "-c", NETWORK + ' && "$@"; exit $?', "sh", sys.executable, *sys.argv])


class Slurm:
    def __init__(self, mpi):
        self.dir = tempfile.mkdtemp(prefix="yoke-slurm-")
        self.daemons = []
        for name in ("state", "spool", "tmp"):
            os.mkdir(f"{self.dir}/{name}", 0o755)
        with open(os.open(self.dir + "/key", os.O_CREAT | os.O_WRONLY, 0o400), "wb") as f:
            f.write(os.urandom(128))
        with open(self.dir + "/slurm.conf", "w") as f:
            f.write(CONF.format(host=os.uname().nodename.split(".")[0], dir=self.dir, mpi=mpi))
        with open(self.dir + "/cgroup.conf", "w") as f:
            f.write(CGROUP)
        os.environ["SLURM_CONF"] = self.dir + "/slurm.conf"

    def __enter__(self):
        try:
            d = self.dir
            self.start("munged", "--foreground", "--force", f"--socket={d}/munge.socket", f"--key-file={d}/key",
                       f"--pid-file={d}/munged.pid", f"--seed-file={d}/munged.seed")
            self.until("munged", lambda: os.path.exists(d + "/munge.socket"))
            self.start("slurmctld", "-D")
            self.until("slurmctld", lambda: "UP" in ask("scontrol", "ping"))
            self.start("slurmd", "-D")
            self.until("slurmd", lambda: ask("sinfo", "--noheader", "--format=%T").strip() == "idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, name, *words):
        with open(f"{self.dir}/{name}.said", "w") as f:
            self.daemons.append(subprocess.Popen([daemon(name), *words], stdout=f, stderr=subprocess.STDOUT))

    def until(self, name, ready, limit=60):
        end = time.monotonic() + limit
        while not ready():
            if self.daemons[-1].poll() is not None or time.monotonic() > end:
                raise OSError(f"{name} does not come up: {self.said(name)}")
            time.sleep(0.05)

    def said(self, name):
        with open(f"{self.dir}/{name}.said", errors="replace") as f:
            return f.read()[-1500:]

    def __exit__(self, *_):
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def ask(*command):
    """What a command of Slurm's says; daemons that are not up yet make it fail."""
    p = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return p.stdout if p.returncode == 0 else ""
