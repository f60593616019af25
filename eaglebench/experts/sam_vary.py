"""SAM-Vary: the vision vocabulary of Vary and GOT, a SAM encoder that learned to read documents."""

from collections.abc import Sequence

from torch import Tensor, nn

from eaglebench.experts.pixel_statistics import CLIP_MEAN, CLIP_STD
from eaglebench.experts.sam import (
    OTHERS,
    SEGMENT_ANYTHING,
    encoded,
    resampled_positions,
    sam_encoder,
    segment_anything,
    transformers,
)
from eaglebench.experts.vit import After, VisionTransformer
from eaglebench.weights.key_mapping import Layout, Rule

REDUCTION = 4  # two convolutions of stride 2 after the neck


def convolutions(first: str, second: str) -> list[Rule]:
    """The rules of the two convolutions behind the neck, whose keys have these patterns."""
    return [(first, "reduce.0.weight"), (second, "reduce.1.weight")]


# The tower is among other models' weights, which have no place here. Vary-tiny has this tower alone, Vary-base and GOT call it high;
# LAVIS, in which Vary-tiny was trained, has a name of its own.
TOWER = r"(?:model\.|transformer\.)?(?:vision_tower(?:_high)?|visual_encoder)\."
SEGMENT_ANYTHING_KEY = r"(?:pos_embed|patch_embed|blocks|neck|net_)"
GOT_TOWER, GOT_PROJECTOR = r"(?:model\.)?vision_tower\.", r"(?:model\.)?multi_modal_projector\."
VARY = Layout(
    "Vary or GOT",
    mark=TOWER + r"net_2\.weight",
    rules=[
        *segment_anything(TOWER),
        *convolutions(TOWER + r"net_2\.weight", TOWER + r"net_3\.weight"),
    ],
    unused=[rf"(?!{TOWER}{SEGMENT_ANYTHING_KEY}).*"],
)
TRANSFORMERS_GOT = Layout(
    "transformers GOT-OCR2",
    mark=GOT_PROJECTOR + r"conv_upsampler1\.weight",
    rules=[
        *transformers(GOT_TOWER),
        *convolutions(GOT_PROJECTOR + r"conv_upsampler1\.weight", GOT_PROJECTOR + r"conv_upsampler2\.weight"),
    ],
    unused=[rf"(?!{GOT_TOWER}|{GOT_PROJECTOR}conv_upsampler).*"],
)
TRANSFORMERS_DEEPSEEK = Layout(
    "transformers DeepSeek-OCR-2 SAM encoder",
    mark=r"proj\.conv1\.weight",
    rules=[
        *transformers(""),
        *convolutions(r"proj\.conv1\.weight", r"proj\.conv2\.weight"),
    ],
)
# How Vary itself begins: SAM-B's weights, and fresh convolutions behind them.
FROM_SAM = Layout("segment_anything SAM", SEGMENT_ANYTHING.mark, SEGMENT_ANYTHING.rules, OTHERS, absent=[r"reduce\..*"])


class SamVary(VisionTransformer):
    """SAM-B with its neck and two bias-free 3x3 convolutions of stride 2: a map at 1/64 of the side for patch 16.

    Statistics are CLIP's, as in Vary-tiny and GOT.
    """

    layouts = (VARY, TRANSFORMERS_GOT, TRANSFORMERS_DEEPSEEK, FROM_SAM)

    def __init__(
        self,
        image_size: int = 1024,
        patch_size: int = 16,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        window: int = 14,
        global_blocks: Sequence[int] = (2, 5, 8, 11),
        neck_channels: int = 256,
        channels: int = 1024,
        unshuffle: int = 1,
    ) -> None:
        super().__init__(
            image_size=image_size,
            stride=patch_size * REDUCTION,
            channels=channels,
            mean=CLIP_MEAN,
            std=CLIP_STD,
            unshuffle=unshuffle,
        )
        self.network = sam_encoder(image_size, patch_size, width, depth, heads, window, global_blocks, neck_channels)
        self.neck_channels = neck_channels
        self.block_map = (width, image_size // patch_size)
        self.reduce = nn.Sequential(
            nn.Conv2d(neck_channels, channels // 2, 3, stride=2, padding=1, bias=False),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1, bias=False),
        )

    def encode_with(self, pixels_B3SS: Tensor, after: After) -> Tensor:
        return self.reduce(encoded(self.network, pixels_B3SS, after))

    @property
    def levels(self) -> list[tuple[int, int]]:
        channels, side = self.channels // self.unshuffle**2, self.block_map[1]
        return [(self.neck_channels, side), (channels // 2, side // 2), (channels, side // REDUCTION)]

    def encode_levels(self, pixels_B3SS: Tensor) -> list[Tensor]:
        """The neck's map, and that of each convolution."""
        maps = [encoded(self.network, pixels_B3SS, {})]
        for convolution in self.reduce:
            maps.append(convolution(maps[-1]))
        return maps

    def fitted(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return resampled_positions(weights, self.network)

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.blocks)
