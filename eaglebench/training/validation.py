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

    Attributes:
        validated_step: the optimizer step of the last validation.
    """

    def __init__(self, validate: ValidationFunction, every: int, console: Console) -> None:
        self.validate = validate
        self.every = every
        self.console = console
        self.validated_step = 0

    def state_dict(self) -> dict[str, Any]:
        return {"validated_step": self.validated_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validated_step = state_dict["validated_step"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.make_up(trainer, pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.make_up(trainer, pl_module)  # after a checkpoint of the last step, no training starts

    def make_up(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Validate at the step that a training resumes from, if its validation was interrupted."""
        assert isinstance(module, TrainingModule)
        step = trainer.global_step
        if step > self.validated_step and not step % self.every:
            self.run(trainer, module, step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        step = trainer.global_step
        if not step % self.every and is_last_micro_batch(batch_idx, trainer.accumulate_grad_batches):
            self.run(trainer, pl_module, step)

    def run(self, trainer: pl.Trainer, module: TrainingModule, step: int) -> None:
        """Validate after this optimizer step."""
        # Blocks are compiled for training: generation would compile them again for each length of its cache.
        with trainer.precision_plugin.forward_context(), torch.compiler.set_stance("force_eager"):
            values = self.validate(trainer.strategy.root_device)
        module.set_train_mode()
        self.validated_step = step
        module.log_values(values, step - 1)
        if trainer.is_global_zero:
            shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
            self.console.print(f"{module.label}: step {step}, {shown}")
