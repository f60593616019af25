"""High resolution by tiles: a larger image is cut into tiles of the expert's native side."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.experts.base import VisionExpert, resize


class Tiled(VisionExpert):
    """The maps of k x k tiles, stitched into one map; the "tiled input" of Eagle's Table 2.

    All tiles are encoded as one batch, together with the whole image if there is a global view.

    Args:
        expert: encodes one tile; its input side is the native one.
        tiles: number k of tiles along a side.
        global_view: also encode the whole image at the native side. Its map is resized to the stitched one and appended
            on the channels, which doubles them (as in S2, arXiv 2403.13043).
    """

    def __init__(self, expert: VisionExpert, tiles: int, global_view: bool = False) -> None:
        super().__init__(
            image_size=expert.image_size * tiles,
            stride=expert.image_size // expert.grid,
            channels=expert.channels * (1 + global_view),
            mean=expert.statistics[0],
            std=expert.statistics[1],
        )
        self.expert = expert
        self.tiles = tiles
        self.global_view = global_view

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        batch, k, side = len(pixels_B3SS), self.tiles, self.expert.image_size
        tiles = pixels_B3SS.view(batch, 3, k, side, k, side).permute(0, 2, 4, 1, 3, 5).reshape(-1, 3, side, side)
        if not self.global_view:
            return self.stitch(self.expert(tiles))
        whole = resize(pixels_B3SS.float(), side).to(tiles.dtype)
        maps = self.expert(torch.cat([tiles, whole]))
        overview = F.interpolate(maps[-batch:].float(), (self.grid, self.grid), mode="bilinear", align_corners=False)
        return torch.cat([self.stitch(maps[:-batch]), overview.to(maps.dtype)], dim=1)

    def stitch(self, maps: Tensor) -> Tensor:
        """The whole map [B, C, k * g, k * g] of the tiles' maps [B * k * k, C, g, g]."""
        k, channels, grid = self.tiles, maps.shape[1], maps.shape[-1]
        return (
            maps.view(-1, k, k, channels, grid, grid)
            .permute(0, 3, 1, 4, 2, 5)
            .reshape(-1, channels, k * grid, k * grid)
        )

    def preprocess(self, images_B3XX: Tensor, side: int | None = None) -> Tensor:
        return self.expert.preprocess(images_B3XX, side or self.image_size)

    def use_released_pixels(self) -> None:
        self.expert.use_released_pixels()

    def networks(self) -> Sequence[nn.Module]:
        return self.expert.networks()

    def blocks(self) -> Sequence[nn.Module]:
        return self.expert.blocks()

    def load_checkpoint(self, where: Path | str, wanted_by: str) -> None:
        self.expert.load_checkpoint(where, wanted_by)

    def load_upstream(self, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
        self.expert.load_upstream(weights, source)
