"""Trains one unit of a stage with Lightning."""

import logging
import os
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader

from eaglebench.training.batch_sampler import BatchOrder
from eaglebench.training.checkpointing import Checkpoints, Direct, step_of
from eaglebench.training.curves import log_interval
from eaglebench.training.micro_batches import Cuts, Pieces, piece_size
from eaglebench.training.module import TrainingModule
from eaglebench.training.progress import StageProgress
from eaglebench.training.setup import Schedule, Training
from eaglebench.training.strategies import FP32, Devices, ddp, environment, release
from eaglebench.training.validation import HeldOut, Look
from eaglebench.utils.errors import TERMINATED, UserError, first_line
from eaglebench.utils.hashing import named_seed


class Fitted(NamedTuple):
    """The loss of each step, and the weights of the parts that were to be kept, by full name, in the process that leads."""

    losses: list[float]
    weights: dict[str, Tensor]


class Fit:
    """A call trains the network of a `Training`.

    Args:
        trainer: arguments of Lightning's Trainer (accelerator, devices, num_nodes, precision, deterministic ...).
        loggers: of Lightning; each unit's values are logged under its label.
        seed: of the order of samples and of dropout.
        console: where progress is shown.
        checkpoint_every: optimizer steps between checkpoints, where a training has a place for them.
        look_every: optimizer steps between looks at held-out samples, where a training has some.
        processes: one for each device.
        strategy: gives, for the devices, how the model is spread over them; None: DDP where there are several.
        compiled: whether torch compiles the repeated blocks; it takes minutes at first, and the numbers differ in their last digits.
    """

    def __init__(
        self,
        trainer: Mapping[str, Any],
        loggers: Sequence[Logger],
        seed: int,
        console: Console,
        checkpoint_every: int = 100,
        look_every: int = 0,
        processes: int = 1,
        strategy: Callable[[Devices], Strategy] | None = None,
        compiled: bool = False,
    ) -> None:
        self.trainer = dict(trainer)
        self.loggers = list(loggers)
        self.seed = seed
        self.console = console
        self.checkpoint_every = checkpoint_every
        self.look_every = look_every
        self.processes = processes
        self.strategy = ddp if strategy is None and processes > 1 else strategy
        self.compiled = compiled
        quieten_lightning()

    def __call__(
        self,
        training: Training,
        schedule: Schedule,
        label: str,
        workers: int,
        folder: Path | None = None,
        look: Look | None = None,
        keep: Sequence[str] = (),
    ) -> Fitted:
        """Train, in place where a strategy leaves weights in their place.

        Args:
            training: what is trained.
            schedule: for how long.
            label: of the unit.
            workers: loader processes.
            folder: of this training's checkpoints; it goes on from the last one there. None: no checkpoints.
            look: at held-out samples, now and then.
            keep: parts whose weights are wanted.
        """
        samples = len(training.dataset)  # type: ignore[arg-type]
        if samples < schedule.batch_size:
            raise UserError(
                f"{label}: {samples} training samples do not fill a batch of {schedule.batch_size}: lower "
                f"{training.config}.batch_size."
            )
        steps = schedule.length(samples)
        seed = named_seed(self.seed, label)
        size = piece_size(training.config, schedule.batch_size, schedule.micro_batch, self.processes)
        if self.compiled:
            for block in training.blocks:
                block.compile()
        module = TrainingModule(training, schedule, steps, label, seed, keep)
        order = BatchOrder(samples, schedule.batch_size, steps, seed)
        checkpoints = Checkpoints(folder, self.checkpoint_every, order, self.console.print)
        looks = [HeldOut(look, self.look_every, self.console)] if look and self.look_every else []
        trainer = self.new_trainer(
            max_steps=steps,
            gradient_clip_val=schedule.clip or None,
            log_every_n_steps=log_interval(steps),
            callbacks=[StageProgress(label, steps, self.console), checkpoints, *looks],
        )
        latest = checkpoints.latest(label, trainer.strategy)
        if latest is not None:
            self.console.print(f"{label}: goes on from step {step_of(latest)} of {steps}")
        cuts = Cuts(order, size, trainer.world_size, lambda: trainer.global_rank)
        trainer.accumulate_grad_batches = cuts.each
        loader: DataLoader[Any] = DataLoader(
            Pieces(training.dataset, training.collate, training.targets),
            sampler=cuts,
            batch_size=None,
            num_workers=workers,
        )
        try:
            trainer.fit(module, loader, ckpt_path=latest, weights_only=True)
        except SIGTERMException as exit:
            there = f"step {trainer.global_step}" if folder is not None else "the start of this stage"
            self.console.print(f"{label}: asked to end; the same command goes on from {there}")
            raise SystemExit(TERMINATED) from exit
        except SystemExit as exit:
            if exit.code == TERMINATED:
                raise
            # Lightning turns Ctrl-C into an exit and stops listening to it; the command line has its own words for it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from exit
        finally:
            release(trainer.strategy)
        if checkpoints.asked:  # too late for a callback: what listens outside of a training has it now
            os.kill(os.getpid(), signal.SIGTERM)
        if len(module.losses) != steps:
            raise UserError(
                f"{label}: the trainer ended after {len(module.losses)} of {steps} steps: leave its own limits out (max_time, "
                "limit_train_batches, fast_dev_run), or set the length of the stage."
            )
        if module.skipped:
            self.console.print(
                f"{label}: {module.skipped} of {steps} steps were skipped, because gradients were not finite"
            )
        return Fitted(module.losses, module.weights)

    def new_trainer(self, **arguments: Any) -> pl.Trainer:
        """Lightning's trainer of one training."""
        where = environment(self.processes)
        if where is None:
            raise RuntimeError(f"{self.processes} processes are to be started before a Fit is called")
        devices = Devices(self.trainer["accelerator"], self.trainer.get("precision", FP32), self.processes)
        try:
            return pl.Trainer(
                **self.trainer,
                **arguments,
                strategy="auto" if self.strategy is None else self.strategy(devices),
                plugins=[where, Direct()],
                max_epochs=1,
                logger=self.loggers,
                enable_progress_bar=False,
                enable_model_summary=False,
                enable_checkpointing=False,
                use_distributed_sampler=False,
            )
        except (MisconfigurationException, TypeError, ValueError) as error:
            raise UserError(f"the trainer refuses its settings: {first_line(error)}") from error


def quieten_lightning() -> None:
    """Lightning's notices about devices and loader workers are not this program's words."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*smaller than the logging interval.*",
        ".*treespec, LeafSpec.*",
        ".*Experiment logs directory .* exists and is not empty.*",
        ".*your dataloader is not resumable.*",  # `BatchOrder` is
        ".*find_unused_parameters=True was specified.*",
        ".*`srun` command is available.*",
        ".*Grad strides do not match bucket view strides.*",  # depthwise convolutions; a copy more
    ):
        warnings.filterwarnings("ignore", message=message)
