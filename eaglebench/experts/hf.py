"""Any vision backbone of transformers by its name on the hub or its folder."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel

from eaglebench.experts.backbones import find_blocks
from eaglebench.experts.base import VisionExpert, tokens_to_map
from eaglebench.utils.errors import UserError, first_line
from eaglebench.weights.hub import prepare_hub_for
from eaglebench.weights.misfits import copy_weights
from eaglebench.weights.settings import check_settings, collect_fields, read_transformers_settings
from eaglebench.weights.transformers_models import load_transformers, transformers_errors

MAX_PREFIX = 16  # class and register tokens
HEADS = ("pooler", "head")  # which give a pooled output, that is not used; weights of classifiers have none


class Hf(VisionExpert):
    """The last hidden state of a transformers vision model as a map, without class and register tokens.

    Of a vision-language model, the vision model is taken. Native side and patches come from the config, and the pixel
    statistics from the image processor next to it.

    Args:
        backbone: a hub name, or a folder with `config.json` and `preprocessor_config.json`.
        image_size: side of the input, in pixels; None for the native side.
        unshuffle: see `VisionExpert`.

    Raises:
        UserError: the config or the image processor is missing, or the model gives no square map.
    """

    def __init__(self, backbone: str, image_size: PositiveInt | None = None, unshuffle: PositiveInt = 1) -> None:
        config = read_vision_config(backbone)
        side = image_size or read_square(config, "image_size")
        try:
            with torch.device("meta"):  # to get the shape of the output without computing it
                hidden = compute_hidden_state(AutoModel.from_config(config), torch.empty(1, 3, side, side))
        except (RuntimeError, ValueError, AttributeError, TypeError) as error:
            raise UserError(f"{backbone} gives no map of an image of {side} px ({first_line(error)}).") from error
        grid = hidden.shape[-1] if hidden.ndim == 4 else side // read_square(config, "patch_size")
        prefix = 0 if hidden.ndim == 4 else hidden.shape[1] - grid**2
        if not 0 <= prefix <= MAX_PREFIX:
            raise UserError(f"{backbone} gives {hidden.shape[1]} tokens, which are no square grid of its patches.")
        mean, std = read_statistics(backbone)
        super().__init__(
            image_size=side,
            stride=side // grid,
            channels=hidden.shape[1] if hidden.ndim == 4 else hidden.shape[2],
            mean=mean,
            std=std,
            unshuffle=unshuffle,
        )
        self.network = AutoModel.from_config(config)

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        hidden = compute_hidden_state(self.network, pixels_B3SS)
        if hidden.ndim == 4:
            return hidden
        patches = (pixels_B3SS.shape[-1] // self.stride) ** 2
        return tokens_to_map(hidden[:, -patches:])  # class and register tokens come first

    def blocks(self) -> Sequence[nn.Module]:
        return find_blocks(self.network)

    def load_checkpoint(self, where: Path | str, wanted_by: str) -> None:
        """Load the weights of a folder, a hub name or a file with transformers.

        Raises:
            UserError: transformers cannot load them, or those of the vision model do not fit or had other settings.
        """
        options = {"config": self.network.config} if Path(where).is_file() else {}
        prepare_hub_for(str(where))
        with transformers_errors(f"transformers cannot load {where} for {wanted_by}"):
            model = load_transformers(AutoModel, str(where), wanted_by, "vision_model", HEADS, **options)
        vision = getattr(model, "vision_model", model)
        source = f"the checkpoint {where} of {wanted_by}"
        copy_weights(self.network, vision.state_dict(), source)
        found = read_transformers_settings(where, [self.network.config.model_type])
        check_settings(self.settings, found if options else collect_fields(vision.config), source)


def read_vision_config(backbone: str) -> Any:
    """The transformers config of a vision model, or of the vision part of a vision-language model.

    Raises:
        UserError: there is no config.
    """
    prepare_hub_for(backbone)
    with transformers_errors(f"transformers has no config for {backbone}"):
        config = AutoConfig.from_pretrained(backbone)
    return getattr(config, "vision_config", config)


def read_square(config: Any, field: str) -> int:
    """A side in a transformers config, which may have it once or for height and width.

    Raises:
        UserError: the config has none, or two different ones.
    """
    value = getattr(config, field, None)
    sides = set(value) if isinstance(value, (list, tuple)) else {value}
    if len(sides) != 1 or not isinstance(side := sides.pop(), int):
        raise UserError(
            f"{type(config).__name__} has no square {field}: give experts.hf.image_size, or another backbone."
        )
    return side


def read_statistics(backbone: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the pixels that the weights were trained with, one number per RGB channel.

    Raises:
        UserError: there is no image processor that has them.
    """
    try:
        processor = AutoImageProcessor.from_pretrained(backbone)
        return list(processor.image_mean), list(processor.image_std)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(
            f"{backbone} has no image processor with a mean and a standard deviation next to its config."
        ) from error


def compute_hidden_state(network: nn.Module, pixels_B3SS: Tensor) -> Tensor:
    """The last hidden state, [B, N, C] or [B, C, H, W], for normalised pixels [B, 3, S, S].

    Position embeddings are resampled by upstream's code where it can.
    """
    can_resample = "interpolate_pos_encoding" in inspect.signature(network.forward).parameters
    options = {"interpolate_pos_encoding": True} if can_resample else {}
    hidden: Tensor = network(pixel_values=pixels_B3SS, **options).last_hidden_state
    return hidden
