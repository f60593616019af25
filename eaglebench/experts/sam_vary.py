"""SAM-Vary: the vision vocabulary of Vary and GOT, a SAM encoder trained to read documents (arXiv 2312.06109)."""

from collections.abc import Sequence
from typing import Any

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from eaglebench.experts.pixel_statistics import CLIP_MEAN, CLIP_STD
from eaglebench.experts.sam import (
    OTHER_PARTS,
    SEGMENT_ANYTHING,
    build_encoder,
    describe_encoder,
    resample_encoder_positions,
    run_encoder,
    segment_anything_rules,
    transformers_rules,
)
from eaglebench.experts.vit import BlockHooks, VisionTransformer
from eaglebench.weights.key_mapping import KeyMapping, Rule

REDUCTION = 4  # two convolutions of stride 2 after the neck


def convolution_rules(first: str, second: str) -> list[Rule]:
    """The rules for the two convolutions after the neck, whose keys match these patterns."""
    return [(first, "reduce.0.weight"), (second, "reduce.1.weight")]


# The releases hold other models besides the tower, which are unused here. Vary-tiny has no other tower; Vary-base and
# GOT call this one `high`. LAVIS, in which Vary-tiny was trained, calls it `visual_encoder`.
TOWER = r"(?:model\.|transformer\.)?(?:vision_tower(?:_high)?|visual_encoder)\."
SEGMENT_ANYTHING_KEY = r"(?:pos_embed|patch_embed|blocks|neck|net_)"
GOT_TOWER, GOT_PROJECTOR = r"(?:model\.)?vision_tower\.", r"(?:model\.)?multi_modal_projector\."
VARY = KeyMapping(
    "Vary or GOT",
    marker=TOWER + r"net_2\.weight",
    rules=[
        *segment_anything_rules(TOWER),
        *convolution_rules(TOWER + r"net_2\.weight", TOWER + r"net_3\.weight"),
    ],
    unused=[rf"(?!{TOWER}{SEGMENT_ANYTHING_KEY}).*"],
)
TRANSFORMERS_GOT = KeyMapping(
    "transformers GOT-OCR2",
    marker=GOT_PROJECTOR + r"conv_upsampler1\.weight",
    rules=[
        *transformers_rules(GOT_TOWER),
        *convolution_rules(GOT_PROJECTOR + r"conv_upsampler1\.weight", GOT_PROJECTOR + r"conv_upsampler2\.weight"),
    ],
    unused=[rf"(?!{GOT_TOWER}|{GOT_PROJECTOR}conv_upsampler).*"],
)
TRANSFORMERS_DEEPSEEK = KeyMapping(
    "transformers DeepSeek-OCR-2 SAM encoder",
    marker=r"proj\.conv1\.weight",
    rules=[
        *transformers_rules(""),
        *convolution_rules(r"proj\.conv1\.weight", r"proj\.conv2\.weight"),
    ],
)
# Vary's own training starts from SAM-B's weights, with random convolutions after them.
FROM_SAM = KeyMapping(
    "segment_anything SAM",
    SEGMENT_ANYTHING.marker,
    SEGMENT_ANYTHING.rules,
    OTHER_PARTS,
    optional=[r"reduce\..*"],
)


class SamVary(VisionTransformer):
    """SAM-B with its neck and two bias-free 3x3 convolutions of stride 2: one cell per 64 px at patches of 16 px.

    Pixels are normalised with CLIP's statistics, as in Vary-tiny and GOT.

    Args:
        image_size: side of the input, in pixels.
        patch_size: side of a patch, in pixels.
        width: channels of a token.
        depth: number of blocks.
        heads: of the attention.
        window: side of an attention window, in cells.
        global_blocks: indices, from 0, of the blocks that attend to the whole map.
        neck_channels: channels of the neck's map.
        channels: channels of the last convolution's map; the first one's has half as many.
        unshuffle: see `VisionExpert`.
        mlp_ratio: hidden width of the MLPs over `width`.

    Raises:
        UserError: `image_size` is no multiple of the stride.
    """

    key_mappings = (VARY, TRANSFORMERS_GOT, TRANSFORMERS_DEEPSEEK, FROM_SAM)
    model_types = ("got_ocr2_vision", "got_ocr2", "deepseek_ocr2_sam_vision_model", "sam_vision_model", "sam")

    def __init__(
        self,
        image_size: PositiveInt = 1024,
        patch_size: PositiveInt = 16,
        width: PositiveInt = 768,
        depth: PositiveInt = 12,
        heads: PositiveInt = 12,
        window: PositiveInt = 14,
        global_blocks: Sequence[NonNegativeInt] = (2, 5, 8, 11),
        neck_channels: PositiveInt = 256,
        channels: PositiveInt = 1024,
        unshuffle: PositiveInt = 1,
        mlp_ratio: PositiveFloat = 4.0,
    ) -> None:
        super().__init__(
            image_size=image_size,
            stride=patch_size * REDUCTION,
            channels=channels,
            mean=CLIP_MEAN,
            std=CLIP_STD,
            unshuffle=unshuffle,
        )
        self.network = build_encoder(
            image_size, patch_size, width, depth, heads, window, global_blocks, neck_channels, mlp_ratio
        )
        self.neck_channels = neck_channels
        self.block_map = (width, image_size // patch_size)
        self.reduce = nn.Sequential(
            nn.Conv2d(neck_channels, channels // 2, 3, stride=2, padding=1, bias=False),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1, bias=False),
        )

    def encode_with_hooks(self, pixels_B3SS: Tensor, block_hooks: BlockHooks) -> Tensor:
        features_BCHW: Tensor = self.reduce(run_encoder(self.network, pixels_B3SS, block_hooks))
        return features_BCHW

    @property
    def levels(self) -> list[tuple[int, int]]:
        channels, side = self.channels // self.unshuffle**2, self.block_map[1]
        return [(self.neck_channels, side), (channels // 2, side // 2), (channels, side // REDUCTION)]

    def encode_levels(self, pixels_B3SS: Tensor) -> list[Tensor]:
        """The maps of the neck and of each convolution, for normalised pixels [B, 3, S, S]."""
        maps = [run_encoder(self.network, pixels_B3SS, {})]
        for convolution in self.reduce:
            maps.append(convolution(maps[-1]))
        return maps

    def resample_positions(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return resample_encoder_positions(weights, self.network)

    @property
    def settings(self) -> dict[str, Any]:
        return describe_encoder(self.network)

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.blocks)
