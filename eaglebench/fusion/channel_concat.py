"""Channel concatenation: Eagle's choice."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from eaglebench.fusion.base import Fusion, MapShape
from eaglebench.fusion.projector import mlp_projector


class ChannelConcat(Fusion):
    """All maps on the common grid, concatenated on channels in the user's order, and one MLP projector: N = G*G.

    With `norm`, each expert's channels are normalised on their own, so that none drowns the others by its scale. The projector's
    hidden layer has `projector_width` channels, D if None.
    """

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
        self.visual_tokens = self.grid**2
        self.norms = nn.ModuleDict(
            {name: nn.LayerNorm(shape.channels) if norm else nn.Identity() for name, shape in self.shapes.items()}
        )
        self.projector = mlp_projector(sum(shape.channels for shape in self.shapes.values()), width, projector_width)

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        aligned = [self.norms[name](self.aligned(features, name)) for name in self.shapes]
        return self.projector(torch.cat(aligned, dim=-1))
