"""SAM: the segmentation expert."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, get_rel_pos
from timm.layers import resample_abs_pos_embed_nhwc
from torch import Tensor, nn

from eaglebench.experts.pixel_statistics import IMAGENET_MEAN, IMAGENET_STD
from eaglebench.experts.vit import After, VisionTransformer, after_block_BHWC
from eaglebench.utils.errors import UserError
from eaglebench.weights.key_mapping import Layout, Rule

NECK = "network.neck."
# Numbers of a bias that are held at a time. On a CPU, more than the allocator gives again from what it has costs more than attention.
BIAS_ON_CPU, BIAS_ON_GPU = 2**22, 2**28
FEW = 2**17  # weights of an attention; on a CPU, so few are sooner written out


def segment_anything(prefix: str) -> list[Rule]:
    """The rules of segment_anything's encoder behind a prefix."""
    return [(prefix + r"((?:pos_embed|patch_embed|blocks|neck)(?:\..*)?)", r"network.\1")]


def transformers(prefix: str) -> list[Rule]:
    """The rules of transformers' SAM encoder behind a prefix."""
    return [
        (prefix + "pos_embed", "network.pos_embed"),
        (prefix + r"patch_embed\.projection\.(.*)", r"network.patch_embed.proj.\1"),
        (prefix + r"layers\.(\d+)\.layer_norm([12])\.(.*)", r"network.blocks.\1.norm\2.\3"),
        (prefix + r"layers\.(.*)", r"network.blocks.\1"),
        (prefix + r"neck\.conv1\.(.*)", r"network.neck.0.\1"),
        (prefix + r"neck\.layer_norm1\.(.*)", r"network.neck.1.\1"),
        (prefix + r"neck\.conv2\.(.*)", r"network.neck.2.\1"),
        (prefix + r"neck\.layer_norm2\.(.*)", r"network.neck.3.\1"),
    ]


OTHERS = (r"(prompt_encoder|mask_decoder|shared_image_embedding)\..*", "pixel_mean|pixel_std")
SEGMENT_ANYTHING = Layout(
    "segment_anything SAM",
    mark=r"image_encoder\.patch_embed\.proj\.weight",
    rules=segment_anything(r"image_encoder\."),
    unused=OTHERS,
)
TRANSFORMERS = Layout(
    "transformers SAM",
    mark=r"(vision_encoder\.)?patch_embed\.projection\.weight",
    rules=transformers(r"(?:vision_encoder\.)?"),
    unused=OTHERS,
)


class Sam(VisionTransformer):
    """segment_anything's image encoder with its neck: a map of `neck_channels` at one cell per patch.

    `global_blocks` are the indices of the blocks with global attention; the others attend in windows of `window` cells. A short
    neck is its first convolution and norm alone, as in Eagle's released code.
    """

    layouts = (SEGMENT_ANYTHING, TRANSFORMERS)

    def __init__(
        self,
        image_size: int = 1024,
        patch_size: int = 16,
        width: int = 1024,
        depth: int = 24,
        heads: int = 16,
        window: int = 14,
        global_blocks: Sequence[int] = (5, 11, 17, 23),
        neck_channels: int = 256,
        unshuffle: int = 2,
        neck: Literal["full", "short"] = "full",
    ) -> None:
        super().__init__(
            image_size=image_size,
            stride=patch_size,
            channels=neck_channels,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            unshuffle=unshuffle,
        )
        self.network = sam_encoder(image_size, patch_size, width, depth, heads, window, global_blocks, neck_channels)
        self.block_map = (width, image_size // patch_size)
        if neck == "short":
            self.network.neck = self.network.neck[:2]

    def encode_with(self, pixels_B3SS: Tensor, after: After) -> Tensor:
        return encoded(self.network, pixels_B3SS, after)

    def fitted(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        if f"{NECK}2.weight" in weights and len(self.network.neck) == 2:
            # Eagle's released code throws the pretrained neck away and starts its short one at random.
            first = {key: value for key, value in self.state_dict().items() if key.startswith(NECK)}
            weights = {key: value for key, value in weights.items() if not key.startswith(NECK)} | first
        elif f"{NECK}0.weight" in weights and f"{NECK}2.weight" not in weights and len(self.network.neck) == 4:
            raise UserError(
                "these are weights of SAM with the short neck of Eagle's released code: add compat=eagle_release, or "
                "experts.sam.neck=short."
            )
        return resampled_positions(weights, self.network)

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.blocks)


def sam_encoder(
    image_size: int,
    patch_size: int,
    width: int,
    depth: int,
    heads: int,
    window: int,
    global_blocks: Sequence[int],
    neck_channels: int,
) -> ImageEncoderViT:
    """segment_anything's encoder as `build_sam` wires it (relative positions, layer norm eps 1e-6), at any size and with fused
    attention."""
    encoder = ImageEncoderViT(
        img_size=image_size,
        patch_size=patch_size,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=4,
        out_chans=neck_channels,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),  # upstream's annotation asks for a class
        use_rel_pos=True,
        window_size=window,
        global_attn_indexes=tuple(global_blocks),
    )
    for block in encoder.blocks:
        block.attn.__class__ = FusedAttention  # upstream's block builds its own; the parameters are the same
    return encoder


