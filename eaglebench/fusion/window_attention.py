"""Windowed cross-attention without materialised keys and values; Mini-Gemini's patch info mining (arXiv 2403.18814).

A key is `W_k(g_k * h + b_k) + c_k` for the normalised cell `h` of a window. Its product with a query `q` is therefore
`q' . h + const` with `q' = g_k * (W_k^T q)`. The weighted sum of values is a linear function of the weighted sum of
cells. So attention runs on the normalised cells, which keys and values share, and the projections of the whole map by
W_k and W_v are never computed.

Shape letters as in base.py; d query channels, M cells in a window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# task=plan traces shapes alone, in a dispatch mode. Slices depend on values, so they are computed outside of any mode.
from torch.utils._python_dispatch import _disable_current_modes as disable_dispatch_modes

from eaglebench.fusion.grid import interpolation_weights, round_to_multiple, split_windows, upcast

CELLS_AT_ONCE = 2**22  # numbers of windowed maps that are held in memory at a time
Index = tuple[Any, ...]


class KeyValueProjection(nn.Module):
    """Projects one expert's cells to keys and to values, each with a LayerNorm and a linear layer.

    Args:
        channels: C of the expert's cells.
        width: d of the queries.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.key_norm, self.value_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.key, self.value = nn.Linear(channels, width), nn.Linear(channels, width)

    def fold_queries(self, queries_BNd: Tensor) -> tuple[Tensor, Tensor]:
        """Fold the key projection into the queries.

        Returns:
            Queries [B, N, C] for normalised cells, and the constant [B, N, 1] to add to each query's products with
            them.
        """
        scaled = queries_BNd * self.key.out_features**-0.5
        back_BNC = scaled @ self.key.weight
        constant_BN1 = back_BNC @ self.key_norm.bias[:, None] + scaled @ self.key.bias[:, None]
        return back_BNC * self.key_norm.weight, constant_BN1

    def project_values(self, cells_BNC: Tensor, share_BN1: Tensor) -> Tensor:
        """Project attended cells to attended values.

        Args:
            cells_BNC: the weighted sum of normalised cells.
            share_BN1: the sum of the weights.

        Returns:
            The weighted sum of values [B, N, d].
        """
        normed = cells_BNC * self.value_norm.weight + share_BN1 * self.value_norm.bias
        return normed @ self.value.weight.T + share_BN1 * self.value.bias


def windowed_cross_attention(
    folded: Sequence[tuple[Tensor, Tensor]], pyramids: Sequence[Sequence[Tensor]], grid: int, align_corners: bool
) -> list[tuple[Tensor, Tensor]]:
    """Attend from each query to the cells of its window in all experts' maps, with one softmax over all of them.

    Args:
        folded: each expert's folded queries and constants (see `KeyValueProjection.fold_queries`); N = grid^2.
        pyramids: each expert's maps [B, C_l, H, W], the finest first. They are concatenated along channels at the
            finest one's side, rounded to a multiple of `grid`.
        grid: side of the queries' grid.
        align_corners: align corners when maps are resized.

    Returns:
        For each expert, the weighted sum of its normalised cells [B, N, C] and the sum of the weights [B, N, 1].
    """
    plan = plan_windows(pyramids, grid, align_corners)
    tensors = [tensor for maps, queries in zip(pyramids, folded, strict=True) for tensor in (*maps, *queries)]
    whole = len(plan.ranges) == 1
    found = plan.attend(0, grid**2, *tensors) if whole else ChunkedAttention.apply(plan, *tensors)
    return list(zip(found[::2], found[1::2], strict=True))


