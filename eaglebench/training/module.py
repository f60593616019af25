"""The LightningModule of every stage."""

import math
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from eaglebench.errors import UserError
from eaglebench.weights import adapters


def cosine_with_warmup(step: int, steps: int, warmup: float) -> float:
    """The factor on the learning rate before optimizer step `step` of `steps`: linear to 1, then cosine to 0."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def parameter_groups(
    parts: Mapping[str, nn.Module], learning_rates: Mapping[str, float], weight_decay: float
) -> list[dict[str, Any]]:
    """AdamW's groups: one or two for each trained part, named after it; only matrices decay.

    Freezes the parts without a learning rate, and of a part with LoRA adapters everything but these.
    """
    groups = []
    for name, part in parts.items():
        lr = learning_rates.get(name, 0.0)
        trained = adapters(part)
        part.requires_grad_(lr > 0 and not trained)
        if lr <= 0:
            continue
        for parameter in trained:
            parameter.requires_grad_(True)
        parameters = trained or list(part.parameters())
        matrices = [p for p in parameters if p.ndim >= 2]
        others = [p for p in parameters if p.ndim < 2]
        groups.append({"params": matrices, "lr": lr, "weight_decay": weight_decay, "name": name})
        groups.append({"params": others, "lr": lr, "weight_decay": 0.0, "name": f"{name}, no decay"})
    return [group for group in groups if group["params"]]


class TrainingModule(pl.LightningModule):
    """Trains the parts of a network that have a learning rate, with AdamW and a cosine after a warm-up.

    Args:
        network: called with a batch, gives the loss.
        parts: modules of the network by name.
        learning_rates: by part; 0 freezes.
        steps: optimizer steps in all.
        warmup: fraction of them with a rising learning rate.
        weight_decay, betas: of AdamW.
        label: of the unit, before the names of logged values.
    """

    def __init__(
        self,
        network: nn.Module,
        parts: Mapping[str, nn.Module],
        learning_rates: Mapping[str, float],
        *,
        steps: int,
        warmup: float,
        weight_decay: float,
        betas: tuple[float, float],
        label: str,
    ) -> None:
        super().__init__()
        self.network = network
        self.steps = steps
        self.warmup = warmup
        self.betas = betas
        self.label = label
        self.losses: list[float] = []
        self.groups = parameter_groups(parts, learning_rates, weight_decay)
        if not self.groups:
            raise UserError(f"{label} trains nothing: every learning rate is 0 or its part is frozen.")
        self.frozen = [part for name, part in parts.items() if learning_rates.get(name, 0.0) <= 0]

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        loss = self.network(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise UserError(
                f"{self.label}: the loss is {value} at step {self.global_step + 1}; lower the learning rate, or look at the "
                f"batch{f' ({names})' if (names := ', '.join(getattr(batch, 'ids', ()))) else ''}."
            )
        self.losses.append(value)
        self.log(f"{self.label}/loss", loss.detach(), batch_size=len(batch))
        return loss

    def on_train_start(self) -> None:
        self.network.train()
        for part in self.frozen:
            part.eval()

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.groups, betas=self.betas, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_with_warmup(step, self.steps, self.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
