"""ConvNeXt: the image encoder of a convolutional CLIP, the best single expert of Eagle's Table 3."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import PositiveFloat, PositiveInt
from timm.models.convnext import ConvNeXt as TimmConvNeXt
from torch import Tensor, nn

from eaglebench.experts.base import VisionExpert
from eaglebench.experts.pixel_statistics import CLIP_MEAN, CLIP_STD
from eaglebench.experts.timm_config import build_configured, describe_network
from eaglebench.utils.errors import UserError
from eaglebench.weights.key_mapping import OPEN_CLIP_TEXT, KeyMapping

STAGES = 4
# open_clip keeps timm's network as `visual.trunk`. Eagle's release calls the layer scale `weight`, because transformers
# renames `gamma` when it loads.
TRUNK = r"(?:visual\.trunk\.)?"
TIMM = KeyMapping(
    "timm or open_clip ConvNeXt",
    marker=TRUNK + r"stem\.0\.weight",
    rules=[
        (TRUNK + r"stem\.(.*)", r"network.0.\1"),
        (TRUNK + r"stages\.(\d+\.blocks\.\d+)\.weight", r"network.1.\1.gamma"),
        (TRUNK + r"stages\.(.*)", r"network.1.\1"),
    ],
    unused=[
        TRUNK + r"head\..*",
        r"visual\.head\..*",
        *OPEN_CLIP_TEXT,
    ],
)


class ConvNeXt(VisionExpert):
    """The map after the last stage of timm's ConvNeXt, before any norm of the head; at stride 32 with the usual stem.

    Args:
        image_size: side of the input, in pixels.
        patch_size: side of a patch of the stem, in pixels; each stage after the first halves the map, up to stride 32.
        depths: number of blocks of each stage.
        dims: channels of each stage.
        norm_eps: of the layer norms. open_clip's ConvNeXt-XXL has 1e-5, timm's default is 1e-6.
        layer_scale: initial value of the layer scale of each block.
        unshuffle: see `VisionExpert`.

    Raises:
        UserError: `image_size` is no multiple of the stride, or `depths` and `dims` are not those of four stages.
    """

    key_mappings = (TIMM,)

    def __init__(
        self,
        image_size: PositiveInt = 1024,
        depths: Sequence[PositiveInt] = (3, 4, 30, 3),
        dims: Sequence[PositiveInt] = (384, 768, 1536, 3072),
        norm_eps: PositiveFloat = 1e-5,
        layer_scale: PositiveFloat = 1e-6,
        unshuffle: PositiveInt = 1,
        patch_size: PositiveInt = 4,
    ) -> None:
        if not len(depths) == len(dims) == STAGES:
            raise UserError(f"convnext: depths={list(depths)} and dims={list(dims)} must have {STAGES} numbers each.")
        network = TimmConvNeXt(
            num_classes=0,
            depths=tuple(depths),
            dims=tuple(dims),
            norm_eps=norm_eps,
            ls_init_value=layer_scale,
            patch_size=patch_size,
        )
        strides = [info["reduction"] for info in network.feature_info]
        super().__init__(
            image_size=image_size,
            stride=strides[-1],
            channels=dims[-1],
            mean=CLIP_MEAN,
            std=CLIP_STD,
            unshuffle=unshuffle,
        )
        self.dims, self.strides = tuple(dims), tuple(strides)
        self.network = nn.Sequential(network.stem, network.stages)

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        features_BCHW: Tensor = self.network(pixels_B3SS)
        return features_BCHW

    @property
    def levels(self) -> list[tuple[int, int]]:
        return [(width, self.image_size // stride) for width, stride in zip(self.dims, self.strides, strict=True)]

    def encode_levels(self, pixels_B3SS: Tensor) -> list[Tensor]:
        """The map of each stage, at strides 4, 8, 16 and 32 with the usual stem, for normalised pixels [B, 3, S, S]."""
        maps = [self.network[0](pixels_B3SS)]
        for stage in self.network[1].children():
            maps.append(stage(maps[-1]))
        return maps[1:]

    @property
    def settings(self) -> dict[str, Any]:
        return describe_network(self.network)

    def read_settings(self, where: Path | str) -> dict[str, Any]:
        """The settings of the timm network that timm's or open_clip's config beside a checkpoint names."""
        named = build_configured(where)
        return {} if named is None else describe_network(nn.ModuleList([named.stem, named.stages]))

    def blocks(self) -> Sequence[nn.Module]:
        return [block for stage in self.network[1].children() for block in stage.get_submodule("blocks").children()]
