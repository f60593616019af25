"""What every fusion promises: the experts' feature maps in, visual tokens of the language model's width out.

Shape letters: B batch, C expert channels, H W expert grid, G side of the common grid, N visual tokens, D language model width.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from eaglebench.errors import UserError
from eaglebench.fusion.grid import to_grid, to_tokens


class MapShape(NamedTuple):
    """Channels C and side H = W of an expert's map."""

    channels: int
    grid: int


class Fusion(nn.Module, ABC):
    """Turns the maps of one or more experts into visual tokens.

    Args:
        experts: `{name: (channels, grid)}` in the user's order; the first is the base.
        width: D, the language model's.
        grid: G, side of the common grid; the base expert's if None.
        align_corners: of the resizing to it (see `to_grid`).

    Attributes:
        visual_tokens: N, how many tokens an image becomes.
    """

    visual_tokens: int

    def __init__(
        self, experts: Mapping[str, MapShape], width: int, grid: int | None = None, align_corners: bool = False
    ) -> None:
        super().__init__()
        if not experts:
            raise UserError("a fusion needs at least one expert.")
        self.shapes = {name: MapShape(*shape) for name, shape in experts.items()}
        self.width = width
        self.align_corners = align_corners
        self.base = next(iter(self.shapes))
        self.grid = grid if grid is not None else self.shapes[self.base].grid
        if self.grid < 1:
            raise UserError(f"fusion.grid={self.grid} must be at least 1.")

    def forward(self, experts: Mapping[str, nn.Module], pixels: Mapping[str, Tensor]) -> Tensor:
        """Visual tokens [B, N, D] of normalised pixels {name: [B, 3, S, S]}, each at its expert's own side."""
        return self.fuse({name: experts[name](pixels[name]) for name in self.shapes})

    def aligned(self, features: Mapping[str, Tensor], name: str) -> Tensor:
        """One expert's tokens [B, G*G, C] on the common grid."""
        return to_tokens(to_grid(features[name], self.grid, self.align_corners))

    @abstractmethod
    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        """Visual tokens [B, N, D] of the maps {name: [B, C, H, W]}."""
