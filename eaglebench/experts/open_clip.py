"""The image tower of any open_clip model by its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import open_clip
from pydantic import PositiveInt
from torch import Tensor, nn

from eaglebench.experts.backbones import find_blocks
from eaglebench.experts.base import VisionExpert
from eaglebench.utils.errors import UserError, first_line
from eaglebench.weights.files import copy_weights

TAG_FIELDS = ("mean", "std", "quick_gelu")


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
        tower = build_image_tower(backbone, tag, image_size)
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

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        output = self.network.forward_intermediates(pixels_B3SS, indices=1, intermediates_only=True)
        last_BCHW: Tensor = output["image_intermediates"][-1]
        return last_BCHW

    def blocks(self) -> Sequence[nn.Module]:
        return find_blocks(self.network)

    def load_checkpoint(self, where: Path | str, wanted_by: str) -> None:
        """Load a tag's weights or a file of the whole model with open_clip, which resamples position embeddings itself.

        Raises:
            UserError: open_clip cannot load them.
        """
        tower = build_image_tower(self.backbone, self.tag, self.image_size, str(where))
        copy_weights(self.network, tower.state_dict(), f"open_clip's {self.backbone}")

    def load_upstream(self, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
        """Load a state dict of the whole open_clip model at this input side.

        Raises:
            UserError: keys are missing or wrongly shaped.
        """
        visual = {key.removeprefix("visual."): value for key, value in weights.items() if key.startswith("visual.")}
        own = self.network.state_dict()
        copy_weights(self.network, {key: value for key, value in visual.items() if key in own}, source)


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


def build_image_tower(backbone: str, tag: str | None, image_size: int | None, pretrained: str | None = None) -> Any:
    """The image tower of an open_clip model, without the modules after its last map.

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
            f"open_clip cannot build {backbone} ({first_line(error)}): see open_clip.list_models()."
        ) from error
    tower: Any = model.visual
    if not hasattr(tower, "trunk"):
        tower.ln_post, tower.proj = nn.Identity(), None
        return tower
    tower.trunk.prune_intermediate_layers(1, prune_norm=True, prune_head=True)
    tower.head = nn.Identity()
    return tower
