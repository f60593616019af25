"""What the upstream cases share: an expert, a checkpoint in its library's format, and upstream's own output."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from eaglebench.experts.base import VisionExpert

Module = TypeVar("Module", bound=nn.Module)

OPEN_CLIP_TEXT_TOWER = {"context_length": 8, "vocab_size": 40, "width": 16, "heads": 2, "layers": 1}
SMALL = {"width": 32, "depth": 2, "heads": 2}  # arguments of a small expert


@dataclass
class Case:
    """A checkpoint with random weights, and what upstream computes with them.

    Attributes:
        expert: must read the checkpoint.
        checkpoint: a file or folder, as the library itself writes it.
        upstream: the map [B, C, H, W] of normalised pixels [B, 3, S, S], by upstream's code in float64.
    """

    expert: VisionExpert
    checkpoint: Path
    upstream: Callable[[Tensor], Tensor]


@dataclass
class FullSize:
    """Published numbers of an expert at size=full.

    Attributes:
        parameters: number of them, less those that the expert leaves out.
        channels, grid: of the expert's map.
    """

    parameters: int
    channels: int
    grid: int


# By a description of its checkpoint: writes the checkpoint to a path that does not exist yet.
Cases = dict[str, Callable[[Path], Case]]


def randomise(module: Module) -> Module:
    """The module in float64 and evaluation mode, every parameter random: upstream starts some at zero."""
    for parameter in module.double().eval().parameters():
        nn.init.normal_(parameter, std=0.25)
    return module


def to_square(tokens_BNC: Tensor) -> Tensor:
    """The map [B, C, H, W] of tokens [B, H * W, C]."""
    side = round(tokens_BNC.shape[1] ** 0.5)
    return tokens_BNC.transpose(1, 2).unflatten(2, (side, side))


def as_map(features: Tensor, grid: int) -> Tensor:
    """The map of upstream's output: a map already, or tokens whose last grid * grid are the patches."""
    return features if features.ndim == 4 else to_square(features[:, -(grid**2) :])


def add_prefix(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights with a prefix before each key."""
    return {prefix + key: tensor for key, tensor in weights.items()}
