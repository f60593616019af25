"""Trains one unit of a stage with Lightning."""

import logging
import signal
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from rich.console import Console
from torch.utils.data import DataLoader

from eaglebench.digests import named_seed
from eaglebench.errors import UserError, first_line
from eaglebench.training.checkpoints import Checkpoints, step_of
from eaglebench.training.curves import log_interval
from eaglebench.training.held_out import HeldOut, Look
from eaglebench.training.module import TrainingModule
from eaglebench.training.order import BatchOrder
from eaglebench.training.pieces import Cuts, Pieces, piece_size
from eaglebench.training.progress import StageProgress
from eaglebench.training.training import Schedule, Training

TERMINATED = 143  # exit code of a process that SIGTERM ended


class Fit:
    """A call trains the network of a `Training` in place.

    Args:
        trainer: arguments of Lightning's Trainer (accelerator, devices, precision, deterministic ...).
        loggers: of Lightning; each unit's values are logged under its label.
        seed: of the order of samples and of dropout.
        console: where progress is shown.
        checkpoint_every: optimizer steps between checkpoints, where a training has a place for them.
        look_every: optimizer steps between looks at held-out samples, where a training has some.
    """

    def __init__(
        self,
        trainer: Mapping[str, Any],
        loggers: Sequence[Logger],
        seed: int,
        console: Console,
        checkpoint_every: int = 100,
        look_every: int = 0,
    ) -> None:
        self.trainer = dict(trainer)
        self.loggers = list(loggers)
        self.seed = seed
        self.console = console
        self.checkpoint_every = checkpoint_every
        self.look_every = look_every
        quieten_lightning()

    def __call__(
        self,
        training: Training,
        schedule: Schedule,
        label: str,
        workers: int,
        folder: Path | None = None,
        look: Look | None = None,
    ) -> list[float]:
        """Train, and give the loss of each step.

        Args:
            training: its network is trained in place.
            schedule: for how long.
            label: of the unit.
            workers: loader processes.
            folder: of this training's checkpoints; it goes on from the last one there. None: no checkpoints.
            look: at held-out samples, now and then.
        """
        samples = len(training.dataset)  # type: ignore[arg-type]
        if samples < schedule.batch_size:
            raise UserError(
                f"{label}: {samples} training samples do not fill a batch of {schedule.batch_size}: lower "
                f"{training.config}.batch_size."
            )
        steps = schedule.length(samples)
        seed = named_seed(self.seed, label)
        module = TrainingModule(
            training.network,
            training.parts,
            training.learning_rates,
            steps=steps,
            warmup=schedule.warmup,
            weight_decay=schedule.weight_decay,
            betas=schedule.betas,
            nonfinite=schedule.nonfinite,
            label=label,
            config=training.config,
            seed=seed,
            layer_decays=training.layer_decays,
            unfreeze_at=training.unfreeze_at,
        )
        order = BatchOrder(samples, schedule.batch_size, steps, seed)
        checkpoints = Checkpoints(folder, self.checkpoint_every, order, self.console.print)
        latest = checkpoints.latest()
        if latest is not None:
            self.console.print(f"{label}: goes on from step {step_of(latest)} of {steps}")
        looks = [HeldOut(look, self.look_every, self.console)] if look and self.look_every else []
        try:
            trainer = pl.Trainer(
                **self.trainer,
                max_steps=steps,
                max_epochs=1,
                gradient_clip_val=schedule.clip or None,
                logger=self.loggers,
                log_every_n_steps=log_interval(steps),
                callbacks=[StageProgress(label, steps, self.console), checkpoints, *looks],
                enable_progress_bar=False,
                enable_model_summary=False,
                enable_checkpointing=False,
                use_distributed_sampler=False,
            )
        except (MisconfigurationException, TypeError, ValueError) as error:
            raise UserError(f"the trainer refuses its settings: {first_line(error)}") from error
        size = piece_size(training.config, schedule.batch_size, schedule.micro_batch, trainer.world_size)
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
            # Lightning turns Ctrl-C into an exit and stops listening to it; the command line has its own words for it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from exit
        if len(module.losses) != steps:
            raise UserError(
                f"{label}: the trainer ended after {len(module.losses)} of {steps} steps: leave its own limits out (max_time, "
                "limit_train_batches, fast_dev_run), or set the length of the stage."
            )
        if module.skipped:
            self.console.print(
                f"{label}: {module.skipped} of {steps} steps were skipped, because gradients were not finite"
            )
        return module.losses


def quieten_lightning() -> None:
    """Lightning's notices about devices and loader workers are not this program's words."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")  # its order is (see BatchOrder)
    warnings.filterwarnings("ignore", message=".*Experiment logs directory.*")
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
