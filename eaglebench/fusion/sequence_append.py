"""Sequence append: every expert contributes its own visual tokens (Eagle, arXiv 2408.15998, section 2.3)."""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from eaglebench.fusion.base import FeatureInfo, Fusion
from eaglebench.fusion.place import Place


class SequenceAppend(Fusion):
    """Projects each expert's map with its own projector and appends the tokens in the user's order.

    N = E * G*G tokens of E experts.

    Args:
        interleaved: order the tokens by grid cell instead: the first cell of each expert, then the second cell of each,
            and so on.
    """

    def __init__(
        self,
        experts: Mapping[str, FeatureInfo],
        width: int,
        interleaved: bool = False,
        grid: PositiveInt | None = None,
        align_corners: bool = False,
        shrink: Literal["antialias", "unshuffle"] = "antialias",
        norm: bool = False,
        projector_width: PositiveInt | None = None,
        place: Place = "none",
    ) -> None:
        super().__init__(experts, width, grid, align_corners, shrink, norm, projector_width)
        self.interleaved = interleaved
        self.visual_tokens = len(self.experts) * self.grid**2
        self.projectors = nn.ModuleDict(
            {name: self.build_projector(self.aligned_channels(name), self.norm) for name in self.experts}
        )
        self.embed_places(place, copies=len(self.experts), interleaved=interleaved)

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        tokens = [self.projectors[name](self.align_to_grid(features, name)) for name in self.experts]
        if self.interleaved:
            return torch.stack(tokens, dim=2).flatten(1, 2)
        return torch.cat(tokens, dim=1)
