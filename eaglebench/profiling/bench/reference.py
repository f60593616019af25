"""Reference implementations of fusions with our weights: as their papers write them, or by another library.

Shape letters as in eaglebench/fusion/base.py; M cells of a window, h heads, L levels, P points.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.deformable_detr.modeling_deformable_detr import MultiScaleDeformableAttention

from eaglebench.fusion.grid import round_to_multiple, to_grid
from eaglebench.fusion.mini_gemini import MiniGemini
from eaglebench.fusion.window_attention import KeyValueProjection


def mini_gemini_with_all_keys(fusion: MiniGemini, features: Mapping[str, Tensor]) -> Tensor:
    """Visual tokens [B, N, D] of Mini-Gemini as its paper writes it (arXiv 2403.18814, section 3.2).

    The maps of each expert are concatenated at the side of the finest one, and the keys and values of all their cells
    are computed at once.

    Args:
        features: maps `{source: [B, C, H, W]}`.
    """
    tokens_BNC = fusion.align_to_grid(features, fusion.base)
    if fusion.query is None:
        return cast(Tensor, fusion.projector(tokens_BNC))
    keys, values = [], []
    for name, sources in fusion.levels.items():
        side = round_to_multiple(features[sources[0]].shape[-1], fusion.grid)
        joined = torch.cat([to_grid(features[one], side, fusion.align_corners) for one in sources], dim=1)
        windows = F.pixel_unshuffle(joined, side // fusion.grid)
        cells_BNMC = torch.unflatten(windows, 1, (joined.shape[1], -1)).flatten(3).permute(0, 3, 2, 1)
        projection = cast(KeyValueProjection, fusion.key_values[name])
        keys.append(projection.key(projection.key_norm(cells_BNMC)))
        values.append(projection.value(projection.value_norm(cells_BNMC)))
    queries = fusion.query(tokens_BNC) * tokens_BNC.shape[-1] ** -0.5
    weights = torch.einsum("bnc,bnmc->bnm", queries, torch.cat(keys, dim=2)).softmax(dim=-1)
    attended = torch.einsum("bnm,bnmc->bnc", weights, torch.cat(values, dim=2))
    return cast(Tensor, fusion.projector(tokens_BNC + attended))


def transformers_deformable_attention(
    values: Sequence[Tensor], locations_BNhLP2: Tensor, weights_BNhLP: Tensor
) -> Tensor:
    """`multi_scale_deformable_attention` by transformers' class, which samples zeros outside of the maps.

    Args:
        values: one map [B, heads, C, H, W] per level.
        locations_BNhLP2: sampling locations (x, y) as fractions of a map.
        weights_BNhLP: attention weights of the samples.

    Returns:
        [B, N, heads * C].
    """
    sides = [tuple(value.shape[-2:]) for value in values]
    flat_BShC = torch.cat([value.flatten(3) for value in values], dim=3).permute(0, 3, 1, 2)
    starts = torch.tensor([0, *(rows * columns for rows, columns in sides)]).cumsum(0)[:-1]
    attention = MultiScaleDeformableAttention()
    out: Tensor = attention(flat_BShC, torch.tensor(sides), sides, starts, locations_BNhLP2, weights_BNhLP, 64)
    return out
