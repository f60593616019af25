"""Any backbone of timm by its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from eaglebench.experts.backbones import check_map, find_blocks
from eaglebench.experts.base import VisionExpert
from eaglebench.utils.errors import UserError, first_line
from eaglebench.weights.files import copy_weights
from eaglebench.weights.key_mapping import OWN_PREFIX

PRETRAINED = "pretrained"  # as a checkpoint: timm's own weights


class Timm(VisionExpert):
    """The last map of a timm backbone, after its final norm where it has one. Pixel statistics are the backbone's own.

    Args:
        backbone: timm's name of it.
        image_size: side of the input, in pixels; None for the backbone's native side.
        unshuffle: see `VisionExpert`.

    Raises:
        UserError: timm has no such backbone, or it gives no square map at this size.
    """

    def __init__(self, backbone: str, image_size: PositiveInt | None = None, unshuffle: PositiveInt = 1) -> None:
        if not timm.is_model(backbone):
            close = ", ".join(timm.list_models(f"*{backbone.split('_')[0].split('.')[0]}*")[:5]) or "timm.list_models()"
            raise UserError(f"timm has no backbone {backbone}: perhaps one of {close}.")
        network = timm.create_model(backbone, num_classes=0, pretrained=False)
        native = network.pretrained_cfg["input_size"][-1]
        side = image_size or native
        remove_head(network, side, native)
        last = network.feature_info[-1]
        with torch.device("meta"):  # to get the shape of the map without computing it
            probe = timm.create_model(backbone, num_classes=0, pretrained=False)
            remove_head(probe, side, native)
            check_map(f"timm's {backbone}", lambda pixels: compute_last_map(probe, pixels), side, last["reduction"])
        super().__init__(
            image_size=side,
            stride=last["reduction"],
            channels=last["num_chs"],
            mean=network.pretrained_cfg["mean"],
            std=network.pretrained_cfg["std"],
            unshuffle=unshuffle,
        )
        self.backbone = backbone
        self.native_size = native
        self.network = network

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        return compute_last_map(self.network, pixels_B3SS)

    @property
    def levels(self) -> list[tuple[int, int]]:
        infos = [self.network.feature_info[index] for index in self.level_indices()]
        return [(info["num_chs"], self.image_size // info["reduction"]) for info in infos]

    def encode_levels(self, pixels_B3SS: Tensor) -> list[Tensor]:
        """The last map of each stride, for normalised pixels [B, 3, S, S]."""
        maps = self.network.forward_intermediates(
            pixels_B3SS, indices=self.level_indices(), norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return list(maps)

    def level_indices(self) -> list[int]:
        """For each stride, timm's index of the last feature map that has it."""
        strides = [info["reduction"] for info in self.network.feature_info]
        return [index for index, stride in enumerate(strides) if stride not in strides[index + 1 :]]

    def blocks(self) -> Sequence[nn.Module]:
        return find_blocks(self.network)

    def load_upstream(self, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
        """Load this project's own weights, or timm's of the whole network, with its head and at its native side.

        Raises:
            UserError: keys are missing, unexpected or wrongly shaped.
        """
        if any(key.startswith(OWN_PREFIX) for key in weights):
            copy_weights(self, weights, source)
            return
        whole = timm.create_model(self.backbone, pretrained=False)
        copy_weights(whole, weights, source)
        self.copy_from(whole)

    def load_checkpoint(self, where: Path | str, wanted_by: str) -> None:
        """Load a checkpoint as every expert does, or timm's own weights if `where` is `pretrained`.

        Raises:
            UserError: the weights cannot be downloaded or read, or do not fit.
        """
        if str(where) != PRETRAINED:
            super().load_checkpoint(where, wanted_by)
            return
        try:
            self.copy_from(timm.create_model(self.backbone, pretrained=True))
        except (RuntimeError, OSError, ValueError) as error:
            raise UserError(
                f"timm's weights of {self.backbone} for {wanted_by} could not be downloaded ({first_line(error)})."
            ) from error

    def copy_from(self, whole: nn.Module) -> None:
        """Copy the weights of a whole timm network of the native side; its head is removed."""
        remove_head(whole, self.image_size, self.native_size)
        copy_weights(self.network, whole.state_dict(), f"timm's {self.backbone}")


def remove_head(network: Any, side: int, native: int) -> None:
    """Remove the head of a timm network, and set its input side; timm resamples position embeddings itself."""
    network.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
    if side != native and hasattr(network, "set_input_size"):
        network.set_input_size(img_size=(side, side))


def compute_last_map(network: Any, pixels_B3SS: Tensor) -> Tensor:
    """The last map [B, C, H, W] of a timm network for normalised pixels [B, 3, S, S]."""
    last_BCHW: Tensor
    (last_BCHW,) = network.forward_intermediates(
        pixels_B3SS, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
    )
    return last_BCHW
