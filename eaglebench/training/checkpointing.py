"""Writes the checkpoints of a training, and finds the one to resume from."""

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.distributed.checkpoint.api import CheckpointException

from eaglebench.training.batch_sampler import BatchOrder
from eaglebench.training.checkpoint_files import (
    NAME,
    STATE,
    commit,
    is_intact,
    list_checkpoints,
    make_room,
    remove_checkpoint,
    step_of,
)
from eaglebench.training.micro_batches import is_last_micro_batch
from eaglebench.training.preemption import list_stop_signals
from eaglebench.training.requeue import in_slurm_job, requeue_job
from eaglebench.training.strategies import checkpoint_layout
from eaglebench.utils.distributed import broadcast_from_main
from eaglebench.utils.errors import UserError, first_line, is_disk_full
from eaglebench.utils.files import write_bytes

PROBE, PROBE_BYTES = ".probe", 2**20  # a file that is written to see whether a disk is full


class DirectCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint file in place.

    Lightning's own makes it in memory and in the system's temporary folder first. Here the path is temporary already.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        torch.save(checkpoint, path)


class CheckpointCallback(pl.Callback):
    """Writes a checkpoint every few steps, and one more on a signal to stop, after which it stops the training.

    The last two are kept: a damaged one costs the steps since the one before it, and not the whole training.

    Args:
        folder: of this training alone; None: nothing is written.
        every: optimizer steps between two checkpoints.
        order: of the batches; is made to start after the step of the checkpoint that is loaded.
        log: prints one line.

    Attributes:
        written_step: the optimizer step of the last checkpoint, written or loaded.
        received: the signal to stop, once it has come.
    """

    def __init__(self, folder: Path | None, every: int, order: BatchOrder, log: Callable[[str], None]) -> None:
        self.folder = folder
        self.every = every
        self.order = order
        self.print_line = log  # not `self.log`: Lightning replaces that of every callback by its module's
        self.written_step = 0
        self.received: signal.Signals | None = None

    def find_latest(self, label: str, strategy: Strategy) -> Path | None:
        """The checkpoint to resume from, None if there is none. Corrupt ones are removed, which is logged.

        What Lightning reads is STATE in it.

        Args:
            label: of the unit, for messages.
            strategy: that will read the checkpoint.

        Raises:
            UserError: the checkpoint has another layout than the strategy reads, or the disk fails.
        """
        latest = broadcast_from_main(self.find_newest_intact)
        if latest is not None and latest.suffix != f".{checkpoint_layout(strategy)}":
            assert self.folder is not None
            raise UserError(
                f"the checkpoint of {label} at step {step_of(latest)} is of another strategy, or another number of "
                f"devices ({latest.suffix[1:]}): resume with these, or discard it with task=store "
                f"'prune=[{self.folder.name}]'."
            )
        return latest

    def find_newest_intact(self) -> Path | None:
        """The checkpoint of the highest step that has its checksums; corrupt ones of later steps are removed.

        Raises:
            UserError: the disk fails.
        """
        corrupt, intact = [], None
        for checkpoint in self.list_complete():
            try:
                if is_intact(checkpoint):
                    intact = checkpoint
                    break
            except OSError as error:  # says nothing of what the file holds
                raise UserError(f"the checkpoint {checkpoint} cannot be read ({error}).") from error
            corrupt.append(checkpoint)
        instead = "this stage starts anew" if intact is None else f"the one of step {step_of(intact)} is"
        for checkpoint in corrupt:
            self.print_line(f"{checkpoint} is corrupt (wrong checksum), and not used: {instead}")
            remove_checkpoint(checkpoint)
        return intact

    def list_complete(self) -> list[Path]:
        """The checkpoints of this training that are completely written, that of the last step first."""
        return [] if self.folder is None else list_checkpoints(self.folder)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        step = checkpoint["global_step"]
        self.order.start = step
        # Lightning counts micro-batches. They may have had another size, or been shared by another number of devices.
        count = step * trainer.accumulate_grad_batches
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            counts.update(ready=count, started=count, processed=count, completed=count - 1)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.written_step = trainer.global_step
        if threading.current_thread() is threading.main_thread():
            # Lightning's own handler stops in the middle of a batch and writes nothing. Lightning restores the handlers
            # that were there before the training.
            for number in list_stop_signals():
                signal.signal(number, self.request_stop)

    def request_stop(self, number: int, *_: Any) -> None:
        """Signal handler: stop after this optimizer step."""
        self.received = signal.Signals(number)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not is_last_micro_batch(batch_idx, trainer.accumulate_grad_batches):
            return
        stopping = self.any_process_stops(trainer)
        due = stopping or trainer.global_step % self.every == 0
        if self.folder is not None and due and trainer.global_step > self.written_step:
            self.write(trainer, self.folder)
        if stopping:
            self.stop()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop on a signal that came after the last step, where a validation can take long."""
        if self.any_process_stops(trainer):
            if self.folder is not None and trainer.global_step > self.written_step:
                self.write(trainer, self.folder)
            self.stop()

    def any_process_stops(self, trainer: pl.Trainer) -> bool:
        """Whether any of the processes has received a signal to stop."""
        return trainer.strategy.reduce_boolean_decision(self.received is not None, all=False)

    def stop(self) -> None:
        """Leave the training; a SLURM job is requeued first.

        Raises:
            SIGTERMException: always; Lightning ends the training with it.
        """
        if in_slurm_job():
            # All processes wait for the one that asks SLURM: SLURM ends the whole job as soon as one of them exits.
            broadcast_from_main(partial(requeue_job, self.print_line))
        raise SIGTERMException

    def write(self, trainer: pl.Trainer, folder: Path) -> None:
        """Write a checkpoint of the last optimizer step; the one before it is kept.

        Raises:
            UserError: the disk is full or fails; the checkpoint before it is kept.
        """
        name = NAME.format(trainer.global_step, checkpoint_layout(trainer.strategy))
        temporary = folder / f".{name}"
        try:
            broadcast_from_main(partial(make_room, temporary))
            trainer.save_checkpoint(temporary / STATE)
            broadcast_from_main(partial(commit, temporary, folder / name))
        except (OSError, RuntimeError, CheckpointException) as error:
            cause = error if isinstance(error, OSError) else find_disk_error(folder) or error
            reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else first_line(cause)
            way_out = "make room, and the" if is_disk_full(cause) else "the"
            with suppress(OSError):
                remove_checkpoint(temporary)
            older = self.list_complete()
            start = f"step {step_of(older[0])}" if older else "the start of this stage"
            raise UserError(
                f"the checkpoint of step {trainer.global_step} cannot be written to {folder} ({reason}): "
                f"{way_out} same command resumes from {start}."
            ) from error
        self.written_step = trainer.global_step


def find_disk_error(folder: Path) -> OSError | None:
    """Why nothing can be written to a folder, None if something can: torch does not say why a write failed."""
    try:
        write_bytes(folder / PROBE, bytes(PROBE_BYTES))
        (folder / PROBE).unlink()
    except OSError as error:
        return error
    return None
