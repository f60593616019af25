"""The image tower of any open_clip model by its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import open_clip
from torch import Tensor, nn

from eaglebench.experts.backbones import repeated_blocks
from eaglebench.experts.base import VisionExpert
from eaglebench.utils.errors import UserError, first_line
from eaglebench.weights.files import copy_weights

KNOWN = ("mean", "std", "quick_gelu")


class OpenClip(VisionExpert):
    """The last map of an open_clip model's image tower, before its final norm.

    Side, statistics and activation are those of the weights that `tag` names in open_clip, or else the model's. A checkpoint is a tag
    or a file of the whole model.

    Raises:
        UserError: open_clip has no such model, or its image tower gives no map.
    """

    def __init__(
        self, backbone: str, tag: str | None = None, image_size: int | None = None, unshuffle: int = 1
    ) -> None:
        tower = image_tower(backbone, tag, image_size)
        preprocessing = open_clip.get_model_preprocess_cfg(tower) | known(backbone, tag)
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
        maps: list[Tensor] = self.network.forward_intermediates(pixels_B3SS, indices=1, intermediates_only=True)[
            "image_intermediates"
        ]
        return maps[-1]

    def blocks(self) -> Sequence[nn.Module]:
        return repeated_blocks(self.network)

    def load_checkpoint(self, where: Path | str, wanted_by: str) -> None:
        """Through open_clip, which resamples tables of positions itself."""
        tower = image_tower(self.backbone, self.tag, self.image_size, str(where))
        copy_weights(self.network, tower.state_dict(), f"open_clip's {self.backbone}")

    def load_upstream(self, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
        """The weights of the whole model at this side."""
        visual = {key.removeprefix("visual."): value for key, value in weights.items() if key.startswith("visual.")}
        own = self.network.state_dict()
        copy_weights(self.network, {key: value for key, value in visual.items() if key in own}, source)


def known(backbone: str, tag: str | None) -> dict[str, Any]:
    """What open_clip knows of the weights of a tag: their statistics, and whether they need QuickGELU.

    Raises:
        UserError: there is no such tag; it names those that there are.
    """
    if tag is None:
        return {}
    tags = open_clip.list_pretrained_tags_by_model(backbone)
    if tag not in tags:
        raise UserError(f"open_clip has no weights {tag} of {backbone}: choose from {', '.join(tags) or 'none'}.")
    return {key: value for key, value in open_clip.get_pretrained_cfg(backbone, tag).items() if key in KNOWN}


def image_tower(backbone: str, tag: str | None, image_size: int | None, pretrained: str | None = None) -> Any:
    """The image tower of an open_clip model without what follows its last map."""
    try:
        model = open_clip.create_model(
            backbone,
            pretrained=pretrained,
            force_image_size=image_size,
            force_quick_gelu=bool(known(backbone, tag).get("quick_gelu")),
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
