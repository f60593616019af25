"""TODO."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from getpass import getuser
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from submitit import AutoExecutor
from submitit.core.utils import FailedJobError

from eaglebench.config.schema import devices_of, plain
from eaglebench.launchers.base import NO_SCORES, POLL, Ending, Planned, Running
from eaglebench.training.preemption import OURS, slurm
from eaglebench.training.strategies import CPU
from eaglebench.utils.errors import UserError, first_line

SLURM = "slurm"


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


PATIENCE = 150  # questions to SLURM without an answer

LATE = 5  # looks for the files of a job that ended


def in_a_job(planned: Planned, launcher: Mapping[str, Any], runs: Running) -> Any:
    """Run a trial as a job, and wait for it; one that is in the queue already is waited for too."""
    from eaglebench.search.trials import Result, finished, tell_change

    name = str(planned.cfg.run_name)
    there = queued(name, runs)
    if found := finished(planned, reused=True):
        return found
    if not there:
        tell_change(planned, runs.console)
        submit(planned.cfg, [*planned.words, "launcher=local", f"hydra.run.dir='{planned.folder}'"])
    while queued(name, runs):
        if runs.ending.wait(POLL):
            runs.console.print(f"{planned.trial.label}: its job goes on", markup=False)
            raise Ending("its job goes on")
    for _ in range(LATE):  # another node's files can be seen after its job is gone
        if found := finished(planned, reused=False):
            return found
        runs.ending.wait(POLL)
    said = f"{NO_SCORES} (all it said: {launcher['folder']})"
    return Result(planned.trial, planned.folder, None, error=said)


def queued(name: str, runs: Running) -> bool:
    """Whether SLURM has a job of this name from this folder that waits or runs.

    Raises:
        UserError: SLURM does not answer.
        Ending: this process is to end.
    """
    for _ in range(PATIENCE):
        asked = slurm("squeue", f"--user={getuser()}", "--noheader", "--format=%Z", f"--name={name}")
        if asked.returncode == 0:
            return str(Path.cwd()) in asked.stdout.splitlines()
        if runs.ending.wait(POLL):
            raise Ending("SLURM did not answer")
    raise UserError(f"SLURM does not answer ({asked.stderr.strip()})")
