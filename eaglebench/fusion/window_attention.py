"""Patch info mining: attention from each token to a window of maps, without keys and values ever being stored.

Keys are `W_k(g_k * h + b_k) + c_k` for the normalised cell `h` of a window, so that a query `q` meets them as `q'.h + const` with
`q' = g_k * (W_k^T q)`; and the weighted sum of values is a linear function of the weighted sum of the cells. Attention therefore runs
on the cells themselves, which both share, and the products of the whole map with W_k and W_v are never made.

Shape letters as in base.py; M cells of a window.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import (
    _disable_current_modes as with_numbers,  # where tensors have only shapes, as in task=plan
)

from eaglebench.fusion.grid import in_windows, precise, weights_along, whole_multiple

CELLS_AT_ONCE = 2**22  # numbers of windowed maps that are held at a time
Index = tuple[Any, ...]


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
    with with_numbers():
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

    ranges = [
        (first, min(first + rows * columns, (row + rows) * grid, grid**2))
        for row in range(0, grid, rows)
        for first in range(row * grid, (row + 1) * grid, columns)
    ]

    def places(first: int, last: int) -> list[tuple[slice, slice]]:
        """The rows and columns of each expert's finest side that some queries cover: whole rows of the grid, or a part of one row."""
        across = slice(first % grid, first % grid + min(columns, last - first))
        down = slice(first // grid, (last - 1) // grid + 1)
        windows = [side // grid for side in sides]
        return [tuple(slice(one.start * window, one.stop * window) for one in (down, across)) for window in windows]  # type: ignore[misc]

    def indices(first: int, last: int) -> list[Index]:
        """What of each tensor some queries need."""
        found: list[Index] = []
        for weights, (down, across) in zip(along, places(first, last), strict=True):
            with with_numbers():
                found += [(..., needed(one[down]), needed(one[across])) for one in weights]
            found += [(slice(None), slice(first, last))] * 2
        return found

    def part(first: int, last: int, *tensors: Tensor) -> list[Tensor]:
        """The answers to some queries, from what they need."""
        given = iter(tensors)
        cells, products = [], []
        for weights, side, (down, across) in zip(along, sides, places(first, last), strict=True):
            with with_numbers():
                cut = [(one[down], one[across]) for one in weights]
            here = [resized(next(given), *both) for both in cut]
            windows = in_windows(torch.cat(here, dim=1), side // grid)
            cells.append(F.layer_norm(windows, windows.shape[-1:]).to(windows.dtype))
            query, constant = next(given), next(given)
            products.append(torch.einsum("bnc,bnmc->bnm", query, cells[-1]) + constant)
        shares = precise(torch.cat(products, dim=-1)).softmax(dim=-1).to(products[0].dtype)
        answers = []
        for one, share in zip(cells, shares.split([product.shape[-1] for product in products], dim=-1), strict=True):
            answers += [torch.einsum("bnm,bnmc->bnc", share, one), share.sum(dim=-1, keepdim=True)]
        return answers

    tensors = [tensor for maps, one in zip(pyramids, asked, strict=True) for tensor in (*maps, *one)]
    joined = part(0, grid**2, *tensors) if len(ranges) == 1 else InParts.apply(part, indices, ranges, *tensors)
    return list(zip(joined[::2], joined[1::2], strict=True))


class InParts(torch.autograd.Function):
    """Answers to the queries of several ranges, one after the other.

    Each part is computed again in the backward pass, and its gradients are added where they belong: what the parts would hold together,
    and a gradient of whole maps for each of them, are what is to be avoided.
    """

    @staticmethod
    def forward(
        ctx: Any,
        part: Callable[..., list[Tensor]],
        indices: Callable[[int, int], list[Index]],
        ranges: Sequence[tuple[int, int]],
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        """What `part` gives for what `indices` name of the tensors, joined over the ranges."""
        device = tensors[0].device.type
        ctx.part, ctx.indices, ctx.ranges = part, indices, ranges
        ctx.autocast = {
            "device_type": device,
            "enabled": torch.is_autocast_enabled(device),
            "dtype": torch.get_autocast_dtype(device),
        }
        ctx.save_for_backward(*tensors)
        parts = [
            part(*one, *(tensor[index] for tensor, index in zip(tensors, indices(*one), strict=True))) for one in ranges
        ]
        return tuple(torch.cat(one, dim=1) for one in zip(*parts, strict=True))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the tensors that want one."""
        wanted = [bool(want) for want in ctx.needs_input_grad[3:]]
        tensors = ctx.saved_tensors
        totals = [torch.zeros_like(one) if want else None for one, want in zip(tensors, wanted, strict=True)]
        for first, last in ctx.ranges:
            indices = ctx.indices(first, last)
            with torch.enable_grad(), torch.autocast(**ctx.autocast):
                leaves = [
                    one[index].detach().requires_grad_(want)
                    for one, index, want in zip(tensors, indices, wanted, strict=True)
                ]
                answers = ctx.part(first, last, *leaves)
            found = iter(
                torch.autograd.grad(
                    answers,
                    [leaf for leaf, want in zip(leaves, wanted, strict=True) if want],
                    [gradient[:, first:last].to(answer) for gradient, answer in zip(gradients, answers, strict=True)],
                )
            )
            for total, index in zip(totals, indices, strict=True):
                if total is not None:
                    total[index] += next(found)
        return None, None, None, *totals


def resized(cells_BCHW: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Rows and columns of a resized map, by their weights (see `weights_along`), computed in float32 from the cells that have one."""
    with with_numbers():
        down, across = down[:, needed(down)], across[:, needed(across)]
        as_it_is = all(one.shape[0] == one.shape[1] and one.trace() == len(one) for one in (down, across))
    if as_it_is:
        return cells_BCHW
    with torch.autocast(cells_BCHW.device.type, enabled=False):
        cells = precise(cells_BCHW)
        return (torch.einsum("rh,bchw->bcrw", down.to(cells), cells) @ across.T.to(cells)).to(cells_BCHW.dtype)


def needed(weights: Tensor) -> slice:
    """The cells that have a weight."""
    places = weights.any(dim=0).nonzero().flatten()
    return slice(int(places[0]), int(places[-1]) + 1)
