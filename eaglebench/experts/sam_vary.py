"""SAM-Vary: the vision vocabulary of Vary and GOT, a SAM encoder that learned to read documents."""

from collections.abc import Sequence

from torch import Tensor, nn

from eaglebench.experts.base import VisionExpert
from eaglebench.experts.sam import sam_encoder
from eaglebench.experts.statistics import CLIP_MEAN, CLIP_STD

REDUCTION = 4  # two convolutions of stride 2 after the neck


class SamVary(VisionExpert):
    """SAM-B with its neck and two bias-free 3x3 convolutions of stride 2: a map at 1/64 of the side for patch 16.

    Statistics are CLIP's, as in Vary-tiny and GOT.
    """

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
        self.reduce = nn.Sequential(
            nn.Conv2d(neck_channels, channels // 2, 3, stride=2, padding=1, bias=False),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1, bias=False),
        )

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        return self.reduce(self.network(pixels_B3SS))

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.blocks)
