"""The LightningModule of every stage."""

import math
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DeepSpeedStrategy, ModelParallelStrategy
from torch import Tensor

from eaglebench.training.curves import log_again, log_interval
from eaglebench.training.micro_batches import ends_batch
from eaglebench.training.nonfinite import unfinished
from eaglebench.training.parameter_groups import freeze, parameter_groups
from eaglebench.training.setup import SKIP, Schedule, Training
from eaglebench.training.strategies import gradient_norm, shard, whole
from eaglebench.utils.distributed import gathered, leads, several
from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import named_seed

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
        training: what is trained.
        schedule: how.
        steps: optimizer steps in all.
        label: of the unit, before the names of logged values.
        seed: of dropout.
        keep: parts whose weights are wanted at the end.

    Attributes:
        losses: of each step so far; not a number where it was skipped.
        weights: of the parts to keep, by full name, once the training is over; none in processes that do not lead.
    """

    def __init__(
        self, training: Training, schedule: Schedule, steps: int, label: str, seed: int, keep: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.network = training.network
        self.parts = dict(training.parts)
        self.training_of = training
        self.schedule = schedule
        self.steps = steps
        self.label = label
        self.seed = seed
        self.losses: list[float] = []
        self.of_this_step: list[Tensor] = []
        self.piece = 0
        freeze(self.parts, training.learning_rates)
        if not any(parameter.requires_grad for part in self.parts.values() for parameter in part.parameters()):
            raise UserError(f"{label} trains nothing: every learning rate is 0 or its part is frozen.")
        self.frozen = [part for name, part in self.parts.items() if training.learning_rates.get(name, 0.0) <= 0]
        self.keep = tuple(keep)
        self.weights: dict[str, Tensor] = {}
        self.strict_loading = False  # of Lightning: a checkpoint lacks what is frozen

    def setup(self, stage: str) -> None:
        """Refuse what DeepSpeed, which applies gradients by itself, leaves no moment for."""
        asked = {"unfreeze_at": bool(self.training_of.unfreeze_at), "nonfinite=skip": self.schedule.nonfinite == SKIP}
        for field in (field for field, wanted in asked.items() if wanted and self.by_deepspeed):
            raise UserError(
                f"{self.training_of.config}.{field} is not for DeepSpeed: leave it out, or choose trainer=fsdp."
            )

    def configure_model(self) -> None:
        strategy = self.trainer.strategy
        if isinstance(strategy, ModelParallelStrategy):
            mesh = strategy.device_mesh["data_parallel"]
            shard(self.network, self.training_of.blocks, mesh)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.piece = batch_idx
        torch.manual_seed(named_seed(self.seed, f"{batch_idx} {self.global_rank}"))
        for name, step in self.training_of.unfreeze_at.items():
            self.parts[name].train(self.global_step >= step)

    def training_step(self, weighed: tuple[Any, float], batch_index: int) -> Tensor:
        batch, weight = weighed
        loss = self.network(batch) * weight
        value = float(loss.detach())
        broken = not math.isfinite(value) and self.schedule.nonfinite != SKIP
        # Together: who stopped alone would leave the others waiting in the backward pass.
        if several() and self.trainer.strategy.reduce_boolean_decision(broken, all=False):
            found = [one for one in gathered((value, getattr(batch, "ids", ())) if broken else None) if one is not None]
            names = ", ".join(name for _, ids in found for name in ids)
            raise UserError(
                f"{self.label}: the loss is {found[0][0]} at step {self.global_step + 1}; lower the learning rate, set "
                f"{self.training_of.config}.nonfinite=skip, or look at the batch ({names}); on one device it is said which part gives it."
            )
        if broken:
            names = ", ".join(getattr(batch, "ids", ()))
            raise UserError(
                f"{self.label}: the loss is {value} at step {self.global_step + 1}, and {unfinished(self.network, self.parts, batch)}; "
                f"lower the learning rate, set {self.training_of.config}.nonfinite=skip, or look at the "
                f"batch{f' ({names})' if names else ''}."
            )
        self.of_this_step.append(loss.detach())
        return loss

    @property
    def skipped(self) -> int:
        """Steps that changed nothing."""
        return sum(map(math.isnan, self.losses))

    @property
    def by_deepspeed(self) -> bool:
        """Whether DeepSpeed holds the gradients, and applies them."""
        return isinstance(self.trainer.strategy, DeepSpeedStrategy)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the loss and the norm of each part's gradient, and leave a step out whose gradients are no numbers."""
        if not ends_batch(self.piece, self.trainer.accumulate_grad_batches):
            return  # DeepSpeed is called for each piece
        loss = self.trainer.strategy.reduce(torch.stack(self.of_this_step).mean(), reduce_op="mean")
        self.of_this_step.clear()
        self.losses.append(float(loss))
        self.log(f"{self.label}/loss", loss)
        for name, step in self.training_of.unfreeze_at.items():
            if self.global_step < step:
                # Dropped, not left uncomputed: strategies of several processes want the same parameters to train throughout.
                self.parts[name].zero_grad(set_to_none=True)
        if self.by_deepspeed and (self.global_step + 1) % log_interval(self.steps):
            return  # its gradients lie in shards: each look at them is as long as a step's exchange
        norms = self.gradient_norms()
        for name, norm in norms.items():
            if norm == 0:
                # Nothing in the batch went through the part: it keeps its moments, on one device, where it has no gradient, as on several,
                # where it has zeros.
                self.parts[name].zero_grad(set_to_none=True)
        if self.trainer.precision == "16-mixed":
            return  # its scaler looks for what is not finite, and expects it
        broken = [name for name, norm in norms.items() if not math.isfinite(norm)]
        if broken and self.schedule.nonfinite != SKIP:
            raise self.not_finite(f"the gradient of {', '.join(broken)}")
        if broken:
            self.losses[-1] = math.nan  # a step that changed nothing
            optimizer.zero_grad(set_to_none=True)
            self.log(f"{self.label}/skipped steps", float(self.skipped))
        else:
            self.log_dict({f"{self.label}/gradient norm of {name}": norm for name, norm in norms.items()})

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.by_deepspeed and ends_batch(self.piece, self.trainer.accumulate_grad_batches):
            norm = self.trainer.strategy.deepspeed_engine.get_global_grad_norm()  # type: ignore[attr-defined]
            if norm is not None and not math.isfinite(norm):
                raise self.not_finite("the gradient")

    def not_finite(self, what: str) -> UserError:
        """Of a step whose gradients are no numbers."""
        return UserError(
            f"{self.label}: {what} is not finite at step {self.global_step + 1}; lower the learning rate, or set "
            f"{self.training_of.config}.nonfinite=skip."
        )

    def gradient_norms(self) -> dict[str, float]:
        """The norm of the gradient of each part that has one, before clipping."""
        found = {name: gradient_norm(part, self.by_deepspeed) for name, part in self.parts.items()}
        norms = {name: norm for name, norm in found.items() if norm is not None}
        # One wait for the device, however many parts there are.
        return dict(zip(norms, torch.stack([*norms.values()]).tolist(), strict=True)) if norms else {}

    def on_train_start(self) -> None:
        self.training_mode()

    def training_mode(self) -> None:
        """What trains is in training mode, what is frozen is not."""
        self.network.train()
        for part in self.frozen:
            part.eval()

    def kept(self) -> list[tuple[str, Tensor]]:
        """The weights and buffers of the parts to keep, by full name."""
        return [
            (f"{name}.{key}", value)
            for name in self.keep
            for key, value in self.parts[name].state_dict(keep_vars=True).items()
        ]

    def on_fit_end(self) -> None:
        # Not `on_train_end`, which does not come where a checkpoint of the last step was read.
        for name, value in self.kept():
            found = whole(value)
            if leads():
                self.weights[name] = found.detach().cpu().clone()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if not isinstance(self.trainer.strategy, ModelParallelStrategy):  # which wants to read what it has
            frozen = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}
            state = checkpoint["state_dict"]
            checkpoint["state_dict"] = {key: value for key, value in state.items() if key not in frozen}
        checkpoint[LOSSES] = self.losses

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.losses = list(checkpoint[LOSSES])
        log_again(self.loggers, self.label, self.losses, self.steps)

    def configure_optimizers(self) -> Any:
        training, schedule = self.training_of, self.schedule
        groups = parameter_groups(self.parts, training.learning_rates, schedule.weight_decay, training.layer_decays)
        # A fused step could unscale gradients by itself: Lightning's mixed precision does not clip before one.
        fused = "mixed" not in str(self.trainer.precision)
        optimizer = torch.optim.AdamW(groups, betas=schedule.betas, fused=fused)
        rates = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_with_warmup(step, self.steps, schedule.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step"}}
