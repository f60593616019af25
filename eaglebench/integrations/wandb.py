"""A logger for Weights & Biases that works with or without an account."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import wandb
from lightning.pytorch.loggers import WandbLogger

from eaglebench.data.open_image import open_thumbnail
from eaglebench.data.unreadable import name_unreadable
from eaglebench.training.run_logger import Rows, RunLogger
from eaglebench.utils.errors import UserError, first_line

Mode = Literal["online", "offline", "disabled"]
IMAGE_COLUMN = "image"  # the column of a table that holds paths of image files
IMAGE_SIDE = 512  # most pixels of a side of an image in a table


class WandbRunLogger(WandbLogger, RunLogger):
    """Lightning's W&B logger, with the tables of a run, and without a prompt for an account.

    Without an account it logs offline, into the run folder.

    Args:
        save_dir: the run folder.
        project, name, group, tags: of the run on W&B.
        mode: W&B's mode; None: the environment variable WANDB_MODE, or what the account allows.
        arguments: more of `wandb.init`.

    Raises:
        UserError: the mode is online and no account is known, or W&B refuses the arguments.
    """

    def __init__(
        self,
        save_dir: str,
        project: str = "eaglebench",
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        mode: Mode | None = None,
        **arguments: Any,
    ) -> None:
        wandb.setup(wandb.Settings(silent=True))  # `begin` logs one line instead
        self.defined: set[str] = set()
        with report_wandb_errors():
            super().__init__(
                name=name,
                save_dir=save_dir,
                project=project,
                group=group,
                tags=list(tags),
                mode=resolve_mode(mode),
                **arguments,
            )

    def begin(self, config: Mapping[str, Any], parts: Rows, log: Callable[[str], None]) -> None:
        """Open the W&B run with the config and a table of parts, and log where to find it.

        Args:
            config: the resolved config of the run.
            parts: a row for each part of the model.
            log: prints one line.

        Raises:
            UserError: W&B cannot be reached or refuses the run.
        """
        with report_wandb_errors():
            run = self.experiment
        run.config.update({"cfg": dict(config)})  # one key, because a W&B sweep has locked its own keys
        self.log_values({"parts": build_table(parts)})
        if run.offline:
            log(f"W&B: logged offline; to upload it: wandb sync {os.path.relpath(Path(run.dir).parent)}")
        elif run.url:
            log(f"W&B: {run.url}")

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log values named `UNIT/NAME` over the optimizer steps of their unit, or as final values without a step."""
        values = {name: value for name, value in metrics.items() if "/" in name}  # without Lightning's epoch counter
        if step is None:
            self.log_values(values)
            return
        row = dict(values)
        for name in values:
            axis = f"{name.rpartition('/')[0]}/step"
            self.define_axis(name, axis)
            row[axis] = step + 1
        super().log_metrics(row)

    def log_values(self, values: Mapping[str, Any]) -> None:
        """Log values that belong to no step."""
        for name in values:
            self.define_axis(name, None)
        self.experiment.log(dict(values))

    def define_axis(self, name: str, axis: str | None) -> None:
        """Set the x axis of a value, once, by its full name: for all others Lightning defines a counter of its own."""
        if name not in self.defined:
            self.defined.add(name)
            if axis is not None:
                self.experiment.define_metric(axis, hidden=True)
            self.experiment.define_metric(name, step_metric=axis)

    def show(self, scores: Mapping[str, Any], samples: Rows) -> None:
        """Log the scores as a table and in the run's summary, and sample answers as a table with their images.

        Args:
            scores: a `scores.json`.
            samples: a row for each answer; `image` holds the path of its image file, or None.
        """
        rows = []
        for name, row in {**scores["families"], "overall": scores["overall"]}.items():
            rows.append({"family": name, **{key: value for key, value in row.items() if key != "types"}})
            rows += [{"family": f"{name}: {kind}", **own} for kind, own in row.get("types", {}).items()]
        self.log_values({"scores": build_table(rows), "samples": build_table(samples)})
        self.experiment.summary.update({f"eval/{name}": value for name, value in scores["overall"].items()})

    def close(self) -> None:
        """Finish the W&B run, because another one may follow in the same process."""
        self.experiment.finish()


def build_table(rows: Rows) -> wandb.Table:
    """A W&B table of rows; cells that a row lacks are empty."""
    columns = dict.fromkeys(name for row in rows for name in row)
    return wandb.Table(columns=[*columns], data=[[to_cell(name, row.get(name)) for name in columns] for row in rows])


def to_cell(column: str, value: Any) -> Any:
    """The value as W&B shows it; paths in the image column become images.

    Raises:
        UserError: an image cannot be read.
    """
    if column != IMAGE_COLUMN or value is None:
        return value
    with name_unreadable(f"the image {value}"):
        return wandb.Image(open_thumbnail(value, IMAGE_SIDE, max_pixels=None))


def resolve_mode(mode: str | None) -> str | None:
    """The mode for `wandb.init`: offline if none is set and no account is known; None leaves it to W&B.

    Raises:
        UserError: the mode is online and no account is known.
    """
    mode = mode or os.environ.get("WANDB_MODE")
    if mode not in (None, "online") or has_account():
        return mode
    if mode == "online":
        raise UserError(
            "W&B knows no account to log online with: run wandb login, set WANDB_API_KEY, or leave the mode out."
        )
    return "offline"


def has_account() -> bool:
    """Whether W&B has an API key; it is not asked for."""
    try:
        return bool(wandb.login(prompt=False, verify=False))
    except TypeError:  # the version that lmms-eval requires has no `prompt`, and would ask
        return bool(wandb.api.api_key)


@contextmanager
def report_wandb_errors() -> Iterator[None]:
    """Turn W&B's errors into a UserError of one sentence.

    Raises:
        UserError: W&B refuses the call inside the context.
    """
    try:
        yield
    except wandb.Error as error:
        raise UserError(
            f"W&B refuses ({first_line(error)}): log into the run folder with logger.wandb.mode=offline, or leave "
            "it out with logger=[csv]."
        ) from error
