"""The LightningModule of every stage."""

import math
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from eaglebench.digests import named_seed
from eaglebench.errors import UserError
from eaglebench.training.curves import log_again
from eaglebench.training.finite import unfinished
from eaglebench.training.groups import LayerDecay, parameter_groups
from eaglebench.training.training import SKIP

LOSSES = "losses"  # in a checkpoint


def cosine_with_warmup(step: int, steps: int, warmup: float) -> float:
    """The factor on the learning rate before optimizer step `step` of `steps`: linear to 1, then cosine to 0."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


class TrainingModule(pl.LightningModule):
    """Trains the parts of a network that have a learning rate, with AdamW and a cosine after a warm-up.

    What a step does depends on the weights and its number alone: its random numbers have a seed of their own. A checkpoint holds what
    is trained; what is frozen is there before a checkpoint is read.

    Args:
        network: called with a batch, gives the loss.
        parts: modules of the network by name.
        learning_rates: by part; 0 freezes.
        steps: optimizer steps in all.
        warmup: fraction of them with a rising learning rate.
        weight_decay, betas: of AdamW.
        nonfinite: `stop`, or `skip` the step, where the loss or a gradient is not finite.
        layer_decays: by part, where the learning rate differs between its blocks.
        unfreeze_at: by part, the optimizer step before which it does not train.
        label: of the unit, before the names of logged values.
        config: where the unit's settings are, for messages.
        seed: of dropout.

    Attributes:
        losses: of each step so far; not a number where it was skipped.
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
        nonfinite: str,
        label: str,
        config: str,
        seed: int,
        layer_decays: Mapping[str, LayerDecay] | None = None,
        unfreeze_at: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.parts = dict(parts)
        self.steps = steps
        self.warmup = warmup
        self.betas = betas
        self.nonfinite = nonfinite
        self.label = label
        self.config = config
        self.seed = seed
        self.losses: list[float] = []
        self.of_this_step: list[Tensor] = []
        self.unfreeze_at = dict(unfreeze_at or {})
        self.groups = parameter_groups(parts, learning_rates, weight_decay, layer_decays)
        if not self.groups:
            raise UserError(f"{label} trains nothing: every learning rate is 0 or its part is frozen.")
        self.frozen = [part for name, part in parts.items() if learning_rates.get(name, 0.0) <= 0]
        self.strict_loading = False  # of Lightning: a checkpoint lacks what is frozen

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(named_seed(self.seed, f"{batch_idx} {self.global_rank}"))
        for name, step in self.unfreeze_at.items():
            self.parts[name].train(self.global_step >= step)

    def training_step(self, weighed: tuple[Any, float], batch_index: int) -> Tensor:
        batch, weight = weighed
        loss = self.network(batch) * weight
        value = float(loss.detach())
        if not math.isfinite(value) and self.nonfinite != SKIP:
            names = ", ".join(getattr(batch, "ids", ()))
            raise UserError(
                f"{self.label}: the loss is {value} at step {self.global_step + 1}, and {unfinished(self.network, self.parts, batch)}; "
                f"lower the learning rate, set {self.config}.nonfinite=skip, or look at the "
                f"batch{f' ({names})' if names else ''}."
            )
        self.of_this_step.append(loss.detach())
        return loss

    @property
    def skipped(self) -> int:
        """Steps that changed nothing."""
        return sum(map(math.isnan, self.losses))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the loss and the norm of each part's gradient, and leave a step out whose gradients are no numbers."""
        loss = self.trainer.strategy.reduce(torch.stack(self.of_this_step).mean(), reduce_op="mean")
        self.of_this_step.clear()
        self.losses.append(float(loss))
        self.log(f"{self.label}/loss", loss)
        for name, step in self.unfreeze_at.items():
            if self.global_step < step:
                # Dropped, not left uncomputed: strategies of several processes want the same parameters to train throughout.
                self.parts[name].zero_grad(set_to_none=True)
        norms = self.gradient_norms()
        if self.trainer.precision == "16-mixed":
            return  # its scaler looks for what is not finite, and expects it
        broken = [name for name, norm in norms.items() if not math.isfinite(norm)]
        if broken and self.nonfinite != SKIP:
            raise UserError(
                f"{self.label}: the gradient of {', '.join(broken)} is not finite at step {self.global_step + 1}; lower the learning "
                f"rate, or set {self.config}.nonfinite=skip."
            )
        if broken:
            self.losses[-1] = math.nan  # a step that changed nothing
            optimizer.zero_grad(set_to_none=True)
            self.log(f"{self.label}/skipped steps", float(self.skipped))
        else:
            self.log_dict({f"{self.label}/gradient norm of {name}": norm for name, norm in norms.items()})

    def gradient_norms(self) -> dict[str, float]:
        """The norm of the gradient of each part that has one, before clipping."""
        gradients = {
            name: [parameter.grad for parameter in part.parameters() if parameter.grad is not None]
            for name, part in self.parts.items()
        }
        norms = {name: nn.utils.get_total_norm(each) for name, each in gradients.items() if each}
        # One wait for the device, however many parts there are.
        return dict(zip(norms, torch.stack([*norms.values()]).tolist(), strict=True)) if norms else {}

    def on_train_start(self) -> None:
        self.training_mode()

    def training_mode(self) -> None:
        """What trains is in training mode, what is frozen is not."""
        self.network.train()
        for part in self.frozen:
            part.eval()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        frozen = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}
        checkpoint["state_dict"] = {key: value for key, value in checkpoint["state_dict"].items() if key not in frozen}
        checkpoint[LOSSES] = self.losses

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.losses = list(checkpoint[LOSSES])
        log_again(self.loggers, self.label, self.losses, self.steps)

    def configure_optimizers(self) -> Any:
        # A fused step unscales gradients by itself, and leaves no moment to clip them.
        fused = self.trainer.precision != "16-mixed"
        optimizer = torch.optim.AdamW(self.groups, betas=self.betas, fused=fused)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_with_warmup(step, self.steps, self.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
