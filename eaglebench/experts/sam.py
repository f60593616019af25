"""SAM: the segmentation expert."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, get_rel_pos
from timm.layers import resample_abs_pos_embed_nhwc
from torch import Tensor, nn

from eaglebench.experts.pixel_statistics import IMAGENET_MEAN, IMAGENET_STD
from eaglebench.experts.vit import BlockHooks, VisionTransformer, apply_block_hook_BHWC
from eaglebench.utils.errors import UserError
from eaglebench.weights.key_mapping import KeyMapping, Rule, to_own_keys
from eaglebench.weights.misfits import copy_weights

NECK = "network.neck."
NORM_EPS = 1e-6
# Elements of the attention bias that exist at a time. On a CPU, memory that the allocator cannot reuse costs more time
# than attention.
BIAS_ON_CPU, BIAS_ON_GPU = 2**22, 2**28
SMALL_ATTENTION = 2**17  # attention weights; up to so many, naive attention is faster on a CPU


def segment_anything_rules(prefix: str) -> list[Rule]:
    """The rules for segment_anything's encoder, whose keys begin with the pattern `prefix`."""
    return [(prefix + r"((?:pos_embed|patch_embed|blocks|neck)(?:\..*)?)", r"network.\1")]


def transformers_rules(prefix: str) -> list[Rule]:
    """The rules for transformers' SAM encoder, whose keys begin with the pattern `prefix`."""
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


OTHER_PARTS = (r"(prompt_encoder|mask_decoder|shared_image_embedding)\..*", "pixel_mean|pixel_std")
SEGMENT_ANYTHING = KeyMapping(
    "segment_anything SAM",
    marker=r"image_encoder\.patch_embed\.proj\.weight",
    rules=segment_anything_rules(r"image_encoder\."),
    unused=OTHER_PARTS,
)
TRANSFORMERS = KeyMapping(
    "transformers SAM",
    marker=r"(vision_encoder\.)?patch_embed\.projection\.weight",
    rules=transformers_rules(r"(?:vision_encoder\.)?"),
    unused=OTHER_PARTS,
)


