"""Sequence append: every expert adds its own visual tokens."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from eaglebench.fusion.base import Fusion, Outline


class SequenceAppend(Fusion):
    """A projector for each expert; their tokens follow each other in the user's order: N = experts * G*G.

    With `interleaved`, the tokens of one place follow each other instead: first cell of each expert, second cell of each, and so on.
    """

    def __init__(self, experts: Mapping[str, Outline], width: int, interleaved: bool = False, **common: Any) -> None:
        super().__init__(experts, width, **common)
        self.interleaved = interleaved
        self.visual_tokens = len(self.experts) * self.grid**2
        self.projectors = nn.ModuleDict(
            {name: self.new_projector(self.aligned_channels(name), self.norm) for name in self.experts}
        )

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        tokens = [self.projectors[name](self.aligned(features, name)) for name in self.experts]
        if self.interleaved:
            return torch.stack(tokens, dim=2).flatten(1, 2)
        return torch.cat(tokens, dim=1)
