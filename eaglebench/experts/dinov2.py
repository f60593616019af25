"""DINOv2 with registers: the self-supervised expert of Eagle's selection pool."""

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

from eaglebench.experts.base import VisionExpert, tokens_to_map
from eaglebench.experts.statistics import IMAGENET_MEAN, IMAGENET_STD


class Dinov2(VisionExpert):
    """Patch tokens after the final layer norm of transformers' `Dinov2WithRegistersModel`, as a map.

    `pretrained_size` is the side whose grid of positions the weights have; upstream's own code resamples it to other sides.
    """

    def __init__(
        self,
        image_size: int = 448,
        patch_size: int = 14,
        width: int = 1024,
        depth: int = 24,
        heads: int = 16,
        pretrained_size: int = 518,
        registers: int = 4,
        layer_scale: float = 1.0,
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
        self.network = Dinov2WithRegistersModel(
            Dinov2WithRegistersConfig(
                image_size=pretrained_size,
                patch_size=patch_size,
                hidden_size=width,
                num_hidden_layers=depth,
                num_attention_heads=heads,
                num_register_tokens=registers,
                layerscale_value=layer_scale,
                attn_implementation="sdpa",
            )
        )
        # Used in DINOv2's own training alone: a parameter without a gradient only confuses sharded training.
        del self.network.embeddings.mask_token
        self.network.embeddings.mask_token = None
        self.registers = registers

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        tokens_BNC = self.network(pixels_B3SS).last_hidden_state
        return tokens_to_map(tokens_BNC[:, 1 + self.registers :])  # the class token and the registers go

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.encoder.layer)
