"""LLaVA-HR: adapters mix high-resolution maps into the base encoder between its blocks (arXiv 2403.03003)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from eaglebench.fusion.base import FeatureInfo, Fusion, MapShape
from eaglebench.fusion.grid import to_grid, to_tokens
from eaglebench.fusion.place import Place
from eaglebench.utils.errors import UserError

QUARTERS = (1, 2, 3)


class LlavaHr(Fusion):
    """Adapts the base after 1/4, 2/4 and 3/4 of its blocks to the other experts' last maps: N = G*G tokens.

    Afterwards, a linear layer per expert maps each map on the common grid to the base's channels; their sum is
    projected.

    LLaVA-HR has one high-resolution expert. With several, each has its own path and gate in every adapter. LLaVA-HR
    averages a larger map over whole cells; here it is resized by `to_grid`, as in the other fusions.

    Raises:
        UserError: there is no expert, or the base is not a vision transformer with blocks to adapt.
    """

    def __init__(
        self,
        experts: Mapping[str, FeatureInfo],
        width: int,
        grid: PositiveInt | None = None,
        align_corners: bool = False,
        shrink: Literal["antialias", "unshuffle"] = "antialias",
        norm: bool = False,
        projector_width: PositiveInt | None = None,
        place: Place = "none",
    ) -> None:
        super().__init__(experts, width, grid, align_corners, shrink, norm, projector_width, place)
        base, *others = self.experts
        info = self.experts[base]
        if info.block_map is None:
            first = ["clip", *(name for name in self.experts if name != "clip")]
            way_out = (
                f"put one first, as in 'experts=[{','.join(first)}]'."
                if base != "clip"
                else f"leave experts.{base}.high_res=interpolate."
            )
            raise UserError(
                f"fusion=llava_hr adapts its base between blocks, and {base} is no vision transformer of this project, "
                f"or works on tiles: {way_out}"
            )
        high_channels = {name: self.sources[name].channels for name in others}
        sites = adapter_sites(info.blocks) if high_channels else []
        channels, _ = MapShape(*info.block_map)
        self.adapters = nn.ModuleDict(
            {str(site): MixtureOfResolutionAdapter(channels, high_channels, self.align_corners) for site in sites}
        )
        self.align = nn.ModuleDict(
            {name: nn.Linear(self.aligned_channels(name), info.channels) for name in self.experts}
        )
        self.projector = self.build_projector(info.channels, self.norm)

    def encode(self, experts: Mapping[str, nn.Module], pixels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        base, *others = self.experts
        highs = {name: experts[name](pixels[name]) for name in others}
        block_hooks = {int(site): partial(adapter, highs_BCHW=highs) for site, adapter in self.adapters.items()}
        return {base: experts[base](pixels[base], block_hooks), **highs}

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        """Align the adapted base's map and the other experts' maps, and project their sum; returns [B, N, D]."""
        aligned = sum(layer(self.align_to_grid(features, name)) for name, layer in self.align.items())
        tokens: Tensor = self.projector(aligned)
        return tokens


class MixtureOfResolutionAdapter(nn.Module):
    """Refines the map between two blocks locally and adds gated high-resolution maps; at first, the identity.

    Args:
        channels: C of the map between the blocks.
        high_channels: channels of each high-resolution map, by expert.
        align_corners: align corners when high-resolution maps are resized to the map's grid.
    """

    def __init__(self, channels: int, high_channels: Mapping[str, int], align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.local = build_zero_path(depthwise, nn.Conv2d(channels, channels, 1))
        self.high = nn.ModuleDict(
            {
                name: build_zero_path(nn.Conv2d(count, count, 1), nn.Conv2d(count, channels, 1))
                for name, count in high_channels.items()
            }
        )
        self.gate = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(2 * channels, channels // 2), nn.GELU(), nn.Linear(channels // 2, 1))
                for name in high_channels
            }
        )

    def forward(self, x_BCHW: Tensor, highs_BCHW: Mapping[str, Tensor]) -> Tensor:
        """Adapt the map between two blocks.

        Args:
            x_BCHW: the map between the blocks.
            highs_BCHW: high-resolution maps [B, C', H', W'] by expert.

        Returns:
            The adapted map [B, C, H, W], in the precision of `x_BCHW`.
        """
        dtype = x_BCHW.dtype  # the base's, which may be lower than the adapter's
        x_BCHW = x_BCHW.to(next(self.parameters()).dtype)
        refined: Tensor = x_BCHW + self.local(x_BCHW)
        out = refined
        for name, path in self.high.items():
            high = to_grid(path(highs_BCHW[name].to(x_BCHW.dtype)), x_BCHW.shape[-1], self.align_corners)
            means_B2C = to_tokens(torch.cat([refined, high], dim=1)).mean(dim=1)
            gate_B1 = self.gate[name](means_B2C).tanh()
            out = out + gate_B1[:, :, None, None] * high
        return out.to(dtype)


def build_zero_path(first: nn.Conv2d, last: nn.Conv2d) -> nn.Sequential:
    """Join two convolutions with a GELU, initialised so that they return zero.

    The gate must not start at zero as well: then neither would ever receive a gradient.
    """
    nn.init.xavier_uniform_(first.weight)
    for tensor in (first.bias, last.weight, last.bias):
        assert tensor is not None
        nn.init.zeros_(tensor)
    return nn.Sequential(first, nn.GELU(), last)


def adapter_sites(blocks: int) -> Sequence[int]:
    """Blocks, counted from 1, that an adapter follows: the rounded quarters of the depth, never the last block."""
    quarters = {int(blocks * quarter / 4 + 0.5) for quarter in QUARTERS}
    return sorted(quarters & set(range(1, blocks)))
