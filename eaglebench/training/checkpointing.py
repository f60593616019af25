"""Where a training can go on from: a checkpoint that is complete or not there at all."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.distributed.checkpoint import CheckpointException

from eaglebench.training.batch_sampler import BatchOrder
from eaglebench.training.micro_batches import ends_batch
from eaglebench.training.preemption import WARNINGS, in_job, queue_again
from eaglebench.training.strategies import layout
from eaglebench.utils.distributed import agreed
from eaglebench.utils.errors import UserError, first_line
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import file_digest

NAME = "step-{}.{}"  # the step, and the layout
SUMS = "sums.json"  # in those that are folders


class Direct(TorchCheckpointIO):
    """Writes a checkpoint to its place. Lightning's own makes it in memory and in the system's temporary folder first; here, its place
    has a name that is not the last."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        torch.save(checkpoint, path)


class Checkpoints(pl.Callback):
    """Writes the state of a training every few steps, and once more when the process is asked to end; then ends it.

    A checkpoint is written beside its place and renamed; the one before it goes when it is there.

    Args:
        folder: of this training alone; None: nothing is written.
        every: optimizer steps between two of them.
        order: of the batches; starts where the checkpoint that is read stopped.
        tell: told what is wrong with a checkpoint.
    """

    def __init__(self, folder: Path | None, every: int, order: BatchOrder, tell: Callable[[str], None]) -> None:
        self.folder = folder
        self.every = every
        self.order = order
        self.tell = tell
        self.written = 0
        self.asked = False

    def latest(self, label: str, strategy: Strategy) -> Path | None:
        """The checkpoint to go on from; None if there is none. Damaged ones are removed, and told.

        Raises:
            UserError: it is of another layout than the strategy's.
        """
        found = agreed(self.newest)
        if found is not None and found.suffix != f".{layout(strategy)}":
            assert self.folder is not None
            raise UserError(
                f"{label} has come to step {step_of(found)} with another strategy, or another number of devices ({found.suffix[1:]}): "
                f"go on with these, or begin it anew with task=store 'prune=[{self.folder.name}]'."
            )
        return found

    def newest(self) -> Path | None:
        """The newest checkpoint that is as it was written."""
        for checkpoint in sorted(self.complete(), key=step_of, reverse=True):
            if intact(checkpoint):
                return checkpoint
            self.tell(f"{checkpoint} is damaged, and not used")
            remove(checkpoint)
        return None

    def complete(self) -> list[Path]:
        """Every checkpoint that was written to its end."""
        return [] if self.folder is None else complete_in(self.folder)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        step = checkpoint["global_step"]
        self.order.start = step
        # Lightning counts pieces of batches; they may have been of another size, or shared by other devices.
        pieces = step * trainer.accumulate_grad_batches
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            counts.update(ready=pieces, started=pieces, processed=pieces, completed=pieces - 1)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.written = trainer.global_step
        if threading.current_thread() is threading.main_thread():
            # In the place of Lightning's handler, which ends in the middle of a batch and writes nothing. Lightning gives the first back.
            for number in WARNINGS if in_job() else (signal.SIGTERM,):
                signal.signal(number, self.ask)

    def ask(self, *_: Any) -> None:
        """End after this step."""
        self.asked = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not ends_batch(batch_idx, trainer.accumulate_grad_batches):
            return
        ending = trainer.strategy.reduce_boolean_decision(self.asked, all=False)
        due = ending or trainer.global_step % self.every == 0
        if self.folder is not None and due and trainer.global_step > self.written:
            self.write(trainer, self.folder)
        if ending:
            self.end()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A look at held-out samples after the last step takes long enough to be asked in it."""
        if trainer.strategy.reduce_boolean_decision(self.asked, all=False):
            if self.folder is not None and trainer.global_step > self.written:
                self.write(trainer, self.folder)
            self.end()

    def end(self) -> None:
        """Leave the training, once its job is in the queue again if it has one."""
        if in_job():
            # All wait for the one that asks SLURM: it ends the whole job as soon as one of them does.
            agreed(partial(queue_again, self.tell))
        raise SIGTERMException

    def write(self, trainer: pl.Trainer, folder: Path) -> None:
        """Write a checkpoint of the last step.

        Raises:
            UserError: the disk does not take it; the one before it stays.
        """
        name = NAME.format(trainer.global_step, layout(trainer.strategy))
        part, target = folder / f".{name}", folder / name
        before = agreed(self.complete)
        try:
            agreed(partial(make_place, part))
            trainer.save_checkpoint(part)
            agreed(partial(publish, part, target))
        except (OSError, RuntimeError, CheckpointException) as error:
            remove(part)
            there = f"step {max(map(step_of, before))}" if before else "the start of this stage"
            raise UserError(
                f"the checkpoint of step {trainer.global_step} cannot be written to {folder} ({first_line(error)}): make room, and "
                f"the same command goes on from {there}."
            ) from error
        self.written = trainer.global_step
        if trainer.is_global_zero:
            for older in before:
                remove(older)


def complete_in(folder: Path) -> list[Path]:
    """The complete checkpoints of a folder."""
    return list(folder.glob(NAME.format("*", "*")))


def make_place(part: Path) -> None:
    """Where a checkpoint is to be written: nothing of that name, in a folder that is there."""
    part.parent.mkdir(parents=True, exist_ok=True)
    remove(part)


def publish(part: Path, target: Path) -> None:
    """Give what is written whole its name; a folder gets the sums of its files."""
    if part.is_dir():
        write_json(part / SUMS, sums(part))
    sync(part)
    part.rename(target)


def sums(folder: Path) -> dict[str, str]:
    """The digest of each file of a checkpoint."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    return {str(path.relative_to(folder)): file_digest(path) for path in files}


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which a checkpoint was written."""
    return int(checkpoint.stem.rpartition("-")[2])


def intact(checkpoint: Path) -> bool:
    """Whether a checkpoint holds what was written to it, by the sums in it."""
    try:
        if checkpoint.is_dir():
            return bool(json.loads((checkpoint / SUMS).read_text(encoding="utf-8")) == sums(checkpoint))
        with ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (BadZipFile, OSError, EOFError, ValueError):
        return False


def remove(path: Path) -> None:
    """Remove a checkpoint, which is a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have what was written on the disk before its name says that it is complete."""
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
