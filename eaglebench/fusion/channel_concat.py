"""Channel concatenation, the fusion that Eagle chose (arXiv 2408.15998, section 2.3)."""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from eaglebench.fusion.base import FeatureInfo, Fusion
from eaglebench.fusion.place import Place


class ChannelConcat(Fusion):
    """Concatenates all maps on the common grid along channels, in the user's order, and projects them: N = G*G.

    With `norm`, a LayerNorm per expert keeps an expert with large activations from dominating the others.
    """

    def __init__(
        self,
        experts: Mapping[str, FeatureInfo],
        width: int,
        grid: PositiveInt | None = None,
        align_corners: bool = False,
        shrink: Literal["antialias", "unshuffle"] = "antialias",
        norm: bool = False,
        projector_width: PositiveInt | None = None,
        place: Place = "none",
    ) -> None:
        super().__init__(experts, width, grid, align_corners, shrink, norm, projector_width, place)
        channels = {name: self.aligned_channels(name) for name in self.experts}
        self.norms = nn.ModuleDict(
            {name: nn.LayerNorm(count) if self.norm else nn.Identity() for name, count in channels.items()}
        )
        self.projector = self.build_projector(sum(channels.values()), norm=False)

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        aligned = [self.norms[name](self.align_to_grid(features, name)) for name in self.experts]
        tokens: Tensor = self.projector(torch.cat(aligned, dim=-1))
        return tokens
