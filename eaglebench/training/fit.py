"""Trains one unit of a stage with Lightning."""

import logging
import signal
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from rich.console import Console
from torch.utils.data import DataLoader

from eaglebench.digests import named_seed
from eaglebench.errors import UserError, first_line
from eaglebench.training.module import TrainingModule
from eaglebench.training.progress import StageProgress
from eaglebench.training.training import Schedule, Training


class Fit:
    """A call trains the network of a `Training` in place.

    Args:
        trainer: arguments of Lightning's Trainer (accelerator, devices, precision, deterministic ...).
        loggers: of Lightning; each unit's values are logged under its label.
        seed: of the order of samples and of dropout.
        console: where progress is shown.
    """

    def __init__(self, trainer: Mapping[str, Any], loggers: Sequence[Logger], seed: int, console: Console) -> None:
        self.trainer = dict(trainer)
        self.loggers = list(loggers)
        self.seed = seed
        self.console = console
        quieten_lightning()

    def __call__(self, training: Training, schedule: Schedule, label: str, workers: int) -> list[float]:
        """Train, and give the loss of each step."""
        samples = len(training.dataset)  # type: ignore[arg-type]
        if samples < schedule.batch_size:
            raise UserError(
                f"{label}: {samples} training samples do not fill a batch of {schedule.batch_size}: lower batch_size."
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
            label=label,
        )
        loader: DataLoader[Any] = DataLoader(
            training.dataset,
            batch_size=schedule.batch_size,
            shuffle=True,
            drop_last=True,
            collate_fn=training.collate,
            num_workers=workers,
            generator=torch.Generator().manual_seed(seed),
        )
        pl.seed_everything(seed, verbose=False)
        try:
            trainer = pl.Trainer(
                **self.trainer,
                max_steps=steps,
                max_epochs=-1,
                gradient_clip_val=schedule.clip or None,
                logger=self.loggers,
                log_every_n_steps=max(1, min(10, steps)),
                callbacks=[StageProgress(label, steps, self.console)],
                enable_progress_bar=False,
                enable_model_summary=False,
                enable_checkpointing=False,
            )
        except (MisconfigurationException, TypeError, ValueError) as error:
            raise UserError(f"the trainer refuses its settings: {first_line(error)}") from error
        try:
            trainer.fit(module, loader)
        except SystemExit as exit:
            # Lightning turns Ctrl-C into an exit and stops listening to it; the command line has its own words for it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from exit
        return module.losses


def quieten_lightning() -> None:
    """Lightning's notices about devices and loader workers are not this program's words."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message=".*Experiment logs directory.*")
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
