"""The LightningModule of every stage."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DeepSpeedStrategy, ModelParallelStrategy
from torch import Tensor

from eaglebench.training.curves import log_curves, log_interval
from eaglebench.training.hyperparameters import SKIP, Hyperparameters
from eaglebench.training.micro_batches import is_last_micro_batch
from eaglebench.training.nonfinite import first_nonfinite_part
from eaglebench.training.parameter_groups import build_parameter_groups, freeze
from eaglebench.training.setup import TrainingSetup
from eaglebench.training.strategies import compute_gradient_norm, gather_weight, shard_network
from eaglebench.utils.distributed import all_gather, is_distributed, is_main_process
from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import named_seed

LOSSES, CURVES = "losses", "curves"  # in a checkpoint


def cosine_with_warmup(step: int, steps: int, warmup: float) -> float:
    """The factor on the learning rate before optimizer step `step` of `steps`: linear to 1, then a cosine to 0.

    Args:
        warmup: fraction of the steps in which the factor rises.
    """
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


class TrainingModule(pl.LightningModule):
    """Trains the parts of a network that have a learning rate, with AdamW and a cosine after a warm-up.

    A step depends on the weights and its number alone: it has a random seed of its own. A checkpoint holds the trained
    weights; the frozen ones are in the network before a checkpoint is loaded.

    Args:
        setup: the network, the data and the learning rates.
        hyperparameters: of the optimisation.
        steps: optimizer steps in all.
        label: of the unit, before the names of logged values.
        seed: of dropout.
        output_parts: parts whose weights are wanted at the end.

    Attributes:
        losses: of each optimizer step so far; NaN where it was skipped.
        curves: what was logged so far: an optimizer step, counted from 0, and values by full name.
        cut: ids of the samples of this process's batches that were longer than the context.
        weights: of the output parts by full name, once the training is over; empty in all but the main process.

    Raises:
        UserError: nothing trains.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        hyperparameters: Hyperparameters,
        steps: int,
        label: str,
        seed: int,
        output_parts: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.network = setup.network
        self.parts = dict(setup.parts)
        self.training_setup = setup  # `setup` is a method of Lightning's
        self.hyperparameters = hyperparameters
        self.steps = steps
        self.label = label
        self.seed = seed
        self.losses: list[float] = []
        self.curves: list[tuple[int, dict[str, float]]] = []
        self.cut: set[str] = set()
        self.micro_batch_losses: list[Tensor] = []  # of the current step
        self.micro_batch_index = 0
        freeze(self.parts, setup.learning_rates)
        if not any(parameter.requires_grad for part in self.parts.values() for parameter in part.parameters()):
            raise UserError(f"{label} trains nothing: every learning rate is 0 or its part is frozen.")
        self.frozen_parts = [part for name, part in self.parts.items() if setup.learning_rates.get(name, 0.0) <= 0]
        self.output_parts = tuple(output_parts)
        self.weights: dict[str, Tensor] = {}
        self.strict_loading = False  # of Lightning: a checkpoint lacks the frozen weights

    def setup(self, stage: str) -> None:
        """Check the settings against the strategy, before the training starts.

        Raises:
            UserError: DeepSpeed, which applies gradients by itself, cannot skip a step or drop gradients.
        """
        wanted = {
            "unfreeze_at": bool(self.training_setup.unfreeze_at),
            "nonfinite=skip": self.hyperparameters.nonfinite == SKIP,
        }
        for field in (field for field, is_set in wanted.items() if is_set and self.uses_deepspeed):
            raise UserError(
                f"{self.training_setup.config_path}.{field} is not for DeepSpeed: leave it out, or choose trainer=fsdp."
            )

    def configure_model(self) -> None:
        strategy = self.trainer.strategy
        if isinstance(strategy, ModelParallelStrategy):
            mesh = strategy.device_mesh["data_parallel"]
            shard_network(self.network, self.training_setup.blocks, mesh)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.micro_batch_index = batch_idx
        torch.manual_seed(named_seed(self.seed, f"{batch_idx} {self.global_rank}"))
        for name, step in self.training_setup.unfreeze_at.items():
            self.parts[name].train(self.global_step >= step)

    def training_step(self, weighted_batch: tuple[Any, float], batch_index: int) -> Tensor:
        """The weighted loss of a micro-batch, a scalar.

        Raises:
            UserError: it is NaN or Inf, and steps are not to be skipped.
        """
        batch, weight = weighted_batch
        self.cut.update(getattr(batch, "cut", ()))
        loss: Tensor = self.network(batch) * weight
        value = float(loss.detach())
        stop = not math.isfinite(value) and self.hyperparameters.nonfinite != SKIP
        # All processes stop together: one that stopped alone would leave the others waiting in the backward pass.
        if is_distributed() and self.trainer.strategy.reduce_boolean_decision(stop, all=False):
            gathered = all_gather((value, getattr(batch, "ids", ())) if stop else None)
            nonfinite = [entry for entry in gathered if entry is not None]
            names = ", ".join(name for _, ids in nonfinite for name in ids)
            raise UserError(
                f"{self.label}: the loss is {nonfinite[0][0]} at step {self.global_step + 1}; lower the learning rate, "
                f"set {self.training_setup.config_path}.nonfinite=skip, or look at the batch ({names}); "
                "on one device, this error names the first module that produces NaN or Inf."
            )
        if stop:
            names = ", ".join(getattr(batch, "ids", ()))
            where = first_nonfinite_part(self.network, self.parts, batch)
            raise UserError(
                f"{self.label}: the loss is {value} at step {self.global_step + 1}, and {where}; "
                f"lower the learning rate, set {self.training_setup.config_path}.nonfinite=skip, or look at the "
                f"batch{f' ({names})' if names else ''}."
            )
        self.micro_batch_losses.append(loss.detach())
        return loss

    @property
    def skipped_steps(self) -> int:
        """Optimizer steps that were skipped because of NaN or Inf."""
        return sum(map(math.isnan, self.losses))

    @property
    def uses_deepspeed(self) -> bool:
        """Whether DeepSpeed holds the gradients, and applies them."""
        return isinstance(self.trainer.strategy, DeepSpeedStrategy)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the loss and the gradient norm of each part; stop at, or skip, a step with NaN or Inf gradients.

        Raises:
            UserError: a gradient is NaN or Inf, and steps are not to be skipped.
        """
        if not is_last_micro_batch(self.micro_batch_index, self.trainer.accumulate_grad_batches):
            return  # DeepSpeed's optimizer is called for each micro-batch
        loss = self.trainer.strategy.reduce(torch.stack(self.micro_batch_losses).mean(), reduce_op="mean")
        self.micro_batch_losses.clear()
        self.losses.append(float(loss))
        values = self.check_gradients(optimizer)
        if not len(self.losses) % log_interval(self.steps):
            self.log_values({"loss": self.losses[-1], **values}, len(self.losses) - 1)

    def check_gradients(self, optimizer: torch.optim.Optimizer) -> dict[str, float]:
        """Drop the gradients of parts that do not train in this step, and all of a step that is skipped.

        Returns:
            The gradient norm of each part, or the number of skipped steps, by name; empty where they are not known.

        Raises:
            UserError: a gradient is NaN or Inf, and steps are not to be skipped.
        """
        for name, step in self.training_setup.unfreeze_at.items():
            if self.global_step < step:
                # Dropped, not left uncomputed: strategies of several processes need the same parameters to train
                # throughout.
                self.parts[name].zero_grad(set_to_none=True)
        if self.uses_deepspeed and (self.global_step + 1) % log_interval(self.steps):
            return {}  # its gradients are sharded: gathering them takes as long as a step's communication
        norms = self.gradient_norms()
        for name, norm in norms.items():
            if norm == 0:
                # Nothing in the batch went through the part. On one device it has no gradient, on several it has zeros:
                # dropped, so that AdamW leaves its moments alone in both cases.
                self.parts[name].zero_grad(set_to_none=True)
        if self.trainer.precision == "16-mixed":
            return {}  # its gradient scaler expects NaN and Inf, and handles them
        nonfinite = [name for name, norm in norms.items() if not math.isfinite(norm)]
        if nonfinite and self.hyperparameters.nonfinite != SKIP:
            raise self.nonfinite_error(f"the gradient of {', '.join(nonfinite)}")
        if nonfinite:
            self.losses[-1] = math.nan  # marks a step that was skipped
            optimizer.zero_grad(set_to_none=True)
            return {"skipped steps": float(self.skipped_steps)}
        return {f"gradient norm of {name}": norm for name, norm in norms.items()}

    def log_values(self, values: Mapping[str, float], step: int) -> None:
        """Log the finite ones of some values, and keep them for the checkpoints.

        Not with Lightning's `log`: it logs after a checkpoint of the same step is written, which would lack them.

        Args:
            values: by name, without the label of the unit.
            step: the optimizer step, counted from 0.
        """
        row = {f"{self.label}/{name}": value for name, value in values.items() if math.isfinite(value)}
        if row:
            self.curves.append((step, row))
            log_curves(self.loggers, self.curves[-1:])

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.uses_deepspeed and is_last_micro_batch(self.micro_batch_index, self.trainer.accumulate_grad_batches):
            norm = self.trainer.strategy.deepspeed_engine.get_global_grad_norm()  # type: ignore[attr-defined]
            if norm is not None and not math.isfinite(norm):
                raise self.nonfinite_error("the gradient")

    def nonfinite_error(self, what: str) -> UserError:
        """The error of a step whose gradients have NaN or Inf; `what` begins its message."""
        return UserError(
            f"{self.label}: {what} is not finite at step {self.global_step + 1}; lower the learning rate, or set "
            f"{self.training_setup.config_path}.nonfinite=skip."
        )

    def gradient_norms(self) -> dict[str, float]:
        """The L2 norm of the gradient of each part that has one, before clipping."""
        found = {name: compute_gradient_norm(part, self.uses_deepspeed) for name, part in self.parts.items()}
        norms = {name: norm for name, norm in found.items() if norm is not None}
        # One wait for the device, however many parts there are.
        return dict(zip(norms, torch.stack([*norms.values()]).tolist(), strict=True)) if norms else {}

    def on_train_start(self) -> None:
        self.set_train_mode()

    def set_train_mode(self) -> None:
        """Put the network into training mode, and its frozen parts into evaluation mode."""
        self.network.train()
        for part in self.frozen_parts:
            part.eval()

    def on_fit_end(self) -> None:
        # Not `on_train_end`, which is not called if the loaded checkpoint is of the last step.
        for name in self.output_parts:
            for key, value in self.parts[name].state_dict(keep_vars=True).items():
                weight = gather_weight(value)
                if is_main_process():
                    self.weights[f"{name}.{key}"] = weight.detach().cpu().clone()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if not isinstance(self.trainer.strategy, ModelParallelStrategy):  # FSDP reads back all that the network has
            frozen = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}
            state = checkpoint["state_dict"]
            checkpoint["state_dict"] = {key: value for key, value in state.items() if key not in frozen}
        checkpoint[LOSSES], checkpoint[CURVES] = self.losses, self.curves

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.losses, self.curves = list(checkpoint[LOSSES]), list(checkpoint[CURVES])
        log_curves(self.loggers, self.curves)

    def configure_optimizers(self) -> Any:
        setup, numbers = self.training_setup, self.hyperparameters
        groups = build_parameter_groups(self.parts, setup.learning_rates, numbers.weight_decay, setup.layer_decays)
        # A fused step could unscale gradients by itself: Lightning's mixed precision does not clip before one.
        fused = "mixed" not in str(self.trainer.precision)
        optimizer = torch.optim.AdamW(groups, betas=numbers.betas, fused=fused)
        rates = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_with_warmup(step, self.steps, numbers.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step"}}
