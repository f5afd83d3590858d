"""A real Slurm cluster on this machine, for tests: three nodes, everything on loopback, nothing left behind.

It needs root and Debian's packages (``make system-slurm``). To try something by hand::

    python -m tests.cluster.cluster bash        a shell in which sbatch and snakemake --profile slurm work
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "setpriv", "unshare")
NODES = {"n1": "", "g1": "Gres=gpu:toy:1", "g2": "Gres=gpu:toy:1"}
"""One node for the partition ``main``; two, with a make-believe GPU each, for ``gpu`` and, above it, ``urgent``."""
CPUS, MEMORY_MB = 16, 64_000
"""What each node advertises: more than this machine has, so that the defaults of the profile fit."""
QUEUED = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING"}
CGROUPS = Path("/sys/fs/cgroup")
START_SECONDS = 60


def why_not() -> str:
    """Return why no cluster can be started here; empty if it can."""
    if os.geteuid() != 0:
        return "needs root: slurmd starts jobs as the user who submitted them"
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"lacks {', '.join(missing)}: make system-slurm"
    if not socket.gethostbyname(socket.gethostname()).startswith("127."):
        return "this machine's name is not that of a loopback address: the daemons would be reachable from outside"
    if subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True).returncode:
        return "may not make PID namespaces, without which a node cannot be killed with all that runs on it"
    return ""


def _path() -> str:
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


class Cluster:
    """A context manager: munged, slurmctld and one slurmd per node; killed with this process if it dies.

    Parameters
    ----------
    folder
        Where configuration, keys, logs and sockets go; removed at the end. A short path: it holds sockets.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal_file = folder / "journal"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, "PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf")}

    # ---- start and stop ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self._configure()
            socket_file = self.folder / "munge.socket"
            self._launch(
                "munged", "--foreground", "--force", f"--key-file={self.folder}/munge.key", f"--socket={socket_file}",
                f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log",
                f"--seed-file={self.folder}/munge.seed",
            )  # fmt: skip
            wait_until(socket_file.exists, START_SECONDS, "munged")
            self._launch("slurmctld", "-D")
            wait_until(lambda: "is UP" in self.run("scontrol", "ping", check=False), START_SECONDS, "slurmctld")
            for node in NODES:
                self.start_node(node)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if "slurmctld" in self._daemons:
            self.run("scancel", "--user=root", check=False)
            with contextlib.suppress(TimeoutError):
                wait_until(lambda: not self.queue(), 10, "the queue to be empty")
        for name in reversed(list(self._daemons)):
            self._end(name)
        for node in NODES:  # what slurmd made for the memory limits
            for group in sorted(CGROUPS.glob(f"*/slurm_{node}/**/"), reverse=True):
                with contextlib.suppress(OSError):
                    group.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _launch(self, *command: str, name: str = "") -> None:
        name = name or command[0]
        with (self.folder / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip

    def _end(self, name: str) -> None:
        process = self._daemons.pop(name)
        if name in NODES:
            process.kill()  # the kernel ends all that runs in its PID namespace
        else:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _configure(self) -> None:
        host = socket.gethostname().partition(".")[0]
        ports = free_ports(len(NODES) + 1)
        self.folder.chmod(0o755)
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        nodes, gres = [], []
        for (node, extra), port in zip(NODES.items(), ports[1:], strict=True):
            nodes.append(
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
                f" CPUs={CPUS} RealMemory={MEMORY_MB} {extra}"
            )
            if extra:  # a device that can be opened and does nothing
                os.mknod(self.folder / f"gpu-{node}", 0o20666, os.makedev(1, 3))
                gres.append(f"NodeName={node} Name=gpu Type=toy File={self.folder}/gpu-{node}")
        limits = (CGROUPS / "memory/memory.limit_in_bytes").exists() and os.access(CGROUPS / "memory", os.W_OK)
        text = SLURM_CONF.format(
            host=host, port=ports[0], folder=self.folder, nodes="\n".join(nodes), oom=OOM[limits],
        )  # fmt: skip
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "gres.conf").write_text("\n".join(gres) + "\n")
        (self.folder / "cgroup.conf").write_text(CGROUP_CONF.format(limits="yes" if limits else "no"))

    # ---- nodes -------------------------------------------------------------------------------------------

    def start_node(self, node: str) -> None:
        """Switch a node on, drained or not, and wait until it takes jobs."""
        if node not in self._daemons:
            (self.folder / "spool" / node).mkdir(parents=True, exist_ok=True)
            inside = f"slurmd -D -N {node} & wait"  # the shell collects what dies, as init does
            self._launch(
                "unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "bash", "-c", inside, name=node
            )
        if "drain" in self.state(node):
            self.run("scontrol", "update", f"nodename={node}", "state=resume")
        wait_until(lambda: self.state(node) in {"idle", "mixed", "allocated"}, START_SECONDS, f"node {node}")

    def kill_node(self, node: str) -> None:
        """Cut a node's power: slurmd and every process of its jobs are gone at once."""
        self._end(node)

    def drain(self, node: str) -> None:
        """Let the node's jobs end and give it no new ones."""
        self.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def state(self, node: str) -> str:
        """Return what sinfo calls the node's state."""
        return self.run("sinfo", "-h", "-N", "-n", node, "-o", "%T", check=False).partition("\n")[0].strip()

    # ---- jobs --------------------------------------------------------------------------------------------

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command of Slurm and return what it prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """Return what Slurm knows of each job: those in the queue, and for twenty minutes those that have ended."""
        return [_fields(line) for line in self.run("scontrol", "-o", "show", "job").splitlines() if "JobId=" in line]

    def queue(self) -> list[dict[str, str]]:
        """Return the jobs that wait, run, or are about to end."""
        return [job for job in self.jobs() if job["JobState"] in QUEUED]

    def stays(self) -> list[dict[str, str]]:
        """Return each stay of a job on a node that is over; a job that was queued again has had several."""
        return [_fields(line) for line in self.journal_file.read_text().splitlines()]


