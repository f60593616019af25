"""Pix2Struct: the expert for text and document structure."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn
from transformers import Pix2StructVisionConfig, Pix2StructVisionModel

from eaglebench.experts.base import resize, tokens_to_map
from eaglebench.experts.vit import BlockHooks, VisionTransformer, apply_block_hook
from eaglebench.weights.key_mapping import KeyMapping

TRANSFORMERS = KeyMapping(
    "transformers Pix2Struct",
    marker=r"(encoder\.)?embeddings\.patch_projection\.weight",
    rules=[
        (r"(?:encoder\.)?((?:embeddings|layernorm)\..*)", r"network.\1"),
        (r"(?:encoder\.)?(encoder\.layer\..*)", r"network.\1"),
    ],
    unused=[r"decoder\..*"],
)


class Pix2Struct(VisionTransformer):
    """The encoder of transformers' Pix2Struct on a square image.

    The work of upstream's image processor is done here in torch, on the expert's device. Each image is standardised by
    its own mean and standard deviation, resized to `image_size`, and cut into patches that carry their row and column,
    counted from 1. The processor's 2048 patches are a grid of 45 x 45 on a square image: 720 px, whatever the image's
    own size.

    Args:
        image_size: side of the input, in pixels.
        patch_size: side of a patch, in pixels.
        width: channels of a token.
        depth: number of blocks.
        heads: of the attention.
        mlp_width: hidden width of the MLPs.
        positions: number of rows, and of columns, that the position embeddings have.
        unshuffle: see `VisionExpert`.

    Raises:
        UserError: the patches do not fit the side.
    """

    key_mappings = (TRANSFORMERS,)
    model_types = ("pix2struct_vision_model", "pix2struct")

    def __init__(
        self,
        image_size: PositiveInt = 720,
        patch_size: PositiveInt = 16,
        width: PositiveInt = 1536,
        depth: PositiveInt = 18,
        heads: PositiveInt = 24,
        mlp_width: PositiveInt = 3968,
        positions: PositiveInt = 4096,
        unshuffle: PositiveInt = 1,
    ) -> None:
        super().__init__(
            image_size=image_size,
            stride=patch_size,
            channels=width,
            mean=(0.0, 0.0, 0.0),  # each image is standardised by its own statistics
            std=(1.0, 1.0, 1.0),
            unshuffle=unshuffle,
        )
        self.patch_size = patch_size
        self.block_map = (width, image_size // patch_size)
        self.network = Pix2StructVisionModel(
            Pix2StructVisionConfig(
                hidden_size=width,
                patch_embed_hidden_size=3 * patch_size**2,
                d_ff=mlp_width,
                d_kv=width // heads,
                num_hidden_layers=depth,
                num_attention_heads=heads,
                seq_len=positions,
                patch_size=patch_size,
                attention_dropout=0.0,
                dropout_rate=0.0,
            )
        )
        ids = torch.arange(1, image_size // patch_size + 1, dtype=torch.float32)
        self.register_buffer("row_col_N2", torch.cartesian_prod(ids, ids), persistent=False)

    row_col_N2: Tensor

    def encode_with_hooks(self, pixels_B3SS: Tensor, block_hooks: BlockHooks) -> Tensor:
        patches_BQHW = F.pixel_unshuffle(pixels_B3SS, self.patch_size)  # Q = 3 * patch_size**2, in the order c, dy, dx
        patches_B3PHW = patches_BQHW.reshape(len(patches_BQHW), 3, -1, *patches_BQHW.shape[2:])
        patches_BNQ = patches_B3PHW.permute(0, 3, 4, 2, 1).flatten(1, 2).flatten(2)  # in the order dy, dx, c
        row_col_BN2 = self.row_col_N2.to(patches_BNQ).expand(len(patches_BNQ), -1, -1)
        x_BNC = self.network.embeddings(torch.cat([row_col_BN2, patches_BNQ], dim=2))
        for number, block in enumerate(self.network.encoder.layer, 1):
            # Upstream's own forward passes a padding mask; a square image has no padding.
            x_BNC = apply_block_hook(number, block_hooks, block(x_BNC)[0])
        return tokens_to_map(self.network.layernorm(x_BNC))

    def preprocess(self, images_B3XX: Tensor, side: int | None = None) -> Tensor:
        """Pixels [B, 3, S, S] of square uint8 images [B, 3, X, X], standardised image by image; `side` replaces S."""
        pixels = images_B3XX.to(self.mean.device, torch.float32)
        mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
        # The lower bound is that of upstream's processor, which sees the image before it is resized.
        std = pixels.std(dim=(1, 2, 3), keepdim=True, unbiased=False).clamp(min=pixels[0].numel() ** -0.5)
        return resize((pixels - mean) / std, side or self.image_size)

    def use_released_pixels(self) -> None:
        """Change nothing: Eagle's released code passes the original pixels to upstream's processor."""

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.encoder.layer)
