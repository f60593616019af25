"""`eaglebench.train(...)`: what the command line does with these overrides, in this process."""

from collections.abc import Sequence
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from eaglebench.config.command_line import explain, prepare_arguments
from eaglebench.config.compose import compose_command
from eaglebench.tasks.train import check_processes
from eaglebench.tasks.train_run import train
from eaglebench.trained import Run, load_run
from eaglebench.utils.errors import UserError


def train_from_python(overrides: Sequence[str], config_dir: str | Path | None) -> Run:
    """Train a run in this process, and give it.

    Raises:
        UserError: an override is wrong, the run wants several processes, or it cannot be trained.
    """
    flags = [] if config_dir is None else ["--config-dir", str(config_dir)]
    try:
        prepared = prepare_arguments([*flags, *overrides])[len(flags) :]
        search_path = [] if config_dir is None else [f"file://{Path(config_dir).resolve()}"]
        command = compose_command(prepared, search_path=search_path)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, [*flags, *overrides])) from error
    if command.config.task.name != "train":
        raise UserError(f"task={command.config.task.name} is for the command line: eaglebench.train trains.")
    if (count := command.config.trainer.processes) > 1:
        raise UserError(f"{count} processes cannot be started from Python: train on the command line.")
    check_processes(command.config, count)
    train(command)
    return load_run(command.folder, command.config.plugins)
