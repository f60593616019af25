"""Weights & Biases, with an account or without."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger

from eaglebench.training.run_logger import Rows, Tracker
from eaglebench.utils.errors import UserError, first_line

ONLINE, OFFLINE = "online", "offline"  # of W&B's modes
IMAGE = "image"  # the column of a table that names files of images


class WeightsAndBiases(WandbLogger, Tracker):
    """Lightning's logger, which never asks for an account: without one it logs into the run's folder.

    Args:
        save_dir: the run's folder.
        mode: of W&B: online, offline or disabled; None: WANDB_MODE, or what the account allows.
        arguments: of `wandb.init`.

    Raises:
        UserError: it is to log online, and no account is known.
    """

    def __init__(self, save_dir: str, mode: str | None = None, **arguments: Any) -> None:
        wandb.setup(wandb.Settings(silent=True))  # what there is to say is said in one line
        self.defined: set[str] = set()
        with refusals():
            super().__init__(save_dir=save_dir, mode=mode_of(mode), **arguments)

    def begin(self, config: Mapping[str, Any], parts: Rows, tell: Callable[[str], None]) -> None:
        with refusals():
            run = self.experiment
        run.config.update({"cfg": dict(config)})  # one key: a sweep of W&B has locked its own
        self.add({"parts": table(parts)})
        if run.offline:
            tell(f"W&B: logged offline; to upload it: wandb sync {os.path.relpath(Path(run.dir).parent)}")
        elif run.url:
            tell(f"W&B: {run.url}")

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log values whose names begin with their unit's label, over the optimizer steps of that unit."""
        values = {name: value for name, value in metrics.items() if "/" in name}  # not Lightning's count of epochs
        if step is None:
            self.add(values)
            return
        row = dict(values)
        for name in values:
            axis = f"{name.rpartition('/')[0]}/step"
            self.define(name, axis)
            row[axis] = step + 1
        super().log_metrics(row)

    def add(self, values: Mapping[str, Any]) -> None:
        """Log what belongs to no step."""
        for name in values:
            self.define(name, None)
        self.experiment.log(dict(values))

    def define(self, name: str, axis: str | None) -> None:
        """Have a value drawn over another one. By its full name: Lightning has all others drawn over a count of its own."""
        if name not in self.defined:
            self.defined.add(name)
            if axis is not None:
                self.experiment.define_metric(axis, hidden=True)
            self.experiment.define_metric(name, step_metric=axis)

    def show(self, scores: Mapping[str, Any], samples: Rows) -> None:
        rows = [{"family": name, **row} for name, row in scores["families"].items()]
        rows.append({"family": "overall", **scores["overall"]})
        self.add({"scores": table(rows), "samples": table(samples)})
        self.experiment.summary.update({f"eval/{name}": value for name, value in scores["overall"].items()})

    def close(self) -> None:
        self.experiment.finish()


def table(rows: Rows) -> wandb.Table:
    """W&B's table of rows; what a row lacks is empty."""
    columns = dict.fromkeys(name for row in rows for name in row)
    return wandb.Table(columns=[*columns], data=[[cell(name, row.get(name)) for name in columns] for row in rows])


def cell(column: str, value: Any) -> Any:
    """What W&B shows for a value."""
    return wandb.Image(value) if column == IMAGE and value is not None else value


def mode_of(asked: str | None) -> str | None:
    """How to log; None leaves it to W&B.

    Raises:
        UserError: online, and no account is known.
    """
    mode = asked or os.environ.get("WANDB_MODE")
    if mode not in (None, ONLINE) or account_is_known():
        return mode
    if mode == ONLINE:
        raise UserError(
            "W&B knows no account to log online with: run wandb login, set WANDB_API_KEY, or leave the mode out."
        )
    return OFFLINE


def account_is_known() -> bool:
    """Whether W&B has a key, without asking for one."""
    try:
        return bool(wandb.login(prompt=False, verify=False))
    except TypeError:  # the version that lmms-eval wants would ask
        return bool(wandb.api.api_key)


@contextmanager
def refusals() -> Iterator[None]:
    """W&B's errors in one sentence."""
    try:
        yield
    except wandb.Error as error:
        raise UserError(
            f"W&B refuses ({first_line(error)}): log into the run's folder with logger.wandb.mode=offline, or leave it out with "
            "logger=[csv]."
        ) from error
