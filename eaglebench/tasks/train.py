"""task=train: train the run of a command, in this process or wherever the launcher runs it. Imports nothing heavy by
itself.
"""

from eaglebench.config.compose import Command
from eaglebench.config.schema import Config
from eaglebench.launchers.base import build_launcher, job_of
from eaglebench.training.hyperparameters import micro_batch_size
from eaglebench.utils.errors import UserError


def launch(command: Command) -> None:
    """Train the run of a command: in this process, or wherever the launcher runs it.

    Raises:
        UserError: the devices cannot train this run together, or the launcher cannot run it.
    """
    job = job_of(command)
    check_processes(command.config, job.processes)
    if not build_launcher(command.config.launcher).run_elsewhere(job):
        from eaglebench.tasks.train_run import train  # here, because a command that only starts others does without

        train(command)


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