def _fields(line: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S*)", line))


def wait_until(holds: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until something holds; raise ``TimeoutError`` with its name if that takes too long."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"gave up waiting for {what} after {seconds} s")
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Return TCP ports of loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    with Cluster(folder) as started:
        yield started


SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
# listen on loopback only
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long a job that is queued again has to wait
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/journal

# no systemd, no accounting
ProctrackType=proctrack/linuxproc
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
{oom}
MpiDefault=none
SlurmdParameters=config_overrides

SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# quick reactions
SchedulerParameters=sched_interval=2,sched_min_interval=100000,bf_interval=5,batch_sched_delay=0
SlurmdTimeout=10
KillWait=5
CompleteWait=0
InactiveLimit=0
MessageTimeout=10
ReturnToService=2
# squeue remembers ended jobs for so long
MinJobAge=1200
PropagateResourceLimits=NONE

{nodes}
PartitionName=main   Nodes=n1 Default=YES MaxTime=1-00:00:00 State=UP
PartitionName=gpu    Nodes=g1,g2 MaxTime=1-00:00:00 State=UP
PartitionName=urgent Nodes=g1,g2 MaxTime=1-00:00:00 State=UP PriorityTier=10
"""
OOM = {
    True: "TaskPlugin=task/cgroup",  # the kernel kills
    False: "TaskPlugin=task/none\nJobAcctGatherParams=OverMemoryKill",  # slurmstepd looks each second and kills
}
CGROUP_CONF = f"""\
CgroupPlugin=cgroup/v1
CgroupMountpoint={CGROUPS}
CgroupAutomount=no
ConstrainCores=no
ConstrainDevices=no
ConstrainSwapSpace=no
ConstrainRAMSpace={{limits}}
"""


def main() -> int:
    """Run a command in a cluster that lives as long as it."""
    reason = why_not()
    if reason or len(sys.argv) < 2:
        sys.stderr.write(f"{reason or __doc__}\n")
        return 2
    with cluster() as started:
        return subprocess.run(sys.argv[1:], env=started.environment).returncode


if __name__ == "__main__":
    sys.exit(main())
