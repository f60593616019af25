"""AdamW's parameter groups: what trains, how fast, and what decays."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from eaglebench.model.adapt import lora_parameters


class LayerDecay(NamedTuple):
    """Layer-wise learning-rate decay: learning rates that fall from the last block of a part to its first.

    Attributes:
        factor: the learning rate of a block over that of the next one.
        blocks: of the part, in their order. Parameters before the first block count as one more layer, those after the
            last block too. Parameters between two blocks, such as downsampling, count to the second.
    """

    factor: float
    blocks: Sequence[nn.Module]


def freeze(parts: Mapping[str, nn.Module], learning_rates: Mapping[str, float]) -> None:
    """Freeze parts without a learning rate, and all but the adapters of parts with LoRA; unfreeze the rest."""
    for name, part in parts.items():
        lora = lora_parameters(part)
        part.requires_grad_(learning_rates.get(name, 0.0) > 0 and not lora)
        for parameter in lora:
            parameter.requires_grad_(learning_rates.get(name, 0.0) > 0)


def build_parameter_groups(
    parts: Mapping[str, nn.Module],
    learning_rates: Mapping[str, float],
    weight_decay: float,
    layer_decays: Mapping[str, LayerDecay] | None = None,
) -> list[dict[str, Any]]:
    """AdamW's groups, named after their parts.

    Each part has up to two groups: matrices, and the rest, which does not decay. With layer-wise decay, each layer has
    its own two.

    Args:
        parts: modules by name.
        learning_rates: by part; parts with 0, or none, have no group.
        weight_decay: of matrices.
        layer_decays: by part; the others have one learning rate.
    """
    groups, decays = [], layer_decays or {}
    for name, part in parts.items():
        lr = learning_rates.get(name, 0.0)
        if lr <= 0:
            continue
        decay = decays.get(name)
        for label, scale, parameters in split_layers(part, decay) if decay else [(name, 1.0, list(part.parameters()))]:
            trained = [parameter for parameter in parameters if parameter.requires_grad]
            matrices = [parameter for parameter in trained if parameter.ndim >= 2]
            others = [parameter for parameter in trained if parameter.ndim < 2]
            rate = lr * scale
            full = name if label == name else f"{name}, {label}"
            groups.append({"params": matrices, "lr": rate, "weight_decay": weight_decay, "name": full})
            groups.append({"params": others, "lr": rate, "weight_decay": 0.0, "name": f"{full}, no decay"})
    return [group for group in groups if group["params"]]


def split_layers(part: nn.Module, decay: LayerDecay) -> Iterator[tuple[str, float, list[nn.Parameter]]]:
    """The layers of a part from its stem to its head: name, factor of the learning rate, and parameters."""
    last = len(decay.blocks) + 1
    block_of = {id(p): number for number, block in enumerate(decay.blocks, 1) for p in block.parameters()}
    parameters = list(part.parameters())
    numbers, following = [], last
    for parameter in reversed(parameters):
        following = block_of.get(id(parameter), following)
        numbers.append(following)
    layers: dict[int, list[nn.Parameter]] = {number: [] for number in range(last + 1)}
    in_blocks = False
    for parameter, number in zip(parameters, reversed(numbers), strict=True):
        in_blocks = in_blocks or id(parameter) in block_of
        layers[number if in_blocks else 0].append(parameter)
    for number, own in layers.items():
        yield f"layer {number}", decay.factor ** (last - number), own
