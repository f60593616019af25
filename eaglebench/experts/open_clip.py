"""The image tower of any open_clip model by its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
from open_clip.convert import convert_state_dict
from open_clip.model import resize_pos_embed
from pydantic import PositiveInt
from torch import Tensor, nn

from eaglebench.experts.backbones import find_blocks
from eaglebench.experts.base import VisionExpert
from eaglebench.utils.errors import UserError
from eaglebench.weights.hub import explain_hub_error, prepare_hub
from eaglebench.weights.misfits import copy_weights
from eaglebench.weights.settings import OPEN_CLIP_CONFIG, OPEN_CLIP_HEAD_WIDTH
from eaglebench.weights.sources import read_config
from eaglebench.weights.wrappers import strip_wrappers

TAG_FIELDS = ("mean", "std", "quick_gelu")
BIG_VISION = (".npz", ".npy")  # files of big_vision's SigLIP, which only open_clip reads


class OpenClip(VisionExpert):
    """The last map of an open_clip model's image tower, before its final norm.

    Native side, pixel statistics and activation are those of the weights called `tag`, or else of the model. A
    checkpoint is a tag, or a file of the whole model.

    Args:
        backbone: open_clip's name of the model.
        tag: open_clip's name of weights for it.
        image_size: side of the input, in pixels; None for the native side.
        unshuffle: see `VisionExpert`.

    Raises:
        UserError: open_clip has no such model or weights, or its image tower gives no map.
    """

    def __init__(
        self,
        backbone: str,
        tag: str | None = None,
        image_size: PositiveInt | None = None,
        unshuffle: PositiveInt = 1,
    ) -> None:
        tower, unused = build_image_tower(backbone, tag, image_size)
        preprocessing = open_clip.get_model_preprocess_cfg(tower) | read_tag_config(backbone, tag)
        side = preprocessing["size"]
        trunk = getattr(tower, "trunk", None)
        if trunk is not None:
            stride, channels = trunk.feature_info[-1]["reduction"], trunk.feature_info[-1]["num_chs"]
        elif isinstance(tower, open_clip.transformer.VisionTransformer):
            stride, channels = tower.patch_size[0], tower.conv1.out_channels
        else:
            raise UserError(
                f"the image tower of open_clip's {backbone} gives no map: choose a ViT, or a backbone of timm's."
            )
        super().__init__(
            image_size=side if isinstance(side, int) else side[0],
            stride=stride,
            channels=channels,
            mean=preprocessing["mean"],
            std=preprocessing["std"],
            unshuffle=unshuffle,
        )
        self.backbone, self.tag = backbone, tag
        self.network = tower
        self.unused = unused

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        output = self.network.forward_intermediates(pixels_B3SS, indices=1, intermediates_only=True)
        last_BCHW: Tensor = output["image_intermediates"][-1]
        return last_BCHW

    def blocks(self) -> Sequence[nn.Module]:
        return find_blocks(self.network)

    @property
    def settings(self) -> dict[str, Any]:
        model = dict(open_clip.get_model_config(self.backbone) or {})
        model["quick_gelu"] = model.get("quick_gelu") or read_tag_config(self.backbone, self.tag).get("quick_gelu")
        return collect_settings(model, {"mean": self.statistics[0], "std": self.statistics[1]})

    def read_settings(self, where: Path | str) -> dict[str, Any]:
        """The settings in the config that open_clip writes beside its weights."""
        config = read_config(where, OPEN_CLIP_CONFIG)
        return (
            collect_settings(config["model_cfg"], config.get("preprocess_cfg") or {}) if "model_cfg" in config else {}
        )

    def load_checkpoint(self, where: Path | str, wanted_by: str) -> None:
        """Load a tag's weights with open_clip, or a checkpoint of the whole model as every expert does.

        Raises:
            UserError: the weights cannot be downloaded or read, or do not fit.
        """
        name = str(where)
        if name not in open_clip.list_pretrained_tags_by_model(self.backbone) and not name.endswith(BIG_VISION):
            super().load_checkpoint(where, wanted_by)
            return
        prepare_hub()
        tower = build_image_tower(self.backbone, self.tag, self.image_size, name)[0]
        copy_weights(self.network, tower.state_dict(), f"open_clip's {self.backbone}")

    def load_upstream(self, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
        """Load a state dict of the whole open_clip model; open_clip resamples its position embeddings.

        Raises:
            UserError: weights of the image tower do not fit (see `copy_weights`).
        """
        model = SimpleNamespace(visual=self.network)  # what open_clip's functions look at
        own = self.network.state_dict().keys()
        whole = strip_wrappers(convert_state_dict(model, dict(weights)), {f"visual.{key}" for key in own})
        resize_pos_embed(whole, model)
        visual = {key.removeprefix("visual."): value for key, value in whole.items() if key.startswith("visual.")}
        copy_weights(self.network, {key: value for key, value in visual.items() if key not in self.unused}, source)


def collect_settings(model: Mapping[str, Any], preprocessing: Mapping[str, Any]) -> dict[str, Any]:
    """What of open_clip's config of a model, and of its pixels, does not show in the shapes of its weights."""
    vision = model.get("vision_cfg") or {}
    return {
        "quick_gelu": bool(model.get("quick_gelu")),
        "head_width": vision.get("head_width", OPEN_CLIP_HEAD_WIDTH),
        **{name: vision.get(name) or None for name in ("act_kwargs", "norm_kwargs", "timm_model_name")},
        **{name: list(preprocessing[name]) for name in ("mean", "std") if name in preprocessing},
    }


def read_tag_config(backbone: str, tag: str | None) -> dict[str, Any]:
    """The TAG_FIELDS that open_clip lists for weights: pixel statistics, and whether they need QuickGELU.

    Without a tag there are none.

    Raises:
        UserError: open_clip has no such weights; the message names those that it has.
    """
    if tag is None:
        return {}
    tags = open_clip.list_pretrained_tags_by_model(backbone)
    if tag not in tags:
        raise UserError(f"open_clip has no weights {tag} of {backbone}: choose from {', '.join(tags) or 'none'}.")
    return {key: value for key, value in open_clip.get_pretrained_cfg(backbone, tag).items() if key in TAG_FIELDS}


def build_image_tower(
    backbone: str, tag: str | None, image_size: int | None, pretrained: str | None = None
) -> tuple[Any, set[str]]:
    """The image tower of an open_clip model without the modules after its last map, and the keys of their weights.

    Args:
        backbone: open_clip's name of the model.
        tag: weights that decide about QuickGELU; they are not loaded.
        image_size: side of the input, in pixels; None for the native side.
        pretrained: the tag or file of the weights to load; None for random ones.

    Raises:
        UserError: open_clip has no such model or weights, or cannot load them.
    """
    try:
        model = open_clip.create_model(
            backbone,
            pretrained=pretrained,
            force_image_size=image_size,
            force_quick_gelu=bool(read_tag_config(backbone, tag).get("quick_gelu")),
            pretrained_text=False,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"open_clip cannot build {backbone} ({explain_hub_error(error)}): see open_clip.list_models()."
        ) from error
    tower: Any = model.visual
    whole = set(tower.state_dict())
    if hasattr(tower, "trunk"):
        tower.trunk.prune_intermediate_layers(1, prune_norm=True, prune_head=True)
        tower.head = nn.Identity()
    else:
        tower.ln_post, tower.proj = nn.Identity(), None
    return tower, whole - set(tower.state_dict())
