"""The progress of a stage: loss, samples a second, time left."""

import time
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eaglebench.training.micro_batches import is_last_micro_batch
from eaglebench.training.module import TrainingModule

SMOOTHING = 0.95  # of the shown loss
LINES = 4  # progress lines of a stage in a log file


class StageProgress(pl.Callback):
    """A progress bar in a terminal; a few lines in a log file.

    Args:
        label: of the unit.
        steps: optimizer steps in all.
        console: where progress is shown.
    """

    def __init__(self, label: str, steps: int, console: Console) -> None:
        self.label = label
        self.steps = steps
        self.console = console
        self.loss: float | None = None
        self.samples = 0
        self.started = 0.0
        self.first_step = 0
        self.progress = Progress(
            TextColumn(f"{label:<18}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  {task.fields[speed]:.0f} samples/s"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task(label, total=steps, loss=float("nan"), speed=0.0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.monotonic()
        self.first_step = trainer.global_step  # not 0 if the training resumes
        self.progress.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        self.samples += len(batch[0]) * trainer.world_size
        if not is_last_micro_batch(batch_idx, trainer.accumulate_grad_batches):
            return
        step = trainer.global_step
        loss = pl_module.losses[-1]
        self.loss = loss if self.loss is None else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        elapsed = time.monotonic() - self.started
        speed = self.samples / max(elapsed, 1e-6)
        self.progress.update(self.task, completed=step, loss=self.loss, speed=speed)
        if not self.console.is_terminal and step and step % max(1, self.steps // LINES) == 0:
            left = elapsed / max(1, step - self.first_step) * (self.steps - step)
            self.console.print(
                f"{self.label}: step {step}/{self.steps}, loss {self.loss:.3f}, {speed:.0f} samples/s, "
                f"{left:.0f} s left"
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.progress.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.progress.stop()
