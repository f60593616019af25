"""EVA-02: the detection expert, a ViTDet backbone (arXiv 2303.11331)."""

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from timm.layers import PatchEmbed
from timm.layers.pos_embed_sincos import build_rotary_pos_embed
from timm.models.eva import EvaAttention, EvaBlock
from torch import Tensor, nn

from eaglebench.experts.pixel_statistics import IMAGENET_MEAN, IMAGENET_STD
from eaglebench.experts.vit import BlockHooks, VisionTransformer, apply_block_hook_BHWC
from eaglebench.experts.windows import merge_windows, partition_windows
from eaglebench.weights.key_mapping import KeyMapping
from eaglebench.weights.settings import check_settings

NET = r"(?:backbone\.net\.)?"
BLOCK, OWN_BLOCK = NET + r"blocks\.(\d+)\.", r"network.blocks.\1."
DETECTION = KeyMapping(
    "EVA-02 detection",
    marker=NET + r"blocks\.0\.mlp\.ffn_ln\.weight",
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
# Rotary tables [cells, channels of a head] in checkpoints: of a block, of its windows, or of the whole map.
ROPE = re.compile(r"(?:.*\.)?rope(_win|_glb)?\.freqs_cos")


class Eva02(VisionTransformer):
    """EVA-02 as the backbone of a ViTDet detector: timm's blocks, most of them with attention inside windows.

    Args:
        image_size: side of the input, in pixels.
        patch_size: side of a patch, in pixels.
        width: channels of a token.
        depth: number of blocks.
        heads: of the attention.
        mlp_ratio: hidden width of the MLPs over `width`.
        window: side of an attention window, in cells.
        global_blocks: indices, from 0, of the blocks that attend to the whole map.
        position_grid: side of the grid of learned position embeddings in the weights; they are stretched over the map.
        rope_grid: side of the grid that the rotary position embeddings were trained on. They are stretched over the
            whole map in global blocks, and over a window in the others.
        unshuffle: see `VisionExpert`.

    Raises:
        UserError: the patches do not fit the side.
    """

    key_mappings = (DETECTION,)

    def __init__(
        self,
        image_size: PositiveInt = 1024,
        patch_size: PositiveInt = 16,
        width: PositiveInt = 1024,
        depth: PositiveInt = 24,
        heads: PositiveInt = 16,
        mlp_ratio: PositiveFloat = 8 / 3,
        window: PositiveInt = 16,
        global_blocks: Sequence[NonNegativeInt] = (2, 5, 8, 11, 14, 17, 20, 23),
        position_grid: PositiveInt = 14,
        rope_grid: PositiveInt = 16,
        unshuffle: PositiveInt = 1,
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
        self.heads, self.window = heads, window
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
            position_grid=position_grid,
            ropes={side: build_rope(side, rope_grid, width // heads) for side in {grid, window}},
        )

    def encode_with_hooks(self, pixels_B3SS: Tensor, block_hooks: BlockHooks) -> Tensor:
        features_BCHW: Tensor = self.network(pixels_B3SS, block_hooks)
        return features_BCHW

    def load_upstream(self, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
        """Load weights as every expert does; their rotary tables, which are computed here, show heads and windows.

        Raises:
            UserError: weights do not fit, or were made with other heads or windows.
        """
        super().load_upstream(weights, source)
        expected = {}
        for key, table in weights.items():
            if match := ROPE.fullmatch(key):
                expected["heads"] = self.block_map[0] // table.shape[-1]
                if match[1] == "_win":
                    expected["window"] = math.isqrt(len(table))
        check_settings({"heads": self.heads, "window": self.window}, expected, source)

    def resample_positions(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights without the position of the class token, which detectors lack; `forward` resamples the others."""
        positions_1PC = weights.get(POSITIONS)
        if positions_1PC is not None and math.isqrt(positions_1PC.shape[1]) ** 2 == positions_1PC.shape[1] - 1:
            weights = {**weights, POSITIONS: positions_1PC[:, 1:]}
        return weights

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.blocks)


class WindowedEva(nn.Module):
    """The encoder: patch embedding, learned position embeddings, blocks.

    Args:
        patch_embed: turns pixels [B, 3, S, S] into patches [B, H, W, C].
        blocks: of the transformer.
        windows: side of the attention window of each block, in cells.
        position_grid: side of the grid of learned position embeddings.
        ropes: the rotary table for each side of a window, see `build_rope`.
    """

    def __init__(
        self,
        patch_embed: PatchEmbed,
        blocks: Sequence["WindowedBlock"],
        windows: Sequence[int],
        position_grid: int,
        ropes: dict[int, Tensor],
    ) -> None:
        super().__init__()
        width = patch_embed.proj.out_channels
        self.patch_embed = patch_embed
        self.pos_embed = nn.Parameter(torch.randn(1, position_grid**2, width) * 0.02)
        self.blocks = nn.ModuleList(blocks)
        self.windows = list(windows)
        for side, table in ropes.items():
            self.register_buffer(f"rope_{side}", table, persistent=False)

    def forward(self, pixels_B3SS: Tensor, block_hooks: BlockHooks) -> Tensor:
        """The map [B, C, H, W] of normalised pixels [B, 3, S, S], with `block_hooks` applied after their blocks."""
        x_BHWC: Tensor = self.patch_embed(pixels_B3SS)
        x_BHWC = x_BHWC + self.resize_positions(x_BHWC.shape[1]).to(x_BHWC.dtype)
        for number, (block, window) in enumerate(zip(self.blocks, self.windows, strict=True), 1):
            rope = getattr(self, f"rope_{window}")
            x_BHWC = apply_block_hook_BHWC(number, block_hooks, block(x_BHWC, window, rope))
        return x_BHWC.permute(0, 3, 1, 2)

    def resize_positions(self, grid: int) -> Tensor:
        """The position embeddings [1, grid, grid, C], resampled as in detectron2: bicubic, in float32, no antialias."""
        side = round(self.pos_embed.shape[1] ** 0.5)
        positions_1HWC = self.pos_embed.view(1, side, side, -1)
        if side == grid:
            return positions_1HWC
        positions_1CHW = positions_1HWC.permute(0, 3, 1, 2)
        positions_1CHW = positions_1CHW.float() if positions_1CHW.dtype.itemsize < 4 else positions_1CHW
        return F.interpolate(positions_1CHW, (grid, grid), mode="bicubic", align_corners=False).permute(0, 2, 3, 1)


class WindowedBlock(EvaBlock):  # type: ignore[misc]  # timm has no types
    """timm's block with attention inside windows.

    The padding at the right and the bottom takes part in the attention, as in ViTDet: its keys are zero, and its values
    the bias.
    """

    def __init__(self, width: int, heads: int, **options: Any) -> None:
        super().__init__(width, heads, **options)
        self.attn.__class__ = RotaryAttention  # upstream's block builds its own; the parameters are the same

    def forward(self, x_BHWC: Tensor, window: int, rope: Tensor) -> Tensor:
        """The map [B, H, W, C] after the block.

        Args:
            x_BHWC: the map before it.
            window: side M of a window, in cells.
            rope: the rotary table of a window, see `build_rope`.
        """
        windows_nMMC = partition_windows(self.norm1(x_BHWC), window)
        attended_nMMC = self.attn(windows_nMMC.flatten(1, 2), rope=rope).view_as(windows_nMMC)
        x_BHWC = x_BHWC + merge_windows(attended_nMMC, window, x_BHWC.shape[1])
        out_BHWC: Tensor = x_BHWC + self.mlp(self.norm2(x_BHWC))
        return out_BHWC


class RotaryAttention(EvaAttention):  # type: ignore[misc]  # timm has no types
    """timm's attention, fused. Each pair of channels is rotated as one complex number: one product, timm has six steps.

    Shape letters: B windows, N cells of a window, C channels, D channels of a head.
    """

    def forward(self, x_BNC: Tensor, rope: Tensor) -> Tensor:
        """Attention [B, N, C] over cells [B, N, C]; `rope` is the rotary table [N, 2 * D] of `build_rope`."""
        q, k, v = (
            project(x_BNC).unflatten(-1, (self.num_heads, -1)) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        # The table has sines, then cosines, each number twice.
        sines, cosines = rope[:, None, ::2].to(torch.promote_types(q.dtype, torch.float32)).chunk(2, dim=-1)
        rotation = torch.complex(cosines, sines)
        q, k = (rotate(x_BNHD, rotation).type_as(v).transpose(1, 2) for x_BNHD in (q, k))
        out = F.scaled_dot_product_attention(q, k, v.transpose(1, 2))
        attended_BNC: Tensor = self.proj(out.transpose(1, 2).flatten(2))
        return attended_BNC


def rotate(x_BNHD: Tensor, rotation: Tensor) -> Tensor:
    """Pairs of neighbouring channels times the complex numbers `rotation` [N, 1, D / 2], in the precision of these."""
    pairs = torch.view_as_complex(x_BNHD.to(rotation.real.dtype).view(*x_BNHD.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2)


def build_rope(side: int, trained_side: int, dim: int) -> Tensor:
    """The rotary table [side * side, 2 * dim] of a square grid of cells: sines, then cosines, each number twice.

    Args:
        side: of the grid, in cells.
        trained_side: side of the grid that the weights were trained on, over whose coordinates this one is stretched.
        dim: channels of a head.
    """
    tables = build_rotary_pos_embed(
        [side, side], dim=dim, in_pixels=False, ref_feat_shape=[trained_side, trained_side], temperature=10000.0
    )
    return torch.cat(tables, dim=-1)