def encoded(network: ImageEncoderViT, pixels_B3SS: Tensor, after: After) -> Tensor:
    """What segment_anything's encoder gives; `after` as in `VisionTransformer`."""
    x_BHWC = network.patch_embed(pixels_B3SS) + network.pos_embed
    for number, block in enumerate(network.blocks, 1):
        x_BHWC = after_block_BHWC(number, after, block(x_BHWC))
    return network.neck(x_BHWC.permute(0, 3, 1, 2))


class FusedAttention(Attention):
    """segment_anything's attention with its relative positions as the bias of a fused one, which never holds the softmax; nor is more of
    the bias held at a time than is fast to hold.

    Written out as upstream on a CPU where gradients are wanted, because torch has no fused attention there that gives a bias one, and
    what it does instead is slower; and where there is little to hold.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[n, H, W, C] of cells [n, H, W, C]."""
        batch, height, width, _ = x.shape
        cells = height * width
        if x.device.type == "cpu" and (torch.is_grad_enabled() or batch * self.num_heads * cells**2 <= FEW):
            return super().forward(x)
        q, k, v = self.qkv(x).view(batch, cells, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        grid = q.unflatten(2, (height, width))
        rows = torch.einsum("bnhwc,hkc->bnhwk", grid, get_rel_pos(height, height, self.rel_pos_h)).flatten(2, 3)
        columns = torch.einsum("bnhwc,wkc->bnhwk", grid, get_rel_pos(width, width, self.rel_pos_w)).flatten(2, 3)
        of_a_query = self.num_heads * cells
        at_once = BIAS_ON_CPU if x.device.type == "cpu" else BIAS_ON_GPU
        queries = min(cells, max(1, at_once // of_a_query))
        images = max(1, at_once // (of_a_query * cells))

        def part(some: slice, here: slice) -> Tensor:
            bias = rows[some, :, here, :, None] + columns[some, :, here, None, :]
            out = F.scaled_dot_product_attention(q[some, :, here], k[some], v[some], attn_mask=bias.flatten(3))
            return out.transpose(1, 2)

        out = joined(
            [
                joined([part(slice(i, i + images), slice(j, j + queries)) for j in range(0, cells, queries)], dim=1)
                for i in range(0, batch, images)
            ],
            dim=0,
        )
        return self.proj(out.reshape(x.shape))


def joined(parts: Sequence[Tensor], dim: int) -> Tensor:
    """The concatenation of parts; no copy of a single one."""
    return torch.cat(list(parts), dim) if len(parts) > 1 else parts[0]


def resampled_positions(weights: dict[str, Tensor], network: ImageEncoderViT) -> dict[str, Tensor]:
    """SAM's weights with tables of positions of the network's sizes.

    The learned ones are resampled bicubically with antialias, as timm and transformers do; the relative ones linearly, as
    segment_anything does.
    """
    fitted = dict(weights)
    for key, own in network.state_dict().items():
        table = weights.get(f"network.{key}")
        if table is None or table.shape == own.shape or table.ndim != own.ndim:
            continue
        if key == "pos_embed":
            fitted[f"network.{key}"] = resample_abs_pos_embed_nhwc(table, list(own.shape[1:3]))
        elif key.endswith(("rel_pos_h", "rel_pos_w")):
            columns = F.interpolate(table.to(own.dtype).T[None], len(own), mode="linear")
            fitted[f"network.{key}"] = columns[0].T
    return fitted
