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
from eaglebench.experts.timm_config import build_configured, build_described, check_tag, describe_network
from eaglebench.utils.errors import UserError
from eaglebench.weights.hub import explain_hub_error, prepare_hub
from eaglebench.weights.misfits import copy_weights
from eaglebench.weights.sources import read_config
from eaglebench.weights.wrappers import strip_wrappers

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

    @property
    def settings(self) -> dict[str, Any]:
        network = build_described(self.backbone, {}, f"backbone={self.backbone}")
        return describe_network(network) | {"mean": list(self.statistics[0]), "std": list(self.statistics[1])}

    def read_settings(self, where: Path | str) -> dict[str, Any]:
        """The settings of the network, and the statistics, in the config that timm writes beside its weights."""
        named = build_configured(where)
        if named is None:
            return {}
        config = read_config(where, "config.json")
        config = config.get("pretrained_cfg") or config
        return describe_network(named) | {name: config[name] for name in ("mean", "std") if name in config}

    def load_upstream(self, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
        """Load this project's own weights, or timm's of the network at its native side; a head plays no part.

        Raises:
            UserError: weights do not fit (see `copy_weights`).
        """
        own = self.state_dict().keys()
        if own == (stripped := strip_wrappers(weights, own)).keys():
            copy_weights(self, stripped, source)
            return
        whole = timm.create_model(self.backbone, pretrained=False)
        initial, body = whole.state_dict(), self.network.state_dict().keys()
        head = {key: tensor for key, tensor in initial.items() if key not in body}
        stripped = strip_wrappers(weights, body)
        prefixes = head_prefixes(whole)
        given = {key: tensor for key, tensor in stripped.items() if key not in head and not key.startswith(prefixes)}
        copy_weights(whole, given | head, source)
        self.copy_from(whole)

    def load_checkpoint(self, where: Path | str, wanted_by: str) -> None:
        """Load a checkpoint as every expert does, or timm's own weights if `where` is `pretrained`.

        Raises:
            UserError: the weights cannot be downloaded or read, do not fit, or need another activation.
        """
        check_tag(self.network, self.backbone, wanted_by)
        if str(where) != PRETRAINED:
            super().load_checkpoint(where, wanted_by)
            return
        prepare_hub()
        try:
            self.copy_from(timm.create_model(self.backbone, pretrained=True))
        except (RuntimeError, OSError, ValueError) as error:
            raise UserError(
                f"timm's weights of {self.backbone} for {wanted_by} could not be downloaded "
                f"({explain_hub_error(error)})."
            ) from error

    def copy_from(self, whole: nn.Module) -> None:
        """Copy the weights of a whole timm network of the native side; its head is removed."""
        remove_head(whole, self.image_size, self.native_size)
        copy_weights(self.network, whole.state_dict(), f"timm's {self.backbone}")


def head_prefixes(network: Any) -> tuple[str, ...]:
    """What the keys of a timm network's classifiers begin with, whether or not it has them itself."""
    names = network.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))


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
