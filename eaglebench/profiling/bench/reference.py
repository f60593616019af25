"""Fusions as they are described, with the same weights: what holds everything that it computes."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.deformable_detr.modeling_deformable_detr import MultiScaleDeformableAttention

from eaglebench.fusion.grid import to_grid, whole_multiple
from eaglebench.fusion.mini_gemini import MiniGemini


def mini_gemini(fusion: MiniGemini, features: Mapping[str, Tensor]) -> Tensor:
    """With the maps of each expert joined at the finest one's side, and keys and values of all their cells."""
    tokens_BNC = fusion.aligned(features, fusion.base)
    if fusion.query is None:
        return fusion.projector(tokens_BNC)
    keys, values = [], []
    for name, sources in fusion.levels.items():
        side = whole_multiple(features[sources[0]].shape[-1], fusion.grid)
        joined = torch.cat([to_grid(features[one], side, fusion.align_corners) for one in sources], dim=1)
        cells = F.pixel_unshuffle(joined, side // fusion.grid).unflatten(1, (joined.shape[1], -1)).flatten(3)
        cells_BNMC = cells.permute(0, 3, 2, 1)
        mine = fusion.mine(name)
        keys.append(mine.key(mine.key_norm(cells_BNMC)))
        values.append(mine.value(mine.value_norm(cells_BNMC)))
    queries = fusion.query(tokens_BNC) * tokens_BNC.shape[-1] ** -0.5
    weights = torch.einsum("bnc,bnmc->bnm", queries, torch.cat(keys, dim=2)).softmax(dim=-1)
    return fusion.projector(tokens_BNC + torch.einsum("bnm,bnmc->bnc", weights, torch.cat(values, dim=2)))


def transformers_sampled(values: Sequence[Tensor], places_BNHLP2: Tensor, weights_BNHLP: Tensor) -> Tensor:
    """What `fusion.deformable.sampled` gives, by transformers' class, which has zeros beyond the edges of the maps."""
    sides = [tuple(value.shape[-2:]) for value in values]
    flat_BSHC = torch.cat([value.flatten(3) for value in values], dim=3).permute(0, 3, 1, 2)
    starts = torch.tensor([0, *(rows * columns for rows, columns in sides)]).cumsum(0)[:-1]
    attention = MultiScaleDeformableAttention()
    out: Tensor = attention(flat_BSHC, torch.tensor(sides), sides, starts, places_BNHLP2, weights_BNHLP, 64)
    return out
