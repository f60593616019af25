"""MoVA: a mixture of vision experts that is routed for each image (arXiv 2404.13046).

Shape letters as in base.py; E routed experts.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from timm.layers import LayerNorm2d, SwiGLU, apply_rot_embed_cat, build_rotary_pos_embed
from timm.models.regnet import Bottleneck
from torch import Tensor, nn

from eaglebench.fusion.base import FeatureInfo, Fusion, runs_experts_alone
from eaglebench.fusion.grid import upcast
from eaglebench.fusion.place import Place
from eaglebench.utils.errors import UserError


class Mova(Fusion):
    """Blocks in which the base's tokens attend to the experts that they are routed to: N = (G/2)^2 tokens.

    A convolution then halves the grid before the projector. At initialisation the result is the projected base map,
    pooled 2 x 2.

    MoVA's language model chooses up to three experts from their descriptions and the question, and a text encoder feeds
    the question to the gate. Neither that choice nor the router's training is published. Here a fusion sees images
    alone: the gate weighs the experts by the base's tokens and keeps the `top` best, unless `route` fixes the choice.

    Args:
        route: the experts that every image is routed to, without the base; None: the gate chooses from all.
        top: number of routed experts that the gate keeps in each block.
        depth: number of blocks.
        heads: attention heads; four times as many must divide the base's channels, for the rotary embedding.

    Raises:
        UserError: there is no expert; `route` names an unknown one; `heads`, `top` or an odd grid do not fit.
    """

    rope: Tensor

    def __init__(
        self,
        experts: Mapping[str, FeatureInfo],
        width: int,
        route: Sequence[str] | None = None,
        top: PositiveInt = 3,
        depth: PositiveInt = 3,
        heads: PositiveInt = 16,
        grid: PositiveInt | None = None,
        align_corners: bool = False,
        shrink: Literal["antialias", "unshuffle"] = "antialias",
        norm: bool = False,
        projector_width: PositiveInt | None = None,
        place: Place = "none",
    ) -> None:
        super().__init__(experts, width, grid, align_corners, shrink, norm, projector_width)
        others = list(self.experts)[1:]
        self.routed = others if route is None else list(route)
        if unknown := [name for name in self.routed if name not in others]:
            raise UserError(f"fusion.route names {', '.join(unknown)}: choose from {', '.join(others) or 'no expert'}.")
        channels = self.aligned_channels(self.base)
        if channels % (4 * heads):
            raise UserError(
                f"fusion.heads={heads} does not fit {self.base}: "
                f"four times as many must divide its {channels} channels."
            )
        if top == 1 and len(self.routed) > 1:
            raise UserError(
                "fusion.top=1 leaves the gate nothing to weigh: keep two, or fix the choice by fusion.route."
            )
        if self.grid % 2:
            raise UserError(f"fusion=mova halves its grid: fusion.grid={self.grid} must be even.")
        self.visual_tokens = (self.grid // 2) ** 2
        if unrouted := [name for name in others if name not in self.routed]:
            self.notes.append(f"mova: {', '.join(unrouted)} is not routed to, and neither run nor trained.")
        self.positions = nn.Parameter(torch.zeros(self.grid**2, channels))
        counts = {name: self.aligned_channels(name) for name in self.routed}
        self.blocks = nn.ModuleList([MovaBlock(channels, counts, heads, top) for _ in range(depth)])
        self.before, self.after = (
            Bottleneck(
                channels,
                channels,
                group_size=1,
                se_ratio=0.25,
                linear_out=True,
                act_layer=nn.SiLU,
                norm_layer=partial(LayerNorm2d, eps=1e-6),
            )
            for _ in range(2)
        )
        for convolutions in (self.before, self.after):
            nn.init.zeros_(convolutions.conv3.bn.weight)
        self.projector = self.build_projector(channels, self.norm)
        rope = build_rotary_pos_embed([self.grid] * 2, dim=channels // heads, in_pixels=False, temperature=10000.0)
        self.register_buffer("rope", torch.cat(rope, dim=-1), persistent=False)
        self.embed_places(place, side=self.grid // 2)

    @runs_experts_alone
    def encode(self, experts: Mapping[str, nn.Module], pixels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: experts[name](pixels[name]) for name in (self.base, *self.routed)}

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        base_BNC = self.align_to_grid(features, self.base)
        maps = {name: self.align_to_grid(features, name) for name in self.routed}
        x_BNC = base_BNC + self.positions
        for block in self.blocks:
            x_BNC = block(x_BNC, maps, self.rope)
        mean_BCN = ((x_BNC + base_BNC) / 2).transpose(1, 2)
        x_BCGG = torch.unflatten(mean_BCN, 2, (self.grid, self.grid))
        pooled = self.after(F.avg_pool2d(self.before(x_BCGG), 2))
        tokens: Tensor = self.projector(pooled.flatten(2).transpose(1, 2))
        return tokens


class MovaBlock(nn.Module):
    """Cross-attention to the routed experts, weighted by a gate, then self-attention and an MLP; see `Mova`.

    Args:
        channels: C of the base's tokens.
        experts: channels of each routed expert's tokens, by name.
        heads: attention heads.
        top: number of experts that the gate keeps.
    """

    def __init__(self, channels: int, experts: Mapping[str, int], heads: int, top: int) -> None:
        super().__init__()
        self.top = min(top, len(experts))
        self.attentions = nn.ModuleDict(
            {name: MovaAttention(channels, count, heads) for name, count in experts.items()}
        )
        self.norms = nn.ModuleDict({name: nn.LayerNorm(count) for name, count in experts.items()})
        if experts:
            self.norm = nn.LayerNorm(channels)
        if len(experts) > 1:
            self.gate = nn.Sequential(
                nn.Linear(channels, channels), nn.GELU(), init_zero(nn.Linear(channels, len(experts)))
            )
        self.self_norm, self.mlp_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.self_attention = MovaAttention(channels, channels, heads)
        self.mlp = SwiGLU(channels, int(channels * 8 / 3), norm_layer=nn.LayerNorm)
        init_zero(self.mlp.fc2)

    def forward(self, x_BNC: Tensor, maps: Mapping[str, Tensor], rope: Tensor) -> Tensor:
        """Update the base's tokens.

        Args:
            x_BNC: the base's tokens.
            maps: the routed experts' tokens [B, N, C'] by name.
            rope: timm's rotary position table of the grid.

        Returns:
            [B, N, C].
        """
        if maps:
            weights_BE = self.gate_weights(x_BNC)
            queries = self.norm(x_BNC)
            for index, (name, attention) in enumerate(self.attentions.items()):
                found = attention(queries, self.norms[name](maps[name]), rope)
                x_BNC = x_BNC + weights_BE[:, index, None, None] * found
        normed = self.self_norm(x_BNC)
        x_BNC = x_BNC + self.self_attention(normed, normed, rope)
        out_BNC: Tensor = x_BNC + self.mlp(self.mlp_norm(x_BNC))
        return out_BNC

    def gate_weights(self, x_BNC: Tensor) -> Tensor:
        """Weights of the routed experts per image, [B, E]: zero for all but the `top` best, which sum to one."""
        if len(self.attentions) == 1:
            return x_BNC.new_ones(len(x_BNC), 1)
        weights_BE = upcast(self.gate(x_BNC.mean(dim=1))).softmax(dim=-1).to(x_BNC.dtype)
        best = weights_BE.topk(self.top, dim=-1)
        kept = torch.zeros_like(weights_BE).scatter(-1, best.indices, best.values)
        return kept / kept.sum(dim=-1, keepdim=True)


class MovaAttention(nn.Module):
    """Attention between two maps on one grid, with axial rotary positions and a LayerNorm before the output layer.

    Args:
        channels: C of the queries and of the output.
        others: channels C' of the tokens attended to.
        heads: attention heads.
    """

    def __init__(self, channels: int, others: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels, bias=False)
        self.key, self.value = (nn.Linear(others, channels, bias=False) for _ in range(2))
        self.norm = nn.LayerNorm(channels)
        self.output = init_zero(nn.Linear(channels, channels))

    def forward(self, x_BNC: Tensor, other_BNC: Tensor, rope: Tensor) -> Tensor:
        """Attend from tokens [B, N, C] to tokens [B, N, C'] of the same grid with rotary table `rope`: [B, N, C]."""
        q, k, v = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, x_BNC), (self.key, other_BNC), (self.value, other_BNC))
        )
        rope = rope.to(q.dtype)
        attended = F.scaled_dot_product_attention(apply_rot_embed_cat(q, rope), apply_rot_embed_cat(k, rope), v)
        out_BNC: Tensor = self.output(self.norm(attended.transpose(1, 2).flatten(2)))
        return out_BNC


def init_zero(layer: nn.Linear) -> nn.Linear:
    """Initialise a linear layer in place with zeros, so that it returns zero, and return it."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
