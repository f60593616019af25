"""Where a run happens: in this process, in one process for each device, or in a SLURM job. The same command in all of them."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from submitit import AutoExecutor
from submitit.core.utils import FailedJobError
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from eaglebench.config.build import devices_of, optional_path, plain, processes_of
from eaglebench.training.micro_batches import piece_size
from eaglebench.training.preemption import OURS
from eaglebench.training.strategies import CPU
from eaglebench.utils.distributed import environment
from eaglebench.utils.errors import TERMINATED, UserError, first_line

SLURM = "slurm"
SHUTDOWN = "120"  # seconds that processes have to write a checkpoint once they are asked to end


def launch(cfg: DictConfig) -> None:
    """Train what `cfg` says: in this process, or where it wants to be."""
    if not elsewhere(cfg):
        from eaglebench.tasks.train import train  # not needed by who only starts others

        train(cfg)


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


def submit(cfg: DictConfig, arguments: Sequence[str]) -> None:
    """Give `python -m eaglebench` to SLURM, and come back at once.

    Raises:
        UserError: SLURM does not take it.
    """
    settings = cfg.launcher
    folder = Path(settings.folder)
    check_slurm()
    executor = AutoExecutor(folder, cluster=SLURM)
    named = {key: settings[key] for key in ("partition", "account", "qos", "constraint") if settings[key] is not None}
    devices = devices_of(cfg)
    executor.update_parameters(
        name=cfg.run_name,
        nodes=cfg.trainer.nodes,
        tasks_per_node=devices,
        cpus_per_task=settings.cpus_per_task,
        timeout_min=settings.time,
        **({} if settings.mem_gb is None else {"mem_gb": settings.mem_gb}),
        **({} if cfg.trainer.accelerator == CPU else {"gpus_per_node": devices}),
        slurm_setup=list(settings.setup),
        # srun does not take the cores of a task over from sbatch; and one process, which evaluates, may end long after the others.
        slurm_srun_args=["--kill-on-bad-exit=1", f"--cpus-per-task={settings.cpus_per_task}", "--wait=0"],
        # submitit's own signal would have it queue again by itself, in the middle of a step.
        slurm_additional_parameters={
            "signal": f"USR1@{settings.warning}",
            "requeue": True,
            **named,
            **(plain(settings.options) if settings.options is not None else {}),
        },
    )
    try:
        job = executor.submit(run_job, list(arguments))
    except (FailedJobError, subprocess.CalledProcessError) as error:
        raise UserError(f"SLURM does not take the job: {first_line(error)}") from error
    print(f"{cfg.run_name}: job {job.job_id}; it prints to {job.paths.stdout}")


def check_slurm() -> None:
    """Refuse jobs where there is no SLURM."""
    if shutil.which("sbatch") is None:
        raise UserError("launcher=slurm needs SLURM's sbatch, which is not on this machine: leave launcher=local.")


def run_job(arguments: list[str]) -> None:
    """What a job runs: `python -m eaglebench` with these words."""
    from eaglebench.__main__ import main

    os.environ[OURS] = "1"
    sys.argv = ["eaglebench", *arguments]
    main()


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
