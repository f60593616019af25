"""EVA-02: the detection expert."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import PatchEmbed
from timm.layers.pos_embed_sincos import build_rotary_pos_embed
from timm.models.eva import EvaAttention, EvaBlock
from torch import Tensor, nn

from eaglebench.experts.pixel_statistics import IMAGENET_MEAN, IMAGENET_STD
from eaglebench.experts.vit import After, VisionTransformer, after_block_BHWC
from eaglebench.experts.windows import in_windows, out_of_windows
from eaglebench.weights.key_mapping import Layout

NET = r"(?:backbone\.net\.)?"
BLOCK, OWN_BLOCK = NET + r"blocks\.(\d+)\.", r"network.blocks.\1."
DETECTION = Layout(
    "EVA-02 detection",
    mark=NET + r"blocks\.0\.mlp\.ffn_ln\.weight",
    rules=[
        (BLOCK + r"attn\.([qv])_bias", OWN_BLOCK + r"attn.\2_proj.bias"),
        (BLOCK + r"mlp\.w1\.(.*)", OWN_BLOCK + r"mlp.fc1_g.\2"),
        (BLOCK + r"mlp\.w2\.(.*)", OWN_BLOCK + r"mlp.fc1_x.\2"),
        (BLOCK + r"mlp\.ffn_ln\.(.*)", OWN_BLOCK + r"mlp.norm.\2"),
        (BLOCK + r"mlp\.w3\.(.*)", OWN_BLOCK + r"mlp.fc2.\2"),
        (NET + r"((?:pos_embed|patch_embed\.proj|blocks)(?:\..*)?)", r"network.\1"),
    ],
    unused=[
        r"(.*\.)?rope(_win|_glb)?\.freqs_(cos|sin)",  # computed here
        r"(backbone\.simfp_\d|proposal_generator|roi_heads)\..*|pixel_(mean|std)",
    ],
)
POSITIONS = "network.pos_embed"


class Eva02(VisionTransformer):
    """EVA-02 as the backbone of a ViTDet detector (arXiv 2303.11331): timm's blocks, most of them attending in windows.

    `window` is the side of a window in cells; the blocks of `global_blocks` attend to the whole map. `position_grid` is the side
    of the table of learned positions that the weights have; `rope_grid` the side that their rotary positions were trained on: both
    are stretched over the map, and the rotary ones over a window too.
    """

    layouts = (DETECTION,)

    def __init__(
        self,
        image_size: int = 1024,
        patch_size: int = 16,
        width: int = 1024,
        depth: int = 24,
        heads: int = 16,
        mlp_ratio: float = 8 / 3,
        window: int = 16,
        global_blocks: Sequence[int] = (2, 5, 8, 11, 14, 17, 20, 23),
        position_grid: int = 14,
        rope_grid: int = 16,
        unshuffle: int = 1,
    ) -> None:
        super().__init__(
            image_size=image_size,
            stride=patch_size,
            channels=width,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            unshuffle=unshuffle,
        )
        grid = image_size // patch_size
        self.block_map = (width, grid)
        self.network = WindowedEva(
            PatchEmbed(img_size=image_size, patch_size=patch_size, embed_dim=width, output_fmt="NHWC", flatten=False),
            [
                WindowedBlock(
                    width,
                    heads,
                    qkv_fused=False,
                    mlp_ratio=mlp_ratio,
                    swiglu_mlp=True,
                    scale_mlp=True,
                    num_prefix_tokens=0,
                    norm_layer=partial(nn.LayerNorm, eps=1e-6),
                )
                for _ in range(depth)
            ],
            windows=[grid if block in global_blocks else window for block in range(depth)],
            positions=position_grid,
            ropes={side: rope(side, rope_grid, width // heads) for side in {grid, window}},
        )

    def encode_with(self, pixels_B3SS: Tensor, after: After) -> Tensor:
        return self.network(pixels_B3SS, after)

    def fitted(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Without the position of a class token, which detectors do not have; the table itself is resampled as it is used."""
        table = weights.get(POSITIONS)
        if table is not None and math.isqrt(table.shape[1]) ** 2 == table.shape[1] - 1:
            weights = {**weights, POSITIONS: table[:, 1:]}
        return weights

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.blocks)


