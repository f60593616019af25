"""Validation on held-out samples while a model is trained."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console

from eaglebench.training.micro_batches import is_last_micro_batch
from eaglebench.training.module import TrainingModule

# Takes the device of the network, gives values by name. It may leave the network in evaluation mode.
ValidationFunction = Callable[[torch.device], Mapping[str, float]]


class ValidationCallback(pl.Callback):
    """Validates every few optimizer steps; the values go to the loggers and the console.

    Args:
        validate: gives the values.
        every: optimizer steps between two validations.
        console: where the values are printed.
    """

    def __init__(self, validate: ValidationFunction, every: int, console: Console) -> None:
        self.validate = validate
        self.every = every
        self.console = console

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        step = trainer.global_step
        if step % self.every or not is_last_micro_batch(batch_idx, trainer.accumulate_grad_batches):
            return
        # Blocks are compiled for training: generation would compile them again for each length of its cache.
        with trainer.precision_plugin.forward_context(), torch.compiler.set_stance("force_eager"):
            values = self.validate(trainer.strategy.root_device)
        pl_module.set_train_mode()
        for logger in trainer.loggers:
            logger.log_metrics({f"{pl_module.label}/{name}": value for name, value in values.items()}, step - 1)
        if trainer.is_global_zero:
            shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
            self.console.print(f"{pl_module.label}: step {step}, {shown}")
