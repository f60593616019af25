"""SAM: the segmentation expert."""

from collections.abc import Sequence
from functools import partial

from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from eaglebench.experts.base import VisionExpert
from eaglebench.experts.statistics import IMAGENET_MEAN, IMAGENET_STD


class Sam(VisionExpert):
    """segment_anything's image encoder with its neck: a map of `neck_channels` at one cell per patch.

    `global_blocks` are the indices of the blocks with global attention; the others attend in windows of `window` cells.
    """

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

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        return self.network(pixels_B3SS)

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
    """segment_anything's encoder as `build_sam` wires it (relative positions, layer norm eps 1e-6), at any size."""
    return ImageEncoderViT(
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
