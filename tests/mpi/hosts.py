"""Hosts on one machine: network namespaces with a host name each, joined by a bridge. Needs root; rate and delay by tc, where the
kernel has tbf and netem. Hosts() makes them, and takes them away at exit."""
import glob
import os
import shutil
import signal
import stat
import subprocess
import tempfile

import launch


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def skip():
    """Why there can be no hosts, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "tc", "unshare"):
        if not shutil.which(tool):
            return launch.lacks(f"{tool} is not installed")
    name = f"yk{os.getpid()}t"
    made = run("ip", "netns", "add", name)
    works = made.returncode == 0 and run("ip", "netns", "exec", name, "ip", "link", "set", "lo", "up").returncode == 0
    run("ip", "netns", "del", name)
    return None if works else f"no network namespaces here: {made.stderr.strip()}"


class Hosts:
    def __init__(self, count, rate="1gbit", delay="1ms", tag=""):
        """tag: a letter that tells them from other hosts of this process."""
        self.id = f"yk{os.getpid() % 10000}{tag}"
        self.names = [f"{self.id}h{i}" for i in range(count)]
        self.dir = tempfile.mkdtemp(prefix="yoke-hosts-")
        self.limits = []
        switch = self.id + "sw"
        self.all = [*self.names, switch]
        for name in self.all:
            self.must("ip", "netns", "add", name)
            self.must("ip", "-n", name, "link", "set", "lo", "up")
        self.must("ip", "-n", switch, "link", "add", "name", "bridge0", "type", "bridge")
        self.must("ip", "-n", switch, "link", "set", "bridge0", "up")
        for i, name in enumerate(self.names):
            near, far = f"{self.id}a{i}", f"{self.id}b{i}"
            self.must("ip", "link", "add", near, "type", "veth", "peer", "name", far)
            self.must("ip", "link", "set", near, "netns", name)
            self.must("ip", "link", "set", far, "netns", switch)
            self.must("ip", "-n", name, "addr", "add", f"10.77.{os.getpid() % 250}.{i + 1}/24", "dev", near)
            self.must("ip", "-n", name, "link", "set", near, "up")
            self.must("ip", "-n", switch, "link", "set", far, "master", "bridge0")
            self.must("ip", "-n", switch, "link", "set", far, "up")
            self.limit(name, near, rate, delay)
        for name in self.names:  # what `ip netns exec` lays over /etc
            os.makedirs("/etc/netns/" + name)
            with open(f"/etc/netns/{name}/hosts", "w") as f:
                f.write("127.0.0.1 localhost\n")
                f.writelines(f"10.77.{os.getpid() % 250}.{i + 1} {other}\n" for i, other in enumerate(self.names))
        self.agent = self.dir + "/agent"
        with open(self.agent, "w") as f:
            f.write("#!/bin/sh\n# As ssh: agent [-options] HOST COMMAND...\n"
                    'while [ "${1#-}" != "$1" ]; do shift; done\nhost=$1; shift\n'
                    f'if [ -e {self.dir}/lost-$host ]; then echo "agent: no route to $host" >&2; exit 255; fi\n'
                    f'exec {self.dir}/on "$host" sh -c "$*"\n')
        with open(self.dir + "/on", "w") as f:
            f.write('#!/bin/sh\n# on HOST COMMAND...\nhost=$1; shift\n'
                    'exec ip netns exec "$host" unshare --uts sh -c \'hostname "$0"; exec "$@"\' "$host" "$@"\n')
        for script in (self.agent, self.dir + "/on"):
            os.chmod(script, stat.S_IRWXU)

    def limit(self, host, link, rate, delay):
        """A rate, and a delay where the kernel can; what there is goes to `limits`."""
        for kind, words in (("delay", ["netem", "delay", delay, "rate", rate]),
                            ("rate", ["tbf", "rate", rate, "burst", "1mbit", "latency", "100ms"])):
            if run("ip", "netns", "exec", host, "tc", "qdisc", "add", "dev", link, "root", *words).returncode == 0:
                self.limits.append(kind)
                return

    def must(self, *command):
        p = run(*command)
        if p.returncode != 0:
            self.remove()
            raise OSError(f"{' '.join(command)}: {p.stderr.strip()}")

    def on(self, host, *command):
        """The command that runs a command on a host."""
        return [self.dir + "/on", host, *command]

    def cut(self, i):
        """The host's link is down: nobody is told."""
        self.must("ip", "-n", self.names[i], "link", "set", f"{self.id}a{i}", "down")

    def lose(self, i):
        """The host ends, with all that runs there, and the agent finds no way to it."""
        with open(f"{self.dir}/lost-{self.names[i]}", "w"):
            pass
        self.end_all(self.names[i])

    def end_all(self, name):
        for pid in run("ip", "netns", "pids", name).stdout.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def remove(self):
        for name in self.all:
            self.end_all(name)
            run("ip", "netns", "del", name)
            shutil.rmtree("/etc/netns/" + name, ignore_errors=True)
            for folder in {"/dev/shm", tempfile.gettempdir()}:  # what Open MPI leaves there where it is killed
                for path in glob.glob(f"{folder}/*.{name}.*"):
                    run("rm", "-rf", path)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def words(self, mpi):
        """An MPI's launcher, that gets to the hosts by the agent."""
        if mpi == "openmpi":
            return [shutil.which("mpirun.openmpi"), "--mca", "plm_rsh_agent", self.agent, "--mca", "btl", "tcp,vader,self", "--mca", "pml",
                    "ob1", "--mca", "btl_tcp_if_exclude", "lo", "--bind-to", "none", "-x", "YOKE_MPI_PATH"]
        return [shutil.which("mpirun.mpich"), "-disable-auto-cleanup", "-launcher", "ssh", "-launcher-exec", self.agent]

    def launcher(self, mpi, each):
        """Of `each` processes on every host, from the first one."""
        hosts = ",".join(f"{h}:{each}" for h in self.names)
        return self.on(self.names[0], *self.words(mpi), "--host" if mpi == "openmpi" else "-hosts", hosts, "-n", str(each * len(self.names)))
