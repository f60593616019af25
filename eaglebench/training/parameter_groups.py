"""AdamW's parameter groups: what trains, how fast, and what decays."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from eaglebench.model.adapt import adapters


class LayerDecay(NamedTuple):
    """Learning rates that fall from the last block of a part to its first.

    Attributes:
        factor: the learning rate of a block over that of the next one.
        blocks: of the part, in their order. What lies before them counts as one more, what lies behind them too; what lies between
            two, as downsampling does, counts to the second.
    """

    factor: float
    blocks: Sequence[nn.Module]


def freeze(parts: Mapping[str, nn.Module], learning_rates: Mapping[str, float]) -> None:
    """Freeze the parts without a learning rate, and of a part with LoRA adapters everything but these; the rest trains."""
    for name, part in parts.items():
        trained = adapters(part)
        part.requires_grad_(learning_rates.get(name, 0.0) > 0 and not trained)
        for parameter in trained:
            parameter.requires_grad_(learning_rates.get(name, 0.0) > 0)


def parameter_groups(
    parts: Mapping[str, nn.Module],
    learning_rates: Mapping[str, float],
    weight_decay: float,
    layer_decays: Mapping[str, LayerDecay] | None = None,
) -> list[dict[str, Any]]:
    """AdamW's groups, named after their part: matrices, and the rest, which does not decay; of each block where rates differ."""
    groups, decays = [], layer_decays or {}
    for name, part in parts.items():
        lr = learning_rates.get(name, 0.0)
        if lr <= 0:
            continue
        decay = decays.get(name)
        for label, scale, parameters in layers(part, decay) if decay else [(name, 1.0, list(part.parameters()))]:
            wanted = [parameter for parameter in parameters if parameter.requires_grad]
            matrices = [parameter for parameter in wanted if parameter.ndim >= 2]
            others = [parameter for parameter in wanted if parameter.ndim < 2]
            rate = lr * scale
            full = name if label == name else f"{name}, {label}"
            groups.append({"params": matrices, "lr": rate, "weight_decay": weight_decay, "name": full})
            groups.append({"params": others, "lr": rate, "weight_decay": 0.0, "name": f"{full}, no decay"})
    return [group for group in groups if group["params"]]


def layers(part: nn.Module, decay: LayerDecay) -> Iterator[tuple[str, float, list[nn.Parameter]]]:
    """The layers of a part from its stem to its head: their names, the factors of their learning rates, and their parameters."""
    last = len(decay.blocks) + 1
    block_of = {id(p): number for number, block in enumerate(decay.blocks, 1) for p in block.parameters()}
    parameters = list(part.parameters())
    numbers, following = [], last
    for parameter in reversed(parameters):
        following = block_of.get(id(parameter), following)
        numbers.append(following)
    found: dict[int, list[nn.Parameter]] = {number: [] for number in range(last + 1)}
    reached = False
    for parameter, number in zip(parameters, reversed(numbers), strict=True):
        reached = reached or id(parameter) in block_of
        found[number if reached else 0].append(parameter)
    for number, own in found.items():
        yield f"layer {number}", decay.factor ** (last - number), own
