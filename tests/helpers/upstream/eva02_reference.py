"""EVA-02's detection backbone in plain loops, from its description, with the keys of its release.

Slow, and meant to be read.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class EvaReference(nn.Module):
    """Turns pixels [B, 3, S, S] into a map [B, C, H, W]; the arguments are those of `Eva02`."""

    def __init__(
        self,
        width: int,
        heads: int,
        depth: int,
        patch: int,
        window: int,
        global_blocks: tuple[int, ...],
        position_grid: int,
        rope_grid: int,
    ) -> None:
        super().__init__()
        self.window, self.global_blocks, self.rope_grid = window, global_blocks, rope_grid
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, stride=patch)})
        self.pos_embed = nn.Parameter(torch.zeros(1, position_grid**2 + 1, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patch_embed["proj"](pixels).permute(0, 2, 3, 1)
        batch, grid = x.shape[:2]
        side = math.isqrt(self.pos_embed.shape[1] - 1)
        table = self.pos_embed[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
        x = x + F.interpolate(table, (grid, grid), mode="bicubic", align_corners=False).permute(0, 2, 3, 1)
        for number, block in enumerate(self.blocks):
            window = grid if number in self.global_blocks else self.window
            normed = block.norm1(x)
            attended = torch.zeros_like(x)
            for image in range(batch):
                for top in range(0, grid, window):
                    for left in range(0, grid, window):
                        inside = torch.zeros(window, window, x.shape[-1], dtype=x.dtype)
                        seen = normed[image, top : top + window, left : left + window]
                        inside[: seen.shape[0], : seen.shape[1]] = seen
                        out = block.attn(inside.flatten(0, 1), window, self.rope_grid).view_as(inside)
                        attended[image, top : top + window, left : left + window] = out[
                            : seen.shape[0], : seen.shape[1]
                        ]
            x = x + attended
            x = x + block.mlp(block.norm2(x))
        return x.permute(0, 3, 1, 2)


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.attn, self.mlp = Attention(width, heads), SwiGLU(width, int(width * 8 / 3))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.q_bias, self.v_bias = (nn.Parameter(torch.zeros(width)) for _ in range(2))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, side: int, rope_grid: int) -> Tensor:
        """Attention over the cells [side * side, C] of one window."""
        size = x.shape[1] // self.heads
        q, k, v = self.q_proj(x) + self.q_bias, self.k_proj(x), self.v_proj(x) + self.v_bias
        out = []
        for head in range(self.heads):
            part = slice(head * size, (head + 1) * size)
            queries, keys = (rotate(cells[:, part], side, rope_grid) for cells in (q, k))
            out.append((queries @ keys.T / math.sqrt(size)).softmax(-1) @ v[:, part])
        return self.proj(torch.cat(out, dim=1))


def rotate(x: Tensor, side: int, rope_grid: int) -> Tensor:
    """Cells [side * side, C], with each pair of channels rotated by the row (first half of them) or column (second)."""
    size = x.shape[1]
    rotated = x.clone()
    for cell in range(side**2):
        for axis, place in enumerate(divmod(cell, side)):
            for pair in range(size // 4):
                angle = place / side * rope_grid / 10000 ** (2 * pair / (size / 2))
                first = axis * size // 2 + 2 * pair
                a, b = x[cell, first], x[cell, first + 1]
                rotated[cell, first] = a * math.cos(angle) - b * math.sin(angle)
                rotated[cell, first + 1] = b * math.cos(angle) + a * math.sin(angle)
    return rotated


class SwiGLU(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w1, self.w2 = (nn.Linear(width, hidden) for _ in range(2))
        self.ffn_ln = nn.LayerNorm(hidden, eps=1e-6)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.w3(self.ffn_ln(F.silu(self.w1(x)) * self.w2(x)))
