"""Sequence append: every expert adds its own visual tokens."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from eaglebench.fusion.base import Fusion, MapShape
from eaglebench.fusion.projector import mlp_projector


class SequenceAppend(Fusion):
    """A projector for each expert; their tokens follow each other in the user's order: N = experts * G*G."""

    def __init__(
        self,
        experts: Mapping[str, MapShape],
        width: int,
        grid: int | None = None,
        align_corners: bool = False,
        norm: bool = False,
        projector_width: int | None = None,
    ) -> None:
        super().__init__(experts, width, grid, align_corners)
        self.visual_tokens = len(self.shapes) * self.grid**2
        self.projectors = nn.ModuleDict(
            {name: mlp_projector(shape.channels, width, projector_width, norm) for name, shape in self.shapes.items()}
        )

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        tokens = [self.projectors[name](self.aligned(features, name)) for name in self.shapes]
        return torch.cat(tokens, dim=1)
