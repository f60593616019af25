"""Pix2Struct: the expert that reads text and structure."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Pix2StructVisionConfig, Pix2StructVisionModel

from eaglebench.experts.base import resized, tokens_to_map
from eaglebench.experts.vit import After, VisionTransformer, after_block
from eaglebench.weights.key_mapping import Layout

TRANSFORMERS = Layout(
    "transformers Pix2Struct",
    mark=r"(encoder\.)?embeddings\.patch_projection\.weight",
    rules=[
        (r"(?:encoder\.)?((?:embeddings|layernorm)\..*)", r"network.\1"),
        (r"(?:encoder\.)?(encoder\.layer\..*)", r"network.\1"),
    ],
    unused=[r"decoder\..*"],
)


class Pix2Struct(VisionTransformer):
    """The encoder of transformers' Pix2Struct on a square image.

    Its processor's work is done here in torch, on the device and without a trip through the CPU: each image is standardised
    by its own mean and deviation, resized to `image_size`, and cut into patches that carry their one-based row and column.
    The processor's 2048 patches are a grid of 45 x 45 on a square image: 720 px, whatever the image's own size.
    """

    layouts = (TRANSFORMERS,)

    def __init__(
        self,
        image_size: int = 720,
        patch_size: int = 16,
        width: int = 1536,
        depth: int = 18,
        heads: int = 24,
        mlp_width: int = 3968,
        positions: int = 4096,
        unshuffle: int = 1,
    ) -> None:
        super().__init__(
            image_size=image_size,
            stride=patch_size,
            channels=width,
            mean=(0.0, 0.0, 0.0),  # standardised by the image's own statistics instead
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

    def encode_with(self, pixels_B3SS: Tensor, after: After) -> Tensor:
        patches_BNP = F.pixel_unshuffle(pixels_B3SS, self.patch_size)  # channel-major: c, dy, dx
        patches_BNP = patches_BNP.unflatten(1, (3, self.patch_size**2)).permute(0, 3, 4, 2, 1).flatten(1, 2).flatten(2)
        row_col_BN2 = self.row_col_N2.to(patches_BNP).expand(len(patches_BNP), -1, -1)
        flattened_BNQ = torch.cat([row_col_BN2, patches_BNP], dim=2)  # within a patch: dy, dx, c
        x_BNC = self.network.embeddings(flattened_BNQ)
        for number, block in enumerate(self.network.encoder.layer, 1):
            # Upstream's own forward has a mask of padding; a square image has none.
            x_BNC = after_block(number, after, block(x_BNC)[0])
        return tokens_to_map(self.network.layernorm(x_BNC))

    def preprocess(self, images_B3XX: Tensor, side: int | None = None) -> Tensor:
        pixels = images_B3XX.to(self.mean.device, torch.float32)
        mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
        # The floor of the deviation is the processor's, which sees the image before it is resized.
        std = pixels.std(dim=(1, 2, 3), keepdim=True, unbiased=False).clamp(min=pixels[0].numel() ** -0.5)
        return resized((pixels - mean) / std, side or self.image_size)

    def use_released_pixels(self) -> None:
        """Nothing changes: Eagle's released code hands its processor the pixels as they were."""

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.encoder.layer)
