"""CLIP: the text-aligned ViT that is Eagle's base expert."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import PositiveFloat, PositiveInt
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from eaglebench.experts.base import tokens_to_map
from eaglebench.experts.pixel_statistics import CLIP_MEAN, CLIP_STD
from eaglebench.experts.vit import BlockHooks, VisionTransformer, apply_block_hook
from eaglebench.weights.key_mapping import OPEN_CLIP_TEXT, KeyMapping
from eaglebench.weights.settings import read_open_clip_settings

POSITIONS = "network.embeddings.position_embedding.weight"
TRANSFORMERS = KeyMapping(
    "transformers CLIP",
    marker=r"(vision_model\.)?embeddings\.patch_embedding\.weight",
    rules=[(r"(?:vision_model\.)?((?:embeddings|pre_layrnorm|encoder)\..*)", r"network.\1")],
    unused=[
        r"(vision_model\.)?post_layernorm\..*",
        r"(vision_model\.)?embeddings\.position_ids",
        r"text_model\..*",
        r"(visual|text)_projection\.weight",
        "logit_scale",
    ],
)
BLOCK = r"visual\.transformer\.resblocks\.(\d+)\."
LAYER = r"network.encoder.layers.\1."
OPEN_CLIP = KeyMapping(
    "open_clip CLIP",
    marker=r"visual\.transformer\.resblocks\.0\.attn\.in_proj_weight",
    rules=[
        (r"visual\.class_embedding", "network.embeddings.class_embedding"),
        (r"visual\.positional_embedding", POSITIONS),
        (r"visual\.conv1\.weight", "network.embeddings.patch_embedding.weight"),
        (r"visual\.ln_pre\.(.*)", r"network.pre_layrnorm.\1"),
        (BLOCK + r"ln_([12])\.(.*)", LAYER + r"layer_norm\2.\3"),
        (BLOCK + r"attn\.in_proj_(.*)", *(LAYER + rf"self_attn.{letter}_proj.\2" for letter in "qkv")),
        (BLOCK + r"attn\.out_proj\.(.*)", LAYER + r"self_attn.out_proj.\2"),
        (BLOCK + r"mlp\.c_fc\.(.*)", LAYER + r"mlp.fc1.\2"),
        (BLOCK + r"mlp\.c_proj\.(.*)", LAYER + r"mlp.fc2.\2"),
    ],
    unused=[
        r"visual\.ln_post\..*",
        r"visual\.proj",
        *OPEN_CLIP_TEXT,
        "input_resolution|context_length|vocab_size",
    ],
)


class Clip(VisionTransformer):
    """Patch tokens after the last block of transformers' `CLIPVisionModel`, as a map.

    The final layer norm is left out, as in Eagle and LLaVA-HR.

    Args:
        image_size: side of the input, in pixels.
        patch_size: side of a patch, in pixels.
        width: channels of a token.
        depth: number of blocks.
        heads: of the attention.
        mlp_ratio: hidden width of the MLPs over `width`.
        hidden_act: activation of the MLPs; OpenAI's weights need `quick_gelu`, LAION's `gelu`.
        unshuffle: see `VisionExpert`.
        class_token: whether the class token passes through the blocks; Eagle's released code drops it before them.

    Raises:
        UserError: the patches do not fit the side.
    """

    key_mappings = (TRANSFORMERS, OPEN_CLIP)
    model_types = ("clip_vision_model", "clip")

    def __init__(
        self,
        image_size: PositiveInt = 448,
        patch_size: PositiveInt = 14,
        width: PositiveInt = 1024,
        depth: PositiveInt = 24,
        heads: PositiveInt = 16,
        mlp_ratio: PositiveFloat = 4.0,
        hidden_act: Literal["gelu", "quick_gelu"] = "quick_gelu",
        unshuffle: PositiveInt = 1,
        class_token: bool = True,
    ) -> None:
        super().__init__(
            image_size=image_size, stride=patch_size, channels=width, mean=CLIP_MEAN, std=CLIP_STD, unshuffle=unshuffle
        )
        self.network = CLIPVisionModel(
            CLIPVisionConfig(
                image_size=image_size,
                patch_size=patch_size,
                hidden_size=width,
                intermediate_size=int(width * mlp_ratio),
                num_hidden_layers=depth,
                num_attention_heads=heads,
                hidden_act=hidden_act,
                attn_implementation="sdpa",
            )
        )
        # Only the unused pooled output passes this norm, and sharded strategies need a gradient for every parameter.
        self.network.post_layernorm = nn.Identity()
        self.class_token = class_token
        self.block_map = (width, self.patch_grid)

    def encode_with_hooks(self, pixels_B3SS: Tensor, block_hooks: BlockHooks) -> Tensor:
        prefix = int(self.class_token)
        x_BNC = self.network.pre_layrnorm(self.network.embeddings(pixels_B3SS)[:, 1 - prefix :])
        for number, block in enumerate(self.network.encoder.layers, 1):
            x_BNC = apply_block_hook(number, block_hooks, block(x_BNC, None), prefix)
        return tokens_to_map(x_BNC[:, prefix:])

    def resample_positions(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights with position embeddings of the patches resampled as Eagle does: bicubic with antialias."""
        positions_PC = weights.get(POSITIONS)  # P = patches and the class token
        if positions_PC is not None and len(positions_PC) != self.patch_grid**2 + 1:
            resampled_1PC = resample_abs_pos_embed(positions_PC[None], [self.patch_grid] * 2, num_prefix_tokens=1)
            weights = {**weights, POSITIONS: resampled_1PC[0]}
        return weights

    def read_settings(self, where: Path | str) -> dict[str, Any]:
        return super().read_settings(where) or read_open_clip_settings(where)

    @property
    def patch_grid(self) -> int:
        """Side of the grid of patches, before unshuffling."""
        return self.image_size // self.stride

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.encoder.layers)
