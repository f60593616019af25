"""Where a run happens: in this process, in one process for each device, or in a SLURM job. The same command in all of them."""

import logging
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from eaglebench.config.schema import devices_of, optional_path, processes_of
from eaglebench.launchers.base import LOGS, MISTAKE, NO_SCORES, Planned, Running
from eaglebench.launchers.slurm import SLURM, submit
from eaglebench.training.micro_batches import piece_size
from eaglebench.training.strategies import CPU, environment
from eaglebench.utils.errors import TERMINATED, UserError

SHUTDOWN = "120"  # seconds that processes have to write a checkpoint once they are asked to end


def elsewhere(cfg: DictConfig) -> bool:
    """Run what `cfg` says in processes of its own if it wants them; False if it is to be run in this one.

    Raises:
        SystemExit: the processes ended with another code than 0.
        UserError: they are not this command's to start.
    """
    count = processes_of(cfg)
    if count > 1 and optional_path(cfg.store) is None:
        raise UserError(
            "store=none is for one process: several hand their weights on through the store; give a folder."
        )
    if count > 1 and cfg.trainer.accelerator not in ("cpu", "gpu", "cuda"):
        raise UserError(f"trainer.accelerator={cfg.trainer.accelerator} is for one process: say cpu or gpu.")
    for name, stage in cfg.stages.items():  # before anything is started
        piece_size(f"stages.{name}", stage.batch_size, stage.micro_batch, count)
    if cfg.launcher.name == SLURM:
        submit(cfg, words())
        return True
    if environment(count) is not None:
        return False
    if cfg.trainer.nodes > 1:
        raise UserError(
            f"trainer.nodes={cfg.trainer.nodes} needs a process for each device of each node: use launcher=slurm, srun, or torchrun."
        )
    start(count, words())
    return True


def words() -> list[str]:
    """The words of the command line that give this run; of a multirun, this run's own."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    given = [word for word in hydra.overrides.task if not word.lstrip("+~").startswith("launcher")]
    return [*given, "launcher=local", f"hydra.run.dir='{folder}'"]


def start(count: int, arguments: Sequence[str]) -> None:
    """Run `python -m eaglebench` in so many processes that train together, and wait for them."""
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SHUTDOWN)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or DDP warns that every weight is used
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // count)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # failures are told here
    try:
        elastic_launch(config, sys.executable)("-m", "eaglebench", *arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.error_file_data.get("timestamp"):  # written by `mistakes_told`; of others there is a traceback
            print(f"error: {failure.message}", file=sys.stderr)
        elif failure.exitcode < 0:
            print(f"error: process {failure.local_rank} was ended by {failure.signal_name()}.", file=sys.stderr)
        sys.exit(failure.exitcode)
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from error
        sys.exit(TERMINATED)


def here(planned: Planned, place: int, at_once: int, runs: Running, lock: int) -> Any:
    """Run a trial in a process, which prints into a file and holds the lock."""
    from eaglebench.search.trials import Result, finished, tell_change

    if found := finished(planned, reused=True):
        return found
    tell_change(planned, runs.console)
    log = LOGS / f"{planned.folder.name}.log"
    with log.open("ab") as out:
        begin = out.seek(0, os.SEEK_END)
        command = [sys.executable, "-m", "eaglebench", *planned.words, f"hydra.run.dir='{planned.folder}'"]
        process = subprocess.Popen(
            command,
            env={**os.environ, **share(planned.cfg, place, at_once)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C is for this process; a trial gets SIGTERM, and writes a checkpoint
        )
        runs.processes.add(process)
        if runs.ending.is_set():  # it may have been set since it was looked at
            process.terminate()
        code = process.wait()
        runs.processes.discard(process)
    if code == 0 and (found := finished(planned, reused=False)):
        return found
    why = reason(log, begin, code) if code else NO_SCORES
    return Result(planned.trial, planned.folder, None, error=f"{why} (all it said: {log})")


def share(cfg: DictConfig, place: int, at_once: int) -> dict[str, str]:
    """The environment in which a trial leaves room for the others: its share of the cores, and devices of its own."""
    if cfg.trainer.accelerator == CPU:
        cores, processes = len(os.sched_getaffinity(0)), at_once * devices_of(cfg)
        return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // processes)))}
    there = torch.cuda.device_count()
    if not isinstance(cfg.trainer.devices, int) or cfg.trainer.devices > there:
        return {}  # all of them, or those that are named
    count = cfg.trainer.devices
    known = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(there)))).split(",")
    first = place % (there // count) * count
    return {"CUDA_VISIBLE_DEVICES": ",".join(known[first : first + count])}


def reason(log: Path, begin: int, code: int) -> str:
    """Why a trial failed, by the end of what it printed from byte `begin` on."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    mistakes = [line.removeprefix(MISTAKE) for line in lines if line.startswith(MISTAKE)]
    return mistakes[-1] if mistakes else f"it ended with {code}: {lines[-1]}" if lines else f"it ended with {code}"
