"""task=train: train the run of a command, in this process or wherever the launcher runs it. Imports nothing heavy by
itself.
"""

import os
from pathlib import Path

from eaglebench.config.compose import Command
from eaglebench.config.finished_run import is_done
from eaglebench.config.schema import Config
from eaglebench.evaluation.tables import build_scores_table
from eaglebench.launchers.base import build_launcher, job_of
from eaglebench.runs import SCORES
from eaglebench.training.hyperparameters import micro_batch_size
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import read_json_object


def launch(command: Command) -> None:
    """Train the run of a command: in this process, or wherever the launcher runs it.

    Raises:
        UserError: the devices cannot train this run together, or the launcher cannot run it.
    """
    if not is_one_of_several() and is_done(command):
        show_finished(command)
        return
    job = job_of(command)
    check_processes(command.config, job.processes)
    if not build_launcher(command.config.launcher).run_elsewhere(job):
        from eaglebench.tasks.train_run import train  # here, because a command that only starts others does without

        train(command)


def is_one_of_several() -> bool:
    """Whether this process may train together with others, which decide together what is left to do."""
    return any(name in os.environ for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def show_finished(command: Command) -> None:
    """Say that a run is finished, and print its scores."""
    console = new_console()
    if scores := read_json_object(command.folder / SCORES):
        console.print(build_scores_table(scores))
    folder = command.folder
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    console.print(f"{shown} is finished and left as it is; rerun=true trains it anew", soft_wrap=True)


def check_processes(config: Config, count: int) -> None:
    """Refuse, before anything is started, what `count` processes cannot train together.

    Raises:
        UserError: the store, the accelerator or a batch size is for fewer processes.
    """
    if count > 1 and config.store_folder is None:
        raise UserError("store=none is for one process: several share weights through the store; give a folder.")
    if count > 1 and config.trainer.accelerator not in ("cpu", "gpu", "cuda"):
        raise UserError(f"trainer.accelerator={config.trainer.accelerator} is for one process: say cpu or gpu.")
    for name, stage in config.stages.items():
        micro_batch_size(f"stages.{name}", stage.batch_size, stage.micro_batch, count)
