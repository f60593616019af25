"""MoVA: a mixture of vision experts, routed for each image (arXiv 2404.13046)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d, SwiGLU, apply_rot_embed_cat, build_rotary_pos_embed
from timm.models.regnet import Bottleneck
from torch import Tensor, nn

from eaglebench.fusion.base import Fusion, Outline
from eaglebench.fusion.grid import precise
from eaglebench.utils.errors import UserError


class Mova(Fusion):
    """N = (G/2)^2 tokens: blocks in which the base's tokens attend to the experts that they are routed to, then a convolution that halves
    the grid, and the projector. Before it is trained, it is the projector on the base's map, pooled 2 x 2.

    MoVA's language model chooses up to three experts by their descriptions and the question, and a text encoder tells the gate what
    the question is; neither choice nor training of that router is published. Here a fusion sees images alone: the gate weighs the experts
    by the base's tokens and keeps the best `top`, or `route` fixes the choice.

    Args:
        route: the experts that every image is routed to, the base not among them; None: the gate chooses from all.
        top: how many experts of the route the gate keeps in each block.
        depth: blocks.
        heads: of attention; channels of a head are a multiple of four.
    """

    def __init__(
        self,
        experts: Mapping[str, Outline],
        width: int,
        route: Sequence[str] | None = None,
        top: int = 3,
        depth: int = 3,
        heads: int = 16,
        **common: Any,
    ) -> None:
        super().__init__(experts, width, **common)
        others = list(self.experts)[1:]
        routed = others if route is None else list(route)
        if unknown := [name for name in routed if name not in others]:
            raise UserError(f"fusion.route names {', '.join(unknown)}: choose from {', '.join(others) or 'no expert'}.")
        channels = self.aligned_channels(self.base)
        if min(top, depth, heads) < 1 or channels % (4 * heads):
            raise UserError(
                f"fusion.top, depth and heads must be at least 1, and four times heads={heads} divide the {channels} channels of "
                f"{self.base}."
            )
        if top == 1 and len(routed) > 1:
            raise UserError(
                "fusion.top=1 leaves the gate nothing to weigh: keep two, or fix the choice by fusion.route."
            )
        if self.grid % 2:
            raise UserError(f"fusion=mova halves its grid: fusion.grid={self.grid} must be even.")
        self.visual_tokens = (self.grid // 2) ** 2
        self.routed = routed
        if left_out := [name for name in others if name not in routed]:
            self.notes.append(f"mova: {', '.join(left_out)} is not routed to, and neither run nor trained.")
        self.positions = nn.Parameter(torch.zeros(self.grid**2, channels))
        counts = {name: self.aligned_channels(name) for name in routed}
        self.blocks = nn.ModuleList([Block(channels, counts, heads, top) for _ in range(depth)])
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
        self.projector = self.new_projector(channels, self.norm)
        rope = build_rotary_pos_embed([self.grid] * 2, dim=channels // heads, in_pixels=False, temperature=10000.0)
        self.register_buffer("rope", torch.cat(rope, dim=-1), persistent=False)

    rope: Tensor

    def looked_at(self, experts: Mapping[str, nn.Module], pixels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: experts[name](pixels[name]) for name in (self.base, *self.routed)}

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        base_BNC = self.aligned(features, self.base)
        maps = {name: self.aligned(features, name) for name in self.routed}
        x_BNC = base_BNC + self.positions
        for block in self.blocks:
            x_BNC = block(x_BNC, maps, self.rope)
        x_BCGG = ((x_BNC + base_BNC) / 2).transpose(1, 2).unflatten(2, (self.grid, self.grid))
        pooled = self.after(F.avg_pool2d(self.before(x_BCGG), 2))
        return self.projector(pooled.flatten(2).transpose(1, 2))


class Block(nn.Module):
    """Attention to the experts by the gate's weights, attention to oneself, and an MLP; see `Mova`."""

    def __init__(self, channels: int, experts: Mapping[str, int], heads: int, top: int) -> None:
        super().__init__()
        self.top = min(top, len(experts))
        self.attentions = nn.ModuleDict({name: Attention(channels, count, heads) for name, count in experts.items()})
        self.norms = nn.ModuleDict({name: nn.LayerNorm(count) for name, count in experts.items()})
        if experts:
            self.norm = nn.LayerNorm(channels)
        if len(experts) > 1:
            self.gate = nn.Sequential(nn.Linear(channels, channels), nn.GELU(), zero(nn.Linear(channels, len(experts))))
        self.self_norm, self.mlp_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.self_attention = Attention(channels, channels, heads)
        self.mlp = SwiGLU(channels, int(channels * 8 / 3), norm_layer=nn.LayerNorm)
        zero(self.mlp.fc2)

    def forward(self, x_BNC: Tensor, maps: Mapping[str, Tensor], rope: Tensor) -> Tensor:
        """[B, N, C] of tokens [B, N, C] and the experts' tokens {name: [B, N, C']}."""
        if maps:
            weights_BE = self.weights(x_BNC)
            queries = self.norm(x_BNC)
            for index, (name, attention) in enumerate(self.attentions.items()):
                found = attention(queries, self.norms[name](maps[name]), rope)
                x_BNC = x_BNC + weights_BE[:, index, None, None] * found
        normed = self.self_norm(x_BNC)
        x_BNC = x_BNC + self.self_attention(normed, normed, rope)
        return x_BNC + self.mlp(self.mlp_norm(x_BNC))

    def weights(self, x_BNC: Tensor) -> Tensor:
        """Of each expert [B, E]: those of the best, which sum to one."""
        if len(self.attentions) == 1:
            return x_BNC.new_ones(len(x_BNC), 1)
        weights_BE = precise(self.gate(x_BNC.mean(dim=1))).softmax(dim=-1).to(x_BNC.dtype)
        best = weights_BE.topk(self.top, dim=-1)
        kept = torch.zeros_like(weights_BE).scatter(-1, best.indices, best.values)
        return kept / kept.sum(dim=-1, keepdim=True)


class Attention(nn.Module):
    """Attention between two maps on one grid with axial rotary positions, and a norm before its output layer."""

    def __init__(self, channels: int, others: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels, bias=False)
        self.key, self.value = (nn.Linear(others, channels, bias=False) for _ in range(2))
        self.norm = nn.LayerNorm(channels)
        self.output = zero(nn.Linear(channels, channels))

    def forward(self, x_BNC: Tensor, other_BNC: Tensor, rope: Tensor) -> Tensor:
        """[B, N, C] of tokens [B, N, C] and those that they look at [B, N, C']; `rope` is timm's table of the grid."""
        q, k, v = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, x_BNC), (self.key, other_BNC), (self.value, other_BNC))
        )
        rope = rope.to(q.dtype)
        attended = F.scaled_dot_product_attention(apply_rot_embed_cat(q, rope), apply_rot_embed_cat(k, rope), v)
        return self.output(self.norm(attended.transpose(1, 2).flatten(2)))


def zero(layer: nn.Linear) -> nn.Linear:
    """The layer, giving zero at first."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
