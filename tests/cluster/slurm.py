"""A real SLURM of one node on loopback, in a folder of its own: Debian's packages without systemd."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.cluster.processes import Server, environment, free_port, wait_for

OWNER, NODE = "munge", "node"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
CPUS, GPUS = 4, 2
LOOPBACK = "127.0.0.1"
WITHIN_S = 60.0

# The node is said to be larger than the machine, so that what runs at once is the same on every machine.
SETTINGS = """
ClusterName=lidcflow
SlurmctldHost={host}({loopback})
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
PlugStackConfig={folder}/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=2
GresTypes=gpu
KillWait=2
MailProg=/bin/true
SlurmdParameters=config_overrides
NodeName={node} NodeHostname={host} NodeAddr={loopback} CPUs={cpus} RealMemory=64000 Gres=gpu:{gpus}
PartitionName=cpu Nodes={node} Default=YES
PartitionName=gpu Nodes={node}
"""
GPU_FILES = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"
"""SLURM counts a GPU by its device file, and only wants one to be there."""


class Slurm:
    """A controller and a node; every command of SLURM finds them by `environment`.

    Parameters
    ----------
    folder : Path
        With settings, state, keys and logs; a user other than root must be able to reach it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        here = environment(**self.environment)
        munge = self._write_files()
        answers = {"munged": (munge / "socket").exists, "slurmctld": self._controls, "slurmd": self._is_idle}
        as_owner = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"]
        files = ("socket", "key-file", "pid-file", "log-file", "seed-file")
        options = [f"--{name}={munge / name.removesuffix('-file')}" for name in files]
        commands = {
            "munged": [*as_owner, "--pdeathsig", "KILL", "munged", "--foreground", *options],
            "slurmctld": ["slurmctld", "-D", "-i"],
            "slurmd": ["slurmd", "-D", "-N", NODE],
        }
        self.servers = [Server(name, commands[name], here, folder, answers[name]) for name in commands]

    def _write_files(self) -> Path:
        munge = self.folder / "munge"
        for name in (munge, self.folder / "state", self.folder / "spool"):
            name.mkdir()
        (munge / "key").write_bytes(secrets.token_bytes(128))
        (munge / "key").chmod(0o400)
        for path in (munge, munge / "key"):
            shutil.chown(path, OWNER, OWNER)
        facts = {"host": socket.gethostname().partition(".")[0], "loopback": LOOPBACK, "node": NODE}
        ports = {"controller_port": free_port(LOOPBACK), "node_port": free_port(LOOPBACK)}
        settings = SETTINGS.format(folder=self.folder, cpus=CPUS, gpus=GPUS, **facts, **ports)
        (self.folder / "slurm.conf").write_text(settings)
        (self.folder / "gres.conf").write_text(GPU_FILES)
        (self.folder / "plugstack.conf").write_text("")
        return munge

    def start(self) -> None:
        """Start all three, each once the one before it answers."""
        for server in self.servers:
            server.start()

    def kill(self) -> None:
        """End every job and every process."""
        with ExitStack() as ends:
            for server in self.servers:
                ends.callback(server.kill)
            self.run("scancel", "--signal=KILL", "--user=root", check=False)
            wait_for(lambda: not self.run("squeue", "--noheader", check=False), WITHIN_S)

    def run(self, *command: str, check: bool = True) -> str:
        """Run one of SLURM's commands, and return what it says."""
        done = subprocess.run(
            command, env=environment(**self.environment), capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout.strip()

    def jobs(self, state: str, partition: str = "cpu") -> list[str]:
        """Return the numbers of the jobs of a partition that are in a state, in their order."""
        asked = ["--noheader", f"--states={state}", f"--partition={partition}", "--format=%i"]
        return sorted(self.run("squeue", *asked).split(), key=int)

    def wait_for_jobs(self, state: str, count: int, partition: str = "cpu") -> list[str]:
        """Wait until so many jobs are in a state, and return their numbers."""
        wait_for(lambda: len(self.jobs(state, partition)) >= count, WITHIN_S, self.logs)
        return self.jobs(state, partition)

    def run_out_of_time(self, job: str) -> None:
        """Move a job's end to now, as time itself would; SLURM looks for such jobs twice a minute."""
        self.run("scontrol", "update", f"JobId={job}", "EndTime=now+1")

    @contextmanager
    def drained(self) -> Iterator[None]:
        """Keep new jobs from starting during the block; running ones continue."""
        self.run("scontrol", "update", f"NodeName={NODE}", "State=DRAIN", "Reason=maintenance")
        try:
            yield
        finally:
            self.run("scontrol", "update", f"NodeName={NODE}", "State=RESUME")

    def logs(self) -> str:
        """Return the end of every log."""
        return "\n".join(f"--- {server.name}\n{server.tail(1500)}" for server in self.servers)

    def _controls(self) -> bool:
        return "UP" in self.run("scontrol", "ping", check=False)

    def _is_idle(self) -> bool:
        return self.run("sinfo", "--noheader", "--partition=cpu", "--format=%t", check=False) == "idle"


def why_not_slurm() -> str:
    """Return why SLURM can't run here, or nothing."""
    if os.geteuid():
        return "SLURM runs jobs as root here, and this is another user"
    path = f"{os.environ['PATH']}:/usr/sbin"
    if missing := [name for name in PROGRAMS if shutil.which(name, path=path) is None]:
        return f"SLURM is not here: {', '.join(missing)} (Debian packages slurm-wlm and munge)"
    if OWNER not in {user.pw_name for user in pwd.getpwall()}:
        return f"munged needs its user {OWNER}, which is not here (Debian package munge)"
    return ""


@contextmanager
def slurm() -> Iterator[Slurm]:
    """Run SLURM for as long as the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="lidcflow-slurm-"))  # not below pytest's folder, which is root's alone
    folder.chmod(0o755)
    running = Slurm(folder)
    try:
        running.start()
        yield running
    finally:
        running.kill()
        shutil.rmtree(folder, ignore_errors=True)
