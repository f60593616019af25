"""The numbers of an optimisation, and how a batch is split over processes. Imports neither torch nor Lightning."""

from dataclasses import dataclass

from eaglebench.utils.errors import UserError

SKIP = "skip"


@dataclass(frozen=True)
class Hyperparameters:
    """The numbers of an optimisation.

    Args:
        batch_size: samples of an optimizer step, over all devices and micro-batches (the global batch size).
        steps, epochs: the length; exactly one of them is set.
        warmup: fraction of the steps in which the learning rate rises linearly; a cosine to zero follows.
        weight_decay: of AdamW, on matrices (not on biases, norms or one-dimensional embeddings).
        betas: of AdamW.
        grad_clip: the largest gradient norm; 0 clips nothing.
        nonfinite: `stop`, or `skip` the step, if its loss or a gradient is NaN or Inf.
        micro_batch: samples of a device's forward pass; None: its share of the batch at once. Does not change results.
    """

    batch_size: int
    steps: int | None
    epochs: float | None
    warmup: float
    weight_decay: float
    betas: tuple[float, float]
    grad_clip: float
    nonfinite: str
    micro_batch: int | None = None

    def total_steps(self, samples: int) -> int:
        """Optimizer steps of a training on this many samples."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * samples / self.batch_size))


def micro_batch_size(config_path: str, batch_size: int, micro_batch: int | None, world_size: int) -> int:
    """Samples that a process takes in one forward pass.

    Args:
        config_path: where the settings are in the config (`stages.sft`), for messages.
        batch_size: samples of an optimizer step, over all processes.
        micro_batch: the size that the config asks for; None: the whole share of a process.
        world_size: processes that share a batch.

    Raises:
        UserError: the batch is not a multiple of what all processes take at a time.
    """
    size = micro_batch or batch_size // world_size
    if not size or batch_size % (size * world_size):
        what = f"{world_size} processes" if micro_batch is None else f"{world_size} x micro_batch={micro_batch}"
        raise UserError(f"{config_path}.batch_size={batch_size} cannot be shared by {what}: make it a multiple.")
    return size
