"""What every vision expert promises: pixels in, one feature map out.

Shape letters: B batch, C expert channels, H W expert grid, S side of the expert's input in pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.experts.pixel_statistics import CLIP_MEAN, CLIP_STD
from eaglebench.utils.errors import UserError, nearest_that_fit
from eaglebench.weights.files import copy_weights
from eaglebench.weights.key_mapping import Layout, check_config, own_weights
from eaglebench.weights.sources import read_checkpoint


class VisionExpert(nn.Module, ABC):
    """A vision encoder with its own input size and pixel statistics.

    Subclasses build the upstream network in `__init__` and turn pixels into its native map in `encode`.

    Args:
        image_size: side S of the square input, in pixels.
        stride: pixels of the input per cell of the native map; S must be a multiple of it.
        channels: channels of the native map.
        mean, std: statistics of the weights, for pixels in [0, 1], one number per RGB channel.
        unshuffle: space-to-depth factor applied to the native map (2: a quarter of the cells, four times the channels),
            in the channel order of `torch.nn.functional.pixel_unshuffle`. Eagle does this to SAM.

    Attributes:
        layouts: of the upstream weights that it reads.
        channels: channels C of the map that `forward` returns.
        grid: side H = W of that map.
        statistics: `mean` and `std`.
    """

    layouts: ClassVar[Sequence[Layout]] = ()

    def __init__(
        self,
        *,
        image_size: int,
        stride: int,
        channels: int,
        mean: Sequence[float],
        std: Sequence[float],
        unshuffle: int = 1,
    ) -> None:
        super().__init__()
        step = stride * unshuffle
        if nearest := nearest_that_fit(image_size, step):
            unshuffled = f" and its unshuffling by {unshuffle}" if unshuffle > 1 else ""
            raise UserError(
                f"{type(self).__name__.lower()}: image_size={image_size} does not fit its {stride} px stride{unshuffled}; {nearest}"
            )
        self.image_size = image_size
        self.stride = stride
        self.unshuffle = unshuffle
        self.channels = channels * unshuffle**2
        self.grid = image_size // step
        self.align_corners = False
        self.statistics = (tuple(mean), tuple(std))
        self.register_buffer("mean", per_channel(mean), persistent=False)
        self.register_buffer("std", per_channel(std), persistent=False)

    mean: Tensor
    std: Tensor

    @abstractmethod
    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        """The native map [B, C, H, W] of normalised pixels [B, 3, S, S]."""

    def networks(self) -> Sequence[nn.Module]:
        """What holds the weights; the pixel statistics are not in it."""
        return list(self.children())

    @abstractmethod
    def blocks(self) -> Sequence[nn.Module]:
        """The repeated blocks, in order: the units of activation checkpointing and of sharding."""

    def forward(self, pixels_B3SS: Tensor) -> Tensor:
        """The feature map [B, channels, grid, grid] of normalised pixels [B, 3, S, S], in the pixels' precision whatever the
        weights' is."""
        return self.finished(self.encode(self.started(pixels_B3SS)), pixels_B3SS.dtype)

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Channels C and side H = W of each map of `pyramid`."""
        return [(self.channels // self.unshuffle**2, self.grid * self.unshuffle)]

    def pyramid(self, pixels_B3SS: Tensor) -> list[Tensor]:
        """The native maps [B, C, H, W] of the expert's stages, from the finest to the last, which `forward` gives unshuffled."""
        return [features.to(pixels_B3SS.dtype) for features in self.encode_levels(self.started(pixels_B3SS))]

    def encode_levels(self, pixels_B3SS: Tensor) -> list[Tensor]:
        """The native maps of `levels`, of normalised pixels [B, 3, S, S]; the last is what `encode` gives."""
        return [self.encode(pixels_B3SS)]

    def started(self, pixels_B3SS: Tensor) -> Tensor:
        """Pixels in the weights' precision."""
        return pixels_B3SS.to(next(self.parameters()).dtype)

    def finished(self, features_BCHW: Tensor, dtype: torch.dtype) -> Tensor:
        """What becomes of the native map."""
        features_BCHW = features_BCHW.to(dtype)
        return F.pixel_unshuffle(features_BCHW, self.unshuffle) if self.unshuffle > 1 else features_BCHW

    def load_checkpoint(self, where: Path | str, wanted_by: str) -> None:
        """Take over the weights of a file, a folder or a hub name; `wanted_by` names the expert in errors."""
        source = f"the checkpoint {where} of {wanted_by}"
        self.load_upstream(read_checkpoint(where, wanted_by), source)
        for network in self.networks():
            check_config(network, where, source)

    def load_upstream(self, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
        """Take over weights in any of `layouts`, or this project's own; tables of positions are resampled to the expert's grid.

        Raises:
            UserError: an unknown layout; missing, unexpected or wrongly shaped keys. `source` names the weights.
        """
        own = own_weights(self.layouts, weights, self.state_dict(), source)
        copy_weights(self, self.fitted(own), source)

    def fitted(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights that fit this expert: tables of positions, if it has any, resampled to its grid."""
        return weights

    def preprocess(self, images_B3XX: Tensor, side: int | None = None) -> Tensor:
        """Normalised float pixels [B, 3, S, S] of uint8 square images [B, 3, X, X] of any side X; `side` instead of S."""
        return (self.resize(images_B3XX, side) - self.mean) / self.std

    def resize(self, images_B3XX: Tensor, side: int | None = None) -> Tensor:
        """Pixels in [0, 1] at the expert's own side or another one, resized in float32 with antialias."""
        return resized(
            images_B3XX.to(self.mean.device, torch.float32) / 255, side or self.image_size, self.align_corners
        )

    def use_released_pixels(self) -> None:
        """Take pixels as Eagle's released code does: with CLIP's statistics whatever the weights', resized with aligned corners and
        without antialias."""
        self.align_corners = True
        self.mean.copy_(per_channel(CLIP_MEAN))
        self.std.copy_(per_channel(CLIP_STD))


def per_channel(values: Sequence[float]) -> Tensor:
    """One number per channel, to be broadcast over images [B, 3, S, S]."""
    return torch.tensor(list(values), dtype=torch.float32).view(1, 3, 1, 1)


def resized(pixels_B3XX: Tensor, side: int, align_corners: bool = False) -> Tensor:
    """Pixels at another side, bilinear; with antialias unless the corners are aligned."""
    if pixels_B3XX.shape[-1] == side:
        return pixels_B3XX
    smooth = not align_corners
    return F.interpolate(pixels_B3XX, (side, side), mode="bilinear", antialias=smooth, align_corners=align_corners)


def tokens_to_map(tokens_BNC: Tensor) -> Tensor:
    """The map [B, C, H, W] of row-major tokens [B, H*W, C]; the token count must be a square number."""
    side = round(tokens_BNC.shape[1] ** 0.5)
    if side * side != tokens_BNC.shape[1]:
        raise ValueError(f"{tokens_BNC.shape[1]} tokens do not form a square grid: is a class token left in?")
    return tokens_BNC.transpose(1, 2).reshape(tokens_BNC.shape[0], -1, side, side)