class Sam(VisionTransformer):
    """segment_anything's image encoder with its neck: a map of `neck_channels`, one cell per patch before unshuffling.

    Args:
        image_size: side of the input, in pixels.
        patch_size: side of a patch, in pixels.
        width: channels of a token.
        depth: number of blocks.
        heads: of the attention.
        window: side of an attention window, in cells.
        global_blocks: indices, from 0, of the blocks that attend to the whole map.
        neck_channels: channels of the neck's map.
        unshuffle: see `VisionExpert`.
        neck: `short` keeps only the neck's first convolution and norm, as Eagle's released code does.
        mlp_ratio: hidden width of the MLPs over `width`.

    Raises:
        UserError: the patches do not fit the side.
    """

    key_mappings = (SEGMENT_ANYTHING, TRANSFORMERS)
    model_types = ("sam_vision_model", "sam")

    def __init__(
        self,
        image_size: PositiveInt = 1024,
        patch_size: PositiveInt = 16,
        width: PositiveInt = 1024,
        depth: PositiveInt = 24,
        heads: PositiveInt = 16,
        window: PositiveInt = 14,
        global_blocks: Sequence[NonNegativeInt] = (5, 11, 17, 23),
        neck_channels: PositiveInt = 256,
        unshuffle: PositiveInt = 2,
        neck: Literal["full", "short"] = "full",
        mlp_ratio: PositiveFloat = 4.0,
    ) -> None:
        super().__init__(
            image_size=image_size,
            stride=patch_size,
            channels=neck_channels,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            unshuffle=unshuffle,
        )
        self.network = build_encoder(
            image_size, patch_size, width, depth, heads, window, global_blocks, neck_channels, mlp_ratio
        )
        self.block_map = (width, image_size // patch_size)
        if neck == "short":
            self.network.neck = self.network.neck[:2]

    def encode_with_hooks(self, pixels_B3SS: Tensor, block_hooks: BlockHooks) -> Tensor:
        return run_encoder(self.network, pixels_B3SS, block_hooks)

    def load_upstream(self, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
        own = to_own_keys(self.key_mappings, weights, self.state_dict(), source)
        copy_weights(self, self.resample_positions(self.replace_neck(own)), source)

    def replace_neck(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights with the initial neck of a short-necked expert in place of a pretrained full one.

        Eagle's released code discards the pretrained neck, and starts its short one from random weights.

        Raises:
            UserError: the weights have the short neck, and the expert has the full one.
        """
        is_full, is_short = (
            f"{NECK}2.weight" in weights,
            f"{NECK}0.weight" in weights and f"{NECK}2.weight" not in weights,
        )
        if is_full and len(self.network.neck) == 2:
            initial = {key: value for key, value in self.state_dict().items() if key.startswith(NECK)}
            return {key: value for key, value in weights.items() if not key.startswith(NECK)} | initial
        if is_short and len(self.network.neck) == 4:
            raise UserError(
                "these are weights of SAM with the short neck of Eagle's released code: add compat=eagle_release, or "
                "experts.sam.neck=short."
            )
        return weights

    def resample_positions(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return resample_encoder_positions(weights, self.network)

    @property
    def settings(self) -> dict[str, Any]:
        return describe_encoder(self.network)

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.blocks)


def build_encoder(
    image_size: int,
    patch_size: int,
    width: int,
    depth: int,
    heads: int,
    window: int,
    global_blocks: Sequence[int],
    neck_channels: int,
    mlp_ratio: float,
) -> ImageEncoderViT:
    """segment_anything's encoder as its `build_sam` wires it, at any size and with fused attention.

    The arguments are those of `Sam`. `build_sam` fixes relative positions, and 1e-6 as the eps of the layer norms.
    """
    encoder = ImageEncoderViT(
        img_size=image_size,
        patch_size=patch_size,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=mlp_ratio,
        out_chans=neck_channels,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=NORM_EPS),  # upstream's annotation asks for a class
        use_rel_pos=True,
        window_size=window,
        global_attn_indexes=tuple(global_blocks),
    )
    for block in encoder.blocks:
        block.attn.__class__ = FusedAttention  # upstream's block builds its own; the parameters are the same
    return encoder


def describe_encoder(network: ImageEncoderViT) -> dict[str, Any]:
    """What of an encoder does not show in the shapes of its weights, by transformers' names."""
    windows = [block.window_size for block in network.blocks]  # 0: the block attends to the whole map
    found = {
        "hidden_act": "gelu",
        "num_attention_heads": network.blocks[0].attn.num_heads,
        "layer_norm_eps": NORM_EPS,
        "global_attn_indexes": [number for number, window in enumerate(windows) if not window],
    }
    return found | ({"window_size": max(windows)} if any(windows) else {})


def run_encoder(network: ImageEncoderViT, pixels_B3SS: Tensor, block_hooks: BlockHooks) -> Tensor:
    """The neck's map [B, C, H, W] of normalised pixels [B, 3, S, S], with `block_hooks` applied after their blocks."""
    x_BHWC = network.patch_embed(pixels_B3SS) + network.pos_embed
    for number, block in enumerate(network.blocks, 1):
        x_BHWC = apply_block_hook_BHWC(number, block_hooks, block(x_BHWC))
    features_BCHW: Tensor = network.neck(x_BHWC.permute(0, 3, 1, 2))
    return features_BCHW


class FusedAttention(Attention):  # type: ignore[misc]  # segment_anything has no types
    """segment_anything's attention, fused: its relative positions are passed as the attention bias.

    The attention weights never exist as a whole, and the bias only in parts small enough to be fast. On a CPU,
    upstream's naive attention runs in two cases: if the map is small, and if gradients are needed. torch's fused
    attention gives the bias no gradient there, and its fallback is slower.

    Shape letters: B images or windows, H W their cells, L heads, C channels of a head.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Attention [B, H, W, L * C] over cells [B, H, W, L * C]."""
        batch, height, width, _ = x.shape
        cells = height * width
        is_small = batch * self.num_heads * cells**2 <= SMALL_ATTENTION
        if x.device.type == "cpu" and (torch.is_grad_enabled() or is_small):
            naive: Tensor = super().forward(x)
            return naive
        q, k, v = self.qkv(x).view(batch, cells, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q_BLHWC = q.unflatten(2, (height, width))
        rel_h, rel_w = get_rel_pos(height, height, self.rel_pos_h), get_rel_pos(width, width, self.rel_pos_w)
        rows = torch.einsum("blhwc,hkc->blhwk", q_BLHWC, rel_h).flatten(2, 3)
        columns = torch.einsum("blhwc,wkc->blhwk", q_BLHWC, rel_w).flatten(2, 3)
        bias_per_query = self.num_heads * cells
        max_bias = BIAS_ON_CPU if x.device.type == "cpu" else BIAS_ON_GPU
        queries = min(cells, max(1, max_bias // bias_per_query))
        images = max(1, max_bias // (bias_per_query * cells))

        def attend(image_slice: slice, query_slice: slice) -> Tensor:
            bias = rows[image_slice, :, query_slice, :, None] + columns[image_slice, :, query_slice, None, :]
            out = F.scaled_dot_product_attention(
                q[image_slice, :, query_slice], k[image_slice], v[image_slice], attn_mask=bias.flatten(3)
            )
            return out.transpose(1, 2)

        query_slices = [slice(start, start + queries) for start in range(0, cells, queries)]
        out = concatenate(
            [
                concatenate([attend(slice(start, start + images), part) for part in query_slices], dim=1)
                for start in range(0, batch, images)
            ],
            dim=0,
        )
        attended: Tensor = self.proj(out.reshape(x.shape))
        return attended


def concatenate(parts: Sequence[Tensor], dim: int) -> Tensor:
    """The parts in one tensor; a single part is not copied."""
    return torch.cat(list(parts), dim) if len(parts) > 1 else parts[0]


def resample_encoder_positions(weights: dict[str, Tensor], network: ImageEncoderViT) -> dict[str, Tensor]:
    """SAM's weights with position embeddings of the sizes that `network` has.

    Absolute ones are resampled bicubically with antialias, as in timm and transformers. Relative ones of blocks that
    attend to the whole map are resampled linearly, as in segment_anything. Those of windows are not: with other windows
    it is another network.
    """
    resampled = dict(weights)
    for name, own in network.state_dict().items():
        key = f"network.{name}"
        table = weights.get(key)
        if table is None or table.shape == own.shape or table.ndim != own.ndim:
            continue
        if name == "pos_embed":
            resampled[key] = resample_abs_pos_embed_nhwc(table, list(own.shape[1:3]))
        elif (
            name.endswith(("rel_pos_h", "rel_pos_w"))
            and not network.get_submodule(name.rpartition(".attn.")[0]).window_size
        ):
            resampled[key] = F.interpolate(table.to(own.dtype).T[None], len(own), mode="linear")[0].T
    return resampled
