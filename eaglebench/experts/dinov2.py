"""DINOv2 with registers: the self-supervised expert of Eagle's selection pool."""

from collections.abc import Sequence

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

from eaglebench.experts.base import tokens_to_map
from eaglebench.experts.pixel_statistics import IMAGENET_MEAN, IMAGENET_STD
from eaglebench.experts.vit import BlockHooks, VisionTransformer, apply_block_hook
from eaglebench.weights.key_mapping import KeyMapping

LAYER = r"encoder\.layer\.(\d+)\."
OWN_LAYER = r"network.encoder.layer.\1."
# In files, transformers uses older names for the attention's weights than in memory.
TRANSFORMERS = KeyMapping(
    "transformers DINOv2 with registers",
    marker=r"embeddings\.register_tokens",
    rules=[
        (LAYER + r"attention\.attention\.query\.(.*)", OWN_LAYER + r"attention.q_proj.\2"),
        (LAYER + r"attention\.attention\.key\.(.*)", OWN_LAYER + r"attention.k_proj.\2"),
        (LAYER + r"attention\.attention\.value\.(.*)", OWN_LAYER + r"attention.v_proj.\2"),
        (LAYER + r"attention\.output\.dense\.(.*)", OWN_LAYER + r"attention.o_proj.\2"),
        (r"((?:embeddings|encoder|layernorm)\..*)", r"network.\1"),
    ],
    unused=[r"embeddings\.mask_token", r"classifier\..*"],
)
BLOCK = r"blocks\.(\d+)\."
FACEBOOK = KeyMapping(
    "facebookresearch DINOv2 with registers",
    marker="register_tokens",
    rules=[
        ("cls_token", "network.embeddings.cls_token"),
        ("register_tokens", "network.embeddings.register_tokens"),
        ("pos_embed", "network.embeddings.position_embeddings"),
        (r"patch_embed\.proj\.(.*)", r"network.embeddings.patch_embeddings.projection.\1"),
        (BLOCK + r"attn\.qkv\.(.*)", *(OWN_LAYER + rf"attention.{letter}_proj.\2" for letter in "qkv")),
        (BLOCK + r"attn\.proj\.(.*)", OWN_LAYER + r"attention.o_proj.\2"),
        (BLOCK + r"ls([12])\.gamma", OWN_LAYER + r"layer_scale\2.lambda1"),
        (BLOCK + r"((?:norm|mlp).*)", OWN_LAYER + r"\2"),
        (r"norm\.(.*)", r"network.layernorm.\1"),
    ],
    unused=["mask_token", r"(linear_)?head\..*"],
)


class Dinov2(VisionTransformer):
    """Patch tokens after the final layer norm of transformers' `Dinov2WithRegistersModel`, as a map.

    Args:
        image_size: side of the input, in pixels.
        patch_size: side of a patch, in pixels.
        width: channels of a token.
        depth: number of blocks.
        heads: of the attention.
        pretrained_size: side, in pixels, whose grid the position embeddings have; upstream's code resamples them.
        registers: number of register tokens.
        layer_scale: initial value of the layer scale of each block.
        unshuffle: see `VisionExpert`.

    Raises:
        UserError: the patches do not fit the side.
    """

    key_mappings = (TRANSFORMERS, FACEBOOK)
    model_types = ("dinov2_with_registers",)

    def __init__(
        self,
        image_size: PositiveInt = 448,
        patch_size: PositiveInt = 14,
        width: PositiveInt = 1024,
        depth: PositiveInt = 24,
        heads: PositiveInt = 16,
        pretrained_size: PositiveInt = 518,
        registers: NonNegativeInt = 4,
        layer_scale: PositiveFloat = 1.0,
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
        # Only DINOv2's own training uses this token, and sharded strategies need a gradient for every parameter.
        del self.network.embeddings.mask_token
        self.network.embeddings.mask_token = None
        self.prefix = 1 + registers  # the class token and the registers
        self.block_map = (width, image_size // patch_size)

    def encode_with_hooks(self, pixels_B3SS: Tensor, block_hooks: BlockHooks) -> Tensor:
        x_BNC = self.network.embeddings(pixels_B3SS)
        for number, block in enumerate(self.network.encoder.layer, 1):
            x_BNC = apply_block_hook(number, block_hooks, block(x_BNC), self.prefix)
        return tokens_to_map(self.network.layernorm(x_BNC[:, self.prefix :]))

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.encoder.layer)
