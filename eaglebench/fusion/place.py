"""Place embeddings: a vector for each cell of a grid, which tells the language model where a visual token lies.

Shape letters: N visual tokens, G side of a grid, K side of a table of places, D width of the language model.
"""

from typing import Literal

import torch
from timm.layers import build_sincos2d_pos_embed
from torch import Tensor, nn

from eaglebench.fusion.grid import interpolate

Place = Literal["none", "learned", "sincos"]


class PlaceEmbedding(nn.Module):
    """Adds the vector of its cell to each visual token.

    Args:
        kind: `learned`: trained with the fusion, zero at first; `sincos`: fixed sines and cosines of the row and of the
            column.
        side: G, of the grid that the tokens lie on.
        width: D.
        copies: tokens of each cell.
        interleaved: the tokens of a cell follow each other; otherwise one grid follows the other.
    """

    table: Tensor

    def __init__(
        self, kind: Literal["learned", "sincos"], side: int, width: int, copies: int = 1, interleaved: bool = False
    ) -> None:
        super().__init__()
        self.side = side
        self.copies = copies
        self.interleaved = interleaved
        if kind == "sincos":
            waves_GGD = build_sincos2d_pos_embed([side, side], dim=width).reshape(side, side, width)
            self.register_buffer("table", waves_GGD.permute(2, 0, 1).contiguous())
        else:
            self.table = nn.Parameter(torch.zeros(width, side, side))

    @torch.no_grad()
    def start_from(self, table_DKK: Tensor) -> None:
        """Let learned vectors start from a language model's, whatever the side of its table."""
        if isinstance(self.table, nn.Parameter):
            self.table.copy_(resize_table(table_DKK.float(), self.side))

    def forward(self, tokens_BND: Tensor) -> Tensor:
        places_ND = find_places(self.table, self.side, self.copies, self.interleaved)
        return tokens_BND + places_ND.to(tokens_BND.dtype)


def find_places(table_DKK: Tensor, side: int, copies: int = 1, interleaved: bool = False) -> Tensor:
    """The vectors [N, D] of the places of visual tokens, row by row.

    Args:
        table_DKK: a table of places.
        side: G, of the grid that the tokens lie on; the table is resized to it.
        copies: tokens of each cell.
        interleaved: the tokens of a cell follow each other; otherwise one grid follows the other.
    """
    places_ND = resize_table(table_DKK, side).flatten(1).T
    return places_ND.repeat_interleave(copies, dim=0) if interleaved else places_ND.repeat(copies, 1)


def resize_table(table_DKK: Tensor, side: int) -> Tensor:
    """A table of places with another side."""
    if table_DKK.shape[-1] == side:
        return table_DKK
    return interpolate(table_DKK[None], (side, side), align_corners=False)[0]
