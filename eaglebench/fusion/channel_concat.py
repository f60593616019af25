"""Channel concatenation: Eagle's choice."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from eaglebench.fusion.base import Fusion, Outline


class ChannelConcat(Fusion):
    """All maps on the common grid, concatenated on channels in the user's order, and one MLP projector: N = G*G.

    With `norm`, each expert's channels are normalised on their own, so that none drowns the others by its scale.
    """

    def __init__(self, experts: Mapping[str, Outline], width: int, **common: Any) -> None:
        super().__init__(experts, width, **common)
        channels = {name: self.aligned_channels(name) for name in self.experts}
        self.norms = nn.ModuleDict(
            {name: nn.LayerNorm(count) if self.norm else nn.Identity() for name, count in channels.items()}
        )
        self.projector = self.new_projector(sum(channels.values()), norm=False)

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        aligned = [self.norms[name](self.aligned(features, name)) for name in self.experts]
        return self.projector(torch.cat(aligned, dim=-1))
