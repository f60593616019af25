"""Patch info mining: attention from each token to a window of maps, without keys and values ever being stored.

Keys are `W_k(g_k * h + b_k) + c_k` for the normalised cell `h` of a window, so that a query `q` meets them as `q'.h + const` with
`q' = g_k * (W_k^T q)`; and the weighted sum of values is a linear function of the weighted sum of the cells. Attention therefore runs
on the cells themselves, which both share, and the products of the whole map with W_k and W_v are never made.

Shape letters as in base.py; M cells of a window.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from eaglebench.fusion.grid import precise, weights_along, whole_multiple

CELLS_AT_ONCE = (
    3 * 2**22
)  # numbers of windowed maps that are held at a time; far smaller parts leave an allocator with more, not less


class Mine(nn.Module):
    """Keys and values of one expert: each a LayerNorm and a linear layer, from the expert's C channels to the queries' d."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.key_norm, self.value_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.key, self.value = nn.Linear(channels, width), nn.Linear(channels, width)

    def asked(self, queries_BNd: Tensor) -> tuple[Tensor, Tensor]:
        """Queries [B, N, C] of normalised cells, and what is added to each one's product with them [B, N, 1]."""
        scaled = queries_BNd * self.key.out_features**-0.5
        back_BNC = scaled @ self.key.weight
        constant_BN1 = back_BNC @ self.key_norm.bias[:, None] + scaled @ self.key.bias[:, None]
        return back_BNC * self.key_norm.weight, constant_BN1

    def answered(self, found_BNC: Tensor, share_BN1: Tensor) -> Tensor:
        """The sum of values [B, N, d] of the weighted sum of normalised cells and the sum of the weights."""
        normed = found_BNC * self.value_norm.weight + share_BN1 * self.value_norm.bias
        return normed @ self.value.weight.T + share_BN1 * self.value.bias


def mined(
    asked: Sequence[tuple[Tensor, Tensor]], pyramids: Sequence[Sequence[Tensor]], grid: int, align_corners: bool
) -> list[tuple[Tensor, Tensor]]:
    """What each expert adds to one softmax over the cells of all of them.

    Args:
        asked: of each expert, see `Mine`.
        pyramids: maps [B, C_l, H, W] of each expert from the finest, on whose grid they are concatenated; it is resized to a whole
            multiple of the queries' grid.
        grid: side of the queries' grid.

    Returns:
        Of each expert the weighted sum of its normalised cells [B, N, C], and the sum of the weights [B, N, 1].
    """
    sides = [whole_multiple(maps[0].shape[-1], grid) for maps in pyramids]
    along = [
        [weights_along(one.shape[-1], side, align_corners) for one in maps]
        for maps, side in zip(pyramids, sides, strict=True)
    ]
    per_query = sum(
        (side // grid) ** 2 * sum(one.shape[0] * one.shape[1] for one in maps)
        for maps, side in zip(pyramids, sides, strict=True)
    )
    at_once = max(1, CELLS_AT_ONCE // per_query)
    rows, columns = (min(grid, at_once // grid), grid) if at_once >= grid else (1, at_once)  # of the grid

    def part(first: int, last: int, *tensors: Tensor) -> list[Tensor]:
        """The answers to some queries: whole rows of the grid, or a part of one row."""
        across = slice(first % grid, first % grid + min(columns, last - first))
        down = slice(first // grid, (last - 1) // grid + 1)
        given = iter(tensors)
        cells, products = [], []
        for maps, weights, side in zip(pyramids, along, sides, strict=True):
            here = [next(given) for _ in maps]
            query, constant = next(given), next(given)
            cells.append(normalised_windows(here, weights, side // grid, down, across))
            products.append(torch.einsum("bnc,bnmc->bnm", query, cells[-1]) + constant)
        shares = precise(torch.cat(products, dim=-1)).softmax(dim=-1).to(products[0].dtype)
        answers = []
        for one, share in zip(cells, shares.split([product.shape[-1] for product in products], dim=-1), strict=True):
            answers += [torch.einsum("bnm,bnmc->bnc", share, one), share.sum(dim=-1, keepdim=True)]
        return answers

    parts = []
    for row in range(0, grid, rows):
        for column in range(0, grid, columns):
            first = row * grid + column
            last = min(row + rows, grid) * grid if columns == grid else min(first + columns, (row + 1) * grid)
            tensors: list[Tensor] = []
            for maps, (query, constant) in zip(pyramids, asked, strict=True):
                tensors += [*maps, query[:, first:last], constant[:, first:last]]
            # Of several parts, each is computed again in the backward pass: what they hold together is what is to be avoided.
            whole = last - first == grid**2 or not torch.is_grad_enabled()
            parts.append(
                part(first, last, *tensors) if whole else checkpoint(part, first, last, *tensors, use_reentrant=False)
            )
    joined = [torch.cat(one, dim=1) for one in zip(*parts, strict=True)]
    return list(zip(joined[::2], joined[1::2], strict=True))


def normalised_windows(
    maps: Sequence[Tensor], along: Sequence[Tensor], window: int, rows: slice, columns: slice
) -> Tensor:
    """The windows [B, n, M, C] at some rows and columns of the grid, of maps joined on channels; each cell normalised."""
    cells = [slice(places.start * window, places.stop * window) for places in (rows, columns)]
    joined = torch.cat([resized(one, weights, *cells) for one, weights in zip(maps, along, strict=True)], dim=1)
    split = joined.unflatten(3, (-1, window)).unflatten(2, (-1, window))  # [B, C, rows, M, columns, M]
    windows = split.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)
    return F.layer_norm(windows, windows.shape[-1:]).to(windows.dtype)


def resized(features_BCHW: Tensor, along: Tensor, rows: slice, columns: slice) -> Tensor:
    """Some rows and columns of the map resized by the weights of `weights_along`, computed in float32 from the cells that they need."""
    if along.shape[0] == along.shape[1]:
        return features_BCHW[:, :, rows, columns]
    down, across = along[rows], along[columns]
    with torch.autocast(features_BCHW.device.type, enabled=False):
        cells = precise(features_BCHW[:, :, needed(down), needed(across)])
        weights = down[:, needed(down)].to(cells), across[:, needed(across)].to(cells)
        return (torch.einsum("rh,bchw->bcrw", weights[0], cells) @ weights[1].T).to(features_BCHW.dtype)


def needed(weights: Tensor) -> slice:
    """The cells that have a weight."""
    places = weights.any(dim=0).nonzero().flatten()
    return slice(int(places[0]), int(places[-1]) + 1)
