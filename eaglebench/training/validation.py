"""What held-out samples say while a model is trained."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console

from eaglebench.training.micro_batches import ends_batch
from eaglebench.training.module import TrainingModule

Look = Callable[[torch.device], Mapping[str, float]]


class HeldOut(pl.Callback):
    """Looks at held-out samples every few steps, and logs and tells what it finds.

    Args:
        look: gives values by name, on a device; it may leave the network in evaluation mode.
        every: optimizer steps between two looks.
        console: where they are told.
    """

    def __init__(self, look: Look, every: int, console: Console) -> None:
        self.look = look
        self.every = every
        self.console = console

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        step = trainer.global_step
        if step % self.every or not ends_batch(batch_idx, trainer.accumulate_grad_batches):
            return
        # What is compiled is so for training: generation would compile it again for each length of its cache.
        with trainer.precision_plugin.forward_context(), torch.compiler.set_stance("force_eager"):
            found = self.look(trainer.strategy.root_device)
        pl_module.training_mode()
        for logger in trainer.loggers:
            logger.log_metrics({f"{pl_module.label}/{name}": value for name, value in found.items()}, step - 1)
        if trainer.is_global_zero:
            told = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
            self.console.print(f"{pl_module.label}: step {step}, {told}")
