"""CLIP: the text-aligned ViT that Eagle takes as its base expert."""

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from eaglebench.experts.base import VisionExpert, tokens_to_map
from eaglebench.experts.statistics import CLIP_MEAN, CLIP_STD


class Clip(VisionExpert):
    """Patch tokens after the last block of transformers' `CLIPVisionModel`, as a map.

    The final layer norm is left out, as in Eagle and LLaVA-HR. OpenAI's weights need QuickGELU, the default here.
    """

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

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        tokens_BNC = self.network(pixels_B3SS).last_hidden_state
        return tokens_to_map(tokens_BNC[:, 1:])  # the class token goes

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.encoder.layers)
