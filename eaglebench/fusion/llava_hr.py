"""LLaVA-HR: high-resolution maps are mixed into the base encoder between its blocks (arXiv 2403.03003)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from eaglebench.fusion.base import Fusion, MapShape, Outline
from eaglebench.fusion.grid import to_grid, to_tokens
from eaglebench.utils.errors import UserError

QUARTERS = (1, 2, 3)


class LlavaHr(Fusion):
    """Mixture-of-resolution adapters after 1/4, 2/4 and 3/4 of the base's blocks, each given the other experts' last maps; then the
    sum of a linear layer for each expert's map on the common grid, and the projector: N = G*G.

    The base must be a vision transformer. For more than one high-resolution expert, which LLaVA-HR does not have, each has its own
    high-resolution path and gate at each site. Where LLaVA-HR averages a larger map over whole cells, it is resized here as
    everywhere (see `to_grid`).

    Raises:
        UserError: the base has no blocks to reach between.
    """

    def __init__(self, experts: Mapping[str, Outline], width: int, **common: Any) -> None:
        super().__init__(experts, width, **common)
        base, *others = self.experts
        outline = self.experts[base]
        if outline.block_map is None:
            first = ["clip", *(name for name in self.experts if name != "clip")]
            raise UserError(
                f"fusion=llava_hr adapts its base between blocks, and {base} is no vision transformer of this project, or works on tiles: "
                + (
                    f"put one first, as in 'experts=[{','.join(first)}]'."
                    if base != "clip"
                    else "leave high_res=interpolate."
                )
            )
        highs = {name: self.sources[name].channels for name in others}
        sites = sites_among(outline.blocks) if highs else []
        channels, _ = MapShape(*outline.block_map)
        self.adapters = nn.ModuleDict(
            {str(site): MixtureOfResolutionAdapter(channels, highs, self.align_corners) for site in sites}
        )
        self.align = nn.ModuleDict(
            {name: nn.Linear(self.aligned_channels(name), outline.channels) for name in self.experts}
        )
        self.projector = self.new_projector(outline.channels, self.norm)

    def forward(self, experts: Mapping[str, nn.Module], pixels: Mapping[str, Tensor]) -> Tensor:
        base, *others = self.experts
        highs = {name: experts[name](pixels[name]) for name in others}
        after = {int(site): partial(adapter, highs_BCHW=highs) for site, adapter in self.adapters.items()}
        return self.fuse({base: experts[base](pixels[base], after), **highs})

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        """Visual tokens of the adapted base's map and the others': the final alignment and the projector."""
        return self.projector(sum(layer(self.aligned(features, name)) for name, layer in self.align.items()))


class MixtureOfResolutionAdapter(nn.Module):
    """The map between two blocks, refined locally, plus gated high-resolution maps. Gives what it was given before it is trained.

    Args:
        channels: C of the map.
        highs: channels of the high-resolution maps by expert.
        align_corners: of the resizing to the map's grid.
    """

    def __init__(self, channels: int, highs: Mapping[str, int], align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        wide = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.local = starting_at_zero(wide, nn.Conv2d(channels, channels, 1))
        self.high = nn.ModuleDict(
            {
                name: starting_at_zero(nn.Conv2d(count, count, 1), nn.Conv2d(count, channels, 1))
                for name, count in highs.items()
            }
        )
        self.gate = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(2 * channels, channels // 2), nn.GELU(), nn.Linear(channels // 2, 1))
                for name in highs
            }
        )

    def forward(self, x_BCHW: Tensor, highs_BCHW: Mapping[str, Tensor]) -> Tensor:
        """[B, C, H, W] of the map [B, C, H, W] and the high-resolution maps {name: [B, C', H', W']}."""
        given = x_BCHW.dtype  # the base's, which may be coarser than the adapter's
        x_BCHW = x_BCHW.to(next(self.parameters()).dtype)
        refined = x_BCHW + self.local(x_BCHW)
        out = refined
        for name, path in self.high.items():
            high = to_grid(path(highs_BCHW[name].to(x_BCHW.dtype)), x_BCHW.shape[-1], self.align_corners)
            means_B2C = to_tokens(torch.cat([refined, high], dim=1)).mean(dim=1)
            gate_B1 = self.gate[name](means_B2C).tanh()
            out = out + gate_B1[:, :, None, None] * high
        return out.to(given)


def starting_at_zero(first: nn.Conv2d, last: nn.Conv2d) -> nn.Sequential:
    """Two convolutions that give zero at first. The gate must not begin at zero as well: then neither would ever get a gradient."""
    nn.init.xavier_uniform_(first.weight)
    for tensor in (first.bias, last.weight, last.bias):
        assert tensor is not None
        nn.init.zeros_(tensor)
    return nn.Sequential(first, nn.GELU(), last)


def sites_among(blocks: int) -> Sequence[int]:
    """The blocks, counted from 1, after which there is an adapter: at the quarters of the depth, rounded, and never after the last."""
    quarters = {int(blocks * quarter / 4 + 0.5) for quarter in QUARTERS}
    return sorted(quarters & set(range(1, blocks)))