@dataclass(frozen=True)
class WindowPlan:
    """Which cells the windows of a range of queries cover, and how many queries are handled at a time.

    Attributes:
        grid: side of the queries' grid.
        sides: side of each expert's resized map, a multiple of `grid`.
        weights: interpolation weights [side, H] of each expert's maps (see `interpolation_weights`).
        rows, columns: extent of a chunk of queries on the grid: several whole rows, or part of one row.
    """

    grid: int
    sides: list[int]
    weights: list[list[Tensor]]
    rows: int
    columns: int

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """First query and one past the last query of each chunk."""
        size = self.rows * self.columns
        return [
            (first, min(first + size, (row + self.rows) * self.grid, self.grid**2))
            for row in range(0, self.grid, self.rows)
            for first in range(row * self.grid, (row + 1) * self.grid, self.columns)
        ]

    def window_spans(self, first: int, last: int) -> list[tuple[slice, slice]]:
        """Rows and columns of each expert's resized map that the windows of queries `first` to `last` - 1 cover."""
        down = slice(first // self.grid, (last - 1) // self.grid + 1)
        across = slice(first % self.grid, first % self.grid + min(self.columns, last - first))
        windows = [side // self.grid for side in self.sides]
        return [
            (slice(down.start * window, down.stop * window), slice(across.start * window, across.stop * window))
            for window in windows
        ]

    def indices(self, first: int, last: int) -> list[Index]:
        """The part of each tensor, in the order of `attend`, that a range of queries needs."""
        found: list[Index] = []
        for weights, (down, across) in zip(self.weights, self.window_spans(first, last), strict=True):
            with disable_dispatch_modes():
                found += [(..., nonzero_columns(one[down]), nonzero_columns(one[across])) for one in weights]
            found += [(slice(None), slice(first, last))] * 2
        return found

    def attend(self, first: int, last: int, *tensors: Tensor) -> list[Tensor]:
        """Attention of the queries `first` to `last` - 1.

        Args:
            first, last: the range of queries.
            tensors: for each expert its maps, its folded queries and its constants, cut to `indices`.

        Returns:
            For each expert the weighted sum of its normalised cells, and the sum of the weights.
        """
        remaining = iter(tensors)
        cells, products = [], []
        for weights, side, (down, across) in zip(self.weights, self.sides, self.window_spans(first, last), strict=True):
            with disable_dispatch_modes():
                cuts = [(one[down], one[across]) for one in weights]
            maps = [resize_region(next(remaining), *both) for both in cuts]
            windows = split_windows(torch.cat(maps, dim=1), side // self.grid)
            cells.append(F.layer_norm(windows, windows.shape[-1:]).to(windows.dtype))
            query, constant = next(remaining), next(remaining)
            products.append(torch.einsum("bnc,bnmc->bnm", query, cells[-1]) + constant)
        attention = upcast(torch.cat(products, dim=-1)).softmax(dim=-1).to(products[0].dtype)
        shares = torch.split(attention, [product.shape[-1] for product in products], dim=-1)
        found = []
        for one, share in zip(cells, shares, strict=True):
            found += [torch.einsum("bnm,bnmc->bnc", share, one), share.sum(dim=-1, keepdim=True)]
        return found


def plan_windows(pyramids: Sequence[Sequence[Tensor]], grid: int, align_corners: bool) -> WindowPlan:
    """Plan `windowed_cross_attention` so that at most `CELLS_AT_ONCE` numbers of windowed maps are held at a time."""
    sides = [round_to_multiple(maps[0].shape[-1], grid) for maps in pyramids]
    with disable_dispatch_modes():
        weights = [
            [interpolation_weights(one.shape[-1], side, align_corners) for one in maps]
            for maps, side in zip(pyramids, sides, strict=True)
        ]
    per_query = sum(
        (side // grid) ** 2 * sum(one.shape[0] * one.shape[1] for one in maps)
        for maps, side in zip(pyramids, sides, strict=True)
    )
    at_once = max(1, CELLS_AT_ONCE // per_query)
    rows, columns = (min(grid, at_once // grid), grid) if at_once >= grid else (1, at_once)
    return WindowPlan(grid, sides, weights, rows, columns)


class ChunkedAttention(torch.autograd.Function):
    """Attention of all queries, one chunk after the other.

    The backward pass recomputes each chunk and adds its gradients in place. That avoids holding the intermediate
    results of all chunks together, and a gradient of the whole maps for each chunk.
    """

    @staticmethod
    def forward(ctx: Any, plan: WindowPlan, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The results of `plan.attend` for all queries; `tensors` are those of `plan.attend`, uncut."""
        device = tensors[0].device.type
        ctx.plan = plan
        ctx.autocast = {
            "device_type": device,
            "enabled": torch.is_autocast_enabled(device),
            "dtype": torch.get_autocast_dtype(device),
        }
        ctx.save_for_backward(*tensors)
        chunks = [
            plan.attend(*one, *(tensor[index] for tensor, index in zip(tensors, plan.indices(*one), strict=True)))
            for one in plan.ranges
        ]
        return tuple(torch.cat(one, dim=1) for one in zip(*chunks, strict=True))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of `tensors`, None for those that need none."""
        needed = [bool(one) for one in ctx.needs_input_grad[1:]]
        tensors = ctx.saved_tensors
        totals = [torch.zeros_like(one) if need else None for one, need in zip(tensors, needed, strict=True)]
        for first, last in ctx.plan.ranges:
            indices = ctx.plan.indices(first, last)
            with torch.enable_grad(), torch.autocast(**ctx.autocast):
                leaves = [
                    one[index].detach().requires_grad_(need)
                    for one, index, need in zip(tensors, indices, needed, strict=True)
                ]
                results = ctx.plan.attend(first, last, *leaves)
            found = iter(
                torch.autograd.grad(
                    results,
                    [leaf for leaf, need in zip(leaves, needed, strict=True) if need],
                    [gradient[:, first:last].to(result) for gradient, result in zip(gradients, results, strict=True)],
                )
            )
            for total, index in zip(totals, indices, strict=True):
                if total is not None:
                    total[index] += next(found)
        return None, *totals


def resize_region(cells_BCHW: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Compute a region of a resized map in float32 from the cells that contribute to it.

    Args:
        cells_BCHW: the contributing cells.
        down, across: interpolation weights [to, side] of the region's rows and columns (see `interpolation_weights`).

    Returns:
        The region [B, C, rows, columns], in the input's precision.
    """
    with disable_dispatch_modes():
        down, across = down[:, nonzero_columns(down)], across[:, nonzero_columns(across)]
        unchanged = all(one.shape[0] == one.shape[1] and one.trace() == len(one) for one in (down, across))
    if unchanged:
        return cells_BCHW
    with torch.autocast(cells_BCHW.device.type, enabled=False):
        cells = upcast(cells_BCHW)
        return (torch.einsum("rh,bchw->bcrw", down.to(cells), cells) @ across.T.to(cells)).to(cells_BCHW.dtype)


def nonzero_columns(weights: Tensor) -> slice:
    """The span of the columns that have a nonzero weight."""
    places = weights.any(dim=0).nonzero().flatten()
    return slice(int(places[0]), int(places[-1]) + 1)
