"""CLIP: the text-aligned ViT that Eagle takes as its base expert."""

from collections.abc import Sequence

from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from eaglebench.experts.base import tokens_to_map
from eaglebench.experts.pixel_statistics import CLIP_MEAN, CLIP_STD
from eaglebench.experts.vit import After, VisionTransformer, after_block
from eaglebench.weights.key_mapping import OPEN_CLIP_TEXT, Layout

POSITIONS = "network.embeddings.position_embedding.weight"
TRANSFORMERS = Layout(
    "transformers CLIP",
    mark=r"(vision_model\.)?embeddings\.patch_embedding\.weight",
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
OPEN_CLIP = Layout(
    "open_clip CLIP",
    mark=r"visual\.transformer\.resblocks\.0\.attn\.in_proj_weight",
    rules=[
        (r"visual\.class_embedding", "network.embeddings.class_embedding"),
        (r"visual\.positional_embedding", POSITIONS),
        (r"visual\.conv1\.weight", "network.embeddings.patch_embedding.weight"),
        (r"visual\.ln_pre\.(.*)", r"network.pre_layrnorm.\1"),
        (BLOCK + r"ln_([12])\.(.*)", LAYER + r"layer_norm\2.\3"),
        (BLOCK + r"attn\.in_proj_(.*)", *(LAYER + rf"self_attn.{one}_proj.\2" for one in "qkv")),
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

    The final layer norm is left out, as in Eagle and LLaVA-HR. OpenAI's weights need QuickGELU, the default here. Without
    `class_token` it is dropped before the first block, as in Eagle's released code, and not after the last one.
    """

    layouts = (TRANSFORMERS, OPEN_CLIP)

    def __init__(
        self,
        image_size: int = 448,
        patch_size: int = 14,
        width: int = 1024,
        depth: int = 24,
        heads: int = 16,
        mlp_ratio: float = 4.0,
        hidden_act: str = "quick_gelu",
        unshuffle: int = 1,
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
        # The pooled output is never used: a parameter without a gradient only confuses sharded training.
        self.network.post_layernorm = nn.Identity()
        self.class_token = class_token
        self.block_map = (width, self.grid_of_positions)

    def encode_with(self, pixels_B3SS: Tensor, after: After) -> Tensor:
        prefix = int(self.class_token)
        x_BNC = self.network.pre_layrnorm(self.network.embeddings(pixels_B3SS)[:, 1 - prefix :])
        for number, block in enumerate(self.network.encoder.layers, 1):
            x_BNC = after_block(number, after, block(x_BNC, None), prefix)
        return tokens_to_map(x_BNC[:, prefix:])

    def fitted(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Bicubic with antialias, as Eagle; the class token's position stays as it is."""
        table = weights.get(POSITIONS)
        if table is not None and len(table) != self.grid_of_positions**2 + 1:
            resized = resample_abs_pos_embed(table[None], [self.grid_of_positions] * 2, num_prefix_tokens=1)
            weights = {**weights, POSITIONS: resized[0]}
        return weights

    @property
    def grid_of_positions(self) -> int:
        """Side of the grid of patches."""
        return self.image_size // self.stride

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.encoder.layers)
