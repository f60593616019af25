"""A SLURM cluster of one node on this machine: the real daemons, with ports and a folder of their own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
TIMEOUT = 60.0  # seconds

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job is held for a second longer than this.
AuthInfo=cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,batch_sched_delay=0
# The node says that it has more cores than the machine.
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=5
SlurmctldPort={port}
SlurmdPort={next_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing_for_cluster() -> str | None:
    """Why no cluster can be started on this machine; None if one can."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        return f"{', '.join(missing)} not found: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "SLURM's daemons need root"


@contextmanager
def start_cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Run the daemons within the context; yields the environment in which SLURM's commands find them."""
    host, port = socket.gethostname().partition(".")[0], find_free_ports()
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, port=port, next_port=port + 1, folder=folder))
    environment = {
        **os.environ,
        "SLURM_CONF": str(conf),
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "MASTER_ADDR": "127.0.0.1",
    }
    own_munge = start_munge()
    try:
        for daemon in (["slurmctld", "-c"], ["slurmd", "-N", host]):
            subprocess.run(daemon, env=environment, check=True, timeout=TIMEOUT)
        wait_until(
            lambda: "idle" in run_command(environment, "sinfo", "--noheader", "--format=%T"), "the node to be idle"
        )
        yield environment
    finally:
        with suppress(subprocess.SubprocessError):
            run_command(environment, "scancel", "--user=root")
        for name in ("slurmd.pid", "slurmctld.pid"):
            stop_daemon(folder / name)
        if own_munge:
            stop_daemon(Path("/run/munge/munged.pid"))


def start_munge() -> bool:
    """Start munged, by which SLURM authenticates; False if it is running already."""
    with suppress(subprocess.SubprocessError):
        subprocess.run(["munge", "-n"], check=True, capture_output=True, timeout=10)
        return False
    folder = Path("/run/munge")
    folder.mkdir(mode=0o755, exist_ok=True)
    shutil.chown(folder, "munge", "munge")
    subprocess.run(["runuser", "-u", "munge", "--", "/usr/sbin/munged"], check=True, timeout=TIMEOUT)
    return True


def run_command(environment: dict[str, str], *arguments: str) -> str:
    """The output of a SLURM command; times out, because without a controller they wait for ever."""
    done = subprocess.run(arguments, env=environment, check=True, capture_output=True, text=True, timeout=20)
    return done.stdout.strip()


def wait_until(condition: Callable[[], object], what: str, timeout: float = TIMEOUT) -> None:
    """Wait until the condition is true; an assertion fails after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"waited {timeout:.0f} s for {what}"
        time.sleep(0.2)


def find_free_ports() -> int:
    """The first of two consecutive ports that nobody listens on."""
    for first in range(26817, 27817, 2):
        with socket.socket() as one, socket.socket() as other, suppress(OSError):
            one.bind(("127.0.0.1", first))
            other.bind(("127.0.0.1", first + 1))
            return first
    raise OSError("no free ports")


def stop_daemon(pid_file: Path) -> None:
    """End the daemon that wrote this file."""
    with suppress(OSError, ValueError):
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
