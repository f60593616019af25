"""Any backbone of timm by its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from eaglebench.experts.backbones import check_map, repeated_blocks
from eaglebench.experts.base import VisionExpert
from eaglebench.utils.errors import UserError, first_line
from eaglebench.weights.files import copy_weights
from eaglebench.weights.key_mapping import OWN

PRETRAINED = "pretrained"  # as a checkpoint


class Timm(VisionExpert):
    """The last map of a timm backbone, after its final norm where it has one; statistics and native side are its own.

    Raises:
        UserError: timm has no such backbone, or it gives no square map at this size.
    """

    def __init__(self, backbone: str, image_size: int | None = None, unshuffle: int = 1) -> None:
        if not timm.is_model(backbone):
            close = ", ".join(timm.list_models(f"*{backbone.split('_')[0].split('.')[0]}*")[:5]) or "timm.list_models()"
            raise UserError(f"timm has no backbone {backbone}: perhaps one of {close}.")
        network = timm.create_model(backbone, num_classes=0, pretrained=False)
        native = network.pretrained_cfg["input_size"][-1]
        side = image_size or native
        trim(network, side, native)
        last = network.feature_info[-1]
        with torch.device("meta"):  # what a forward pass gives, without computing it
            outline = timm.create_model(backbone, num_classes=0, pretrained=False)
            trim(outline, side, native)
            check_map(f"timm's {backbone}", lambda pixels: last_map(outline, pixels), side, last["reduction"])
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
        return last_map(self.network, pixels_B3SS)

    @property
    def levels(self) -> list[tuple[int, int]]:
        infos = [self.network.feature_info[index] for index in self.stages()]
        return [(info["num_chs"], self.image_size // info["reduction"]) for info in infos]

    def encode_levels(self, pixels_B3SS: Tensor) -> list[Tensor]:
        """The last map of each stride."""
        maps = self.network.forward_intermediates(
            pixels_B3SS, indices=self.stages(), norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return list(maps)

    def stages(self) -> list[int]:
        """The indices of the last feature of each stride."""
        strides = [info["reduction"] for info in self.network.feature_info]
        return [index for index, stride in enumerate(strides) if stride not in strides[index + 1 :]]

    def blocks(self) -> Sequence[nn.Module]:
        return repeated_blocks(self.network)

    def load_upstream(self, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
        """This project's own weights, or timm's of the whole network at its native side, whose head is then taken off."""
        if any(key.startswith(OWN) for key in weights):
            copy_weights(self, weights, source)
            return
        whole = timm.create_model(self.backbone, pretrained=False)
        copy_weights(whole, weights, source)
        self.take(whole)

    def load_checkpoint(self, where: Path | str, wanted_by: str) -> None:
        """timm's own weights for `pretrained`."""
        if str(where) != PRETRAINED:
            super().load_checkpoint(where, wanted_by)
            return
        try:
            self.take(timm.create_model(self.backbone, pretrained=True))
        except (RuntimeError, OSError, ValueError) as error:
            raise UserError(
                f"timm's weights of {self.backbone} for {wanted_by} cannot be had ({first_line(error)})."
            ) from error

    def take(self, whole: nn.Module) -> None:
        """Take over the weights of a whole timm network."""
        trim(whole, self.image_size, self.native_size)
        copy_weights(self.network, whole.state_dict(), f"timm's {self.backbone}")


def trim(network: Any, side: int, native: int) -> None:
    """Take off a timm network's head, and set its side; timm resamples tables of positions itself."""
    network.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
    if side != native and hasattr(network, "set_input_size"):
        network.set_input_size(img_size=(side, side))


def last_map(network: Any, pixels_B3SS: Tensor) -> Tensor:
    """The last map [B, C, H, W] of a timm network."""
    last: Tensor
    (last,) = network.forward_intermediates(
        pixels_B3SS, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
    )
    return last
