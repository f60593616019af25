"""What every vision expert promises: pixels in, one feature map out.

Shape letters: B batch, C expert channels, H W expert grid; sides in pixels: S of the expert's input, X of an image.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from eaglebench.experts.pixel_statistics import CLIP_MEAN, CLIP_STD
from eaglebench.utils.errors import UserError, suggest_multiples
from eaglebench.weights.key_mapping import KeyMapping, to_own_keys
from eaglebench.weights.misfits import copy_weights
from eaglebench.weights.settings import check_settings, collect_fields, read_transformers_settings
from eaglebench.weights.sources import read_checkpoint


class VisionExpert(nn.Module, ABC):
    """A vision encoder with its own input size and pixel statistics.

    Subclasses build the upstream network in `__init__` and turn pixels into its native map in `encode`.

    Args:
        image_size: side S of the square input, in pixels.
        stride: pixels of the input per cell of the native map.
        channels: channels of the native map.
        mean, std: pixel statistics that the weights were trained with, one number per RGB channel for [0, 1].
        unshuffle: space-to-depth factor applied to the native map (2: a quarter of the cells, four times the channels),
            in the channel order of `torch.nn.functional.pixel_unshuffle`. Eagle does this to SAM.

    Attributes:
        key_mappings: the libraries whose checkpoints the expert reads.
        model_types: transformers' names of the models whose configs describe such checkpoints.
        channels: channels C of the map that `forward` returns.
        grid: side H = W of that map.
        statistics: `mean` and `std`.

    Raises:
        UserError: `image_size` is no multiple of `stride * unshuffle`; the message names the nearest ones.
    """

    key_mappings: ClassVar[Sequence[KeyMapping]] = ()
    model_types: ClassVar[Sequence[str]] = ()

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
        if nearest := suggest_multiples(image_size, step):
            unshuffling = f" and its unshuffling by {unshuffle}" if unshuffle > 1 else ""
            raise UserError(
                f"{type(self).__name__.lower()}: image_size={image_size} does not fit its {stride} px "
                f"stride{unshuffling}; {nearest}"
            )
        self.image_size = image_size
        self.stride = stride
        self.unshuffle = unshuffle
        self.channels = channels * unshuffle**2
        self.grid = image_size // step
        self.align_corners = False
        self.statistics = (tuple(mean), tuple(std))
        self.register_buffer("mean", to_channels(mean), persistent=False)
        self.register_buffer("std", to_channels(std), persistent=False)

    mean: Tensor
    std: Tensor

    @abstractmethod
    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        """The native map [B, C, H, W] of normalised pixels [B, 3, S, S]."""

    def networks(self) -> Sequence[nn.Module]:
        """The modules that hold the weights; the pixel statistics are in none of them."""
        return list(self.children())

    @abstractmethod
    def blocks(self) -> Sequence[nn.Module]:
        """The repeated blocks, in order: the units of activation checkpointing and of sharding."""

    def forward(self, pixels_B3SS: Tensor) -> Tensor:
        """The feature map [B, channels, grid, grid] of normalised pixels [B, 3, S, S], in the pixels' precision."""
        return self.finish_map(self.encode(self.cast_input(pixels_B3SS)), pixels_B3SS.dtype)

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Channels C and side H = W of each map of `forward_levels`."""
        return [(self.channels // self.unshuffle**2, self.grid * self.unshuffle)]

    def forward_levels(self, pixels_B3SS: Tensor) -> list[Tensor]:
        """The native maps [B, C, H, W] of the expert's stages, the finest first, in the precision of the pixels.

        The last one is the map that `forward` unshuffles.
        """
        return [features.to(pixels_B3SS.dtype) for features in self.encode_levels(self.cast_input(pixels_B3SS))]

    def encode_levels(self, pixels_B3SS: Tensor) -> list[Tensor]:
        """The native maps of `levels` for normalised pixels [B, 3, S, S]; the last is the map of `encode`."""
        return [self.encode(pixels_B3SS)]

    def cast_input(self, pixels_B3SS: Tensor) -> Tensor:
        """Pixels in the precision of the weights."""
        return pixels_B3SS.to(next(self.parameters()).dtype)

    def finish_map(self, features_BCHW: Tensor, dtype: torch.dtype) -> Tensor:
        """The native map in another precision, unshuffled."""
        features_BCHW = features_BCHW.to(dtype)
        return F.pixel_unshuffle(features_BCHW, self.unshuffle) if self.unshuffle > 1 else features_BCHW

    def load_checkpoint(self, where: Path | str, wanted_by: str) -> None:
        """Load the weights of a file, a folder or a hub name.

        Args:
            where: see `eaglebench.weights.sources.read_checkpoint`.
            wanted_by: the expert's config node, as errors name it: `experts.clip`.

        Raises:
            UserError: there are no weights, or they do not fit, or were made with other settings.
        """
        source = f"the checkpoint {where} of {wanted_by}"
        self.load_upstream(read_checkpoint(where, wanted_by), source)
        check_settings(self.settings, self.read_settings(where), source)

    @property
    def settings(self) -> dict[str, Any]:
        """What changes the network's function and not the shapes of its weights, by the names of `read_settings`."""
        configs = [network.config for network in self.networks() if isinstance(network, PreTrainedModel)]
        return collect_fields(configs[0]) if configs else {}

    def read_settings(self, where: Path | str) -> dict[str, Any]:
        """Those of these settings that the config beside a checkpoint gives; empty if there is none.

        Raises:
            UserError: the config cannot be understood.
        """
        return read_transformers_settings(where, self.model_types)

    def load_upstream(self, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
        """Load a state dict of any of the libraries in `key_mappings`, or this project's own.

        Args:
            weights: tensors by key. Position embeddings are resampled to the expert's grid.
            source: names the weights in errors.

        Raises:
            UserError: the keys are of no library that the expert reads, or weights do not fit (see `copy_weights`).
        """
        own = to_own_keys(self.key_mappings, weights, self.state_dict(), source)
        copy_weights(self, self.resample_positions(own), source)

    def resample_positions(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights with position embeddings resampled to the expert's grid; unchanged where it has none."""
        return weights

    def preprocess(self, images_B3XX: Tensor, side: int | None = None) -> Tensor:
        """Normalised float pixels [B, 3, S, S] of square uint8 images [B, 3, X, X]; `side` replaces S."""
        return (self.resize_images(images_B3XX, side) - self.mean) / self.std

    def resize_images(self, images_B3XX: Tensor, side: int | None = None) -> Tensor:
        """Float32 pixels [B, 3, S, S] in [0, 1] of square uint8 images [B, 3, X, X]; `side` replaces S."""
        pixels_B3XX = images_B3XX.to(self.mean.device, torch.float32) / 255
        return resize(pixels_B3XX, side or self.image_size, self.align_corners)

    def use_released_pixels(self) -> None:
        """Preprocess as Eagle's released code does for every expert.

        It normalises with CLIP's statistics, and resizes with aligned corners and without antialias.
        """
        self.align_corners = True
        self.mean.copy_(to_channels(CLIP_MEAN))
        self.std.copy_(to_channels(CLIP_STD))


def to_channels(values: Sequence[float]) -> Tensor:
    """One float32 number per RGB channel as [1, 3, 1, 1], to broadcast over images."""
    return torch.tensor(list(values), dtype=torch.float32).view(1, 3, 1, 1)


def resize(pixels_B3XX: Tensor, side: int, align_corners: bool = False) -> Tensor:
    """Pixels [B, 3, side, side], interpolated bilinearly; with antialias unless the corners are aligned."""
    if pixels_B3XX.shape[-1] == side:
        return pixels_B3XX
    antialias = not align_corners
    return F.interpolate(pixels_B3XX, (side, side), mode="bilinear", antialias=antialias, align_corners=align_corners)


def tokens_to_map(tokens_BNC: Tensor) -> Tensor:
    """The map [B, C, H, W] of row-major tokens [B, H*W, C].

    Raises:
        ValueError: the number of tokens is not a square.
    """
    side = round(tokens_BNC.shape[1] ** 0.5)
    if side * side != tokens_BNC.shape[1]:
        raise ValueError(f"{tokens_BNC.shape[1]} tokens do not form a square grid: is a class token left in?")
    return tokens_BNC.transpose(1, 2).reshape(tokens_BNC.shape[0], -1, side, side)