class WindowedEva(nn.Module):
    """The encoder: patches, learned positions, blocks.

    Args:
        patch_embed: gives patches [B, H, W, C].
        blocks: of the transformer.
        windows: side of the window of each block.
        positions: side of the table of learned positions.
        ropes: the rotary table of each side of a window.
    """

    def __init__(
        self,
        patch_embed: PatchEmbed,
        blocks: Sequence["WindowedBlock"],
        windows: Sequence[int],
        positions: int,
        ropes: dict[int, Tensor],
    ) -> None:
        super().__init__()
        width = patch_embed.proj.out_channels
        self.patch_embed = patch_embed
        self.pos_embed = nn.Parameter(torch.randn(1, positions**2, width) * 0.02)
        self.blocks = nn.ModuleList(blocks)
        self.windows = list(windows)
        for side, table in ropes.items():
            self.register_buffer(f"rope_{side}", table, persistent=False)

    def forward(self, pixels_B3SS: Tensor, after: After) -> Tensor:
        """The map [B, C, H, W] of pixels [B, 3, S, S]; `after` as in `VisionTransformer`."""
        x_BHWC = self.patch_embed(pixels_B3SS)
        x_BHWC = x_BHWC + self.positions(x_BHWC.shape[1]).to(x_BHWC.dtype)
        for number, (block, window) in enumerate(zip(self.blocks, self.windows, strict=True), 1):
            x_BHWC = after_block_BHWC(number, after, block(x_BHWC, window, getattr(self, f"rope_{window}")))
        return x_BHWC.permute(0, 3, 1, 2)

    def positions(self, grid: int) -> Tensor:
        """The learned positions [1, grid, grid, C], resampled in float32 as detectron2 does: bicubic, without antialias."""
        side = round(self.pos_embed.shape[1] ** 0.5)
        table = self.pos_embed.unflatten(1, (side, side))
        if side == grid:
            return table
        table = table.permute(0, 3, 1, 2)
        table = table.float() if table.dtype.itemsize < 4 else table
        return F.interpolate(table, (grid, grid), mode="bicubic", align_corners=False).permute(0, 2, 3, 1)


class WindowedBlock(EvaBlock):
    """timm's block with its attention inside windows. The padding at the right and the bottom takes part in the attention, as in
    ViTDet: its keys are zero, its values the bias."""

    def __init__(self, width: int, heads: int, **options: Any) -> None:
        super().__init__(width, heads, **options)
        self.attn.__class__ = RotaryAttention  # upstream's block builds its own; the parameters are the same

    def forward(self, x_BHWC: Tensor, window: int, rope: Tensor) -> Tensor:
        """[B, H, W, C] of cells [B, H, W, C]; `rope` is the rotary table of a window."""
        inside = in_windows(self.norm1(x_BHWC), window)
        attended = self.attn(inside.flatten(1, 2), rope=rope).view_as(inside)
        x_BHWC = x_BHWC + out_of_windows(attended, window, x_BHWC.shape[1])
        return x_BHWC + self.mlp(self.norm2(x_BHWC))


class RotaryAttention(EvaAttention):
    """timm's attention, fused, with each pair of channels turned as one complex number: a product where timm has six steps."""

    def forward(self, x_BNC: Tensor, rope: Tensor) -> Tensor:
        """[B, N, C] of cells [B, N, C]; `rope` is the rotary table [N, 2 * dim]: sines, then cosines, each twice."""
        q, k, v = (
            project(x_BNC).unflatten(-1, (self.num_heads, -1)) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        sines, cosines = rope[:, None, ::2].to(torch.promote_types(q.dtype, torch.float32)).chunk(2, dim=-1)
        turn = torch.complex(cosines, sines)
        q, k = (turned(each, turn).type_as(v).transpose(1, 2) for each in (q, k))
        out = F.scaled_dot_product_attention(q, k, v.transpose(1, 2))
        return self.proj(out.transpose(1, 2).flatten(2))


def turned(x_BNHD: Tensor, turn: Tensor) -> Tensor:
    """Neighbouring channels as complex numbers times those of `turn` [N, 1, D / 2], in its precision."""
    pairs = torch.view_as_complex(x_BNHD.to(turn.real.dtype).unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn).flatten(-2)


def rope(side: int, trained_side: int, dim: int) -> Tensor:
    """The rotary table [side * side, 2 * dim] of a square whose coordinates are stretched to those of `trained_side`."""
    tables = build_rotary_pos_embed(
        [side, side], dim=dim, in_pixels=False, ref_feat_shape=[trained_side, trained_side], temperature=10000.0
    )
    return torch.cat(tables, dim=-1)
