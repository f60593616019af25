"""The model, the data and the learning rates of one training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from eaglebench.training.parameter_groups import LayerDecay


@dataclass
class TrainingSetup:
    """Everything but the hyperparameters that one training needs.

    Attributes:
        network: called with a batch, gives the loss, a scalar.
        parts: modules of the network by name; together they hold all of its weights.
        learning_rates: by part; 0 freezes it.
        dataset, collate: make a batch of samples.
        config_path: where the settings of this training are in the config (`stages.sft`), for messages.
        count_targets: gives the number of targets that the loss of the sample with an index is a mean over; None: one
            a sample.
        blocks: the repeated blocks of the network, to compile, and to all-gather one by one where weights are sharded.
        lengths: of the samples' texts, by which they are grouped into batches; None: they are not.
        validation_models: what the validator is called with: a model and its language model. Empty: no validation.
        layer_decays: by part, for those whose learning rate differs between their blocks.
        unfreeze_at: by part, the optimizer step until which it stays frozen.
    """

    network: nn.Module
    parts: Mapping[str, nn.Module]
    learning_rates: Mapping[str, float]
    dataset: Dataset[Any]
    collate: Callable[[Sequence[Any]], Any]
    config_path: str
    count_targets: Callable[[int], int] | None = None
    lengths: Sequence[int] | None = None
    blocks: Sequence[nn.Module] = ()
    validation_models: tuple[Any, ...] = ()
    layer_decays: Mapping[str, LayerDecay] = field(default_factory=dict)
    unfreeze_at: Mapping[str, int] = field(default_factory=dict)
