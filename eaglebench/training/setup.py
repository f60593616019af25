"""What one training is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from eaglebench.training.parameter_groups import LayerDecay

SKIP = "skip"


@dataclass(frozen=True)
class Schedule:
    """The numbers of an optimisation.

    Args:
        batch_size: samples a step, over all devices and micro-batches.
        steps, epochs: the length; exactly one is set.
        warmup: fraction of the steps with a rising learning rate; cosine to zero follows.
        weight_decay: of AdamW, on matrices (not on biases, norms or embeddings of one dimension).
        betas: of AdamW.
        clip: gradient norm; 0 leaves gradients as they are.
        nonfinite: `stop`, or SKIP the step, where the loss or a gradient is not finite.
        micro_batch: samples that a device takes at a time; None: its share of the batch at once. Changes no result.
    """

    batch_size: int
    steps: int | None
    epochs: float | None
    warmup: float
    weight_decay: float
    betas: tuple[float, float]
    clip: float
    nonfinite: str
    micro_batch: int | None = None

    def length(self, samples: int) -> int:
        """Optimizer steps over so many samples."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * samples / self.batch_size))


@dataclass
class Training:
    """Everything that training one unit needs.

    Attributes:
        network: called with a batch, gives the loss.
        parts: modules of the network by name; what is not named here has no weights.
        learning_rates: by part; 0: frozen.
        dataset, collate: what batches are made of.
        config: where the settings of this training are in the config, for messages.
        layer_decays: by part, where the learning rate differs between its blocks.
        unfreeze_at: by part, the optimizer step before which it does not train.
        blocks: the repeated blocks of the network: what is whole on a device while it computes, where weights are in shards.
        answering: what a look at held-out samples is called with: a model and its language model; empty: no looks.
        targets: how many targets the loss of the sample of an index is the mean of; None: one each.
    """

    network: nn.Module
    parts: Mapping[str, nn.Module]
    learning_rates: Mapping[str, float]
    dataset: Dataset[Any]
    collate: Callable[[Sequence[Any]], Any]
    config: str
    targets: Callable[[int], int] | None = None
    blocks: Sequence[nn.Module] = ()
    answering: tuple[Any, ...] = ()
    layer_decays: Mapping[str, LayerDecay] = field(default_factory=dict)
    unfreeze_at: Mapping[str, int] = field(default_factory=dict)
