"""What shapes of a timm network's weights do not show: its activation, heads and the eps of its norms."""

from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from eaglebench.utils.errors import UserError, first_line
from eaglebench.weights.settings import OPEN_CLIP_CONFIG
from eaglebench.weights.sources import read_config

ACTIVATIONS = ("torch.nn.modules.activation", "timm.layers.activations", "open_clip.transformer")
QUICK_GELU = "QuickGELU"


def describe_network(network: nn.Module) -> dict[str, Any]:
    """The classes of a network's activations, the eps of its norms and the heads of its attentions, each once."""
    modules = list(network.modules())
    return {
        "activation": sorted({type(module).__name__ for module in modules if is_activation(module)}),
        "norm_eps": sorted({module.eps for module in modules if isinstance(getattr(module, "eps", None), float)}),
        "heads": sorted(
            {module.num_heads for module in modules if isinstance(getattr(module, "num_heads", None), int)}
        ),
    }


def is_activation(module: nn.Module) -> bool:
    """Whether a module is an activation: of an activation's file, and without weights or children."""
    return type(module).__module__ in ACTIVATIONS and not list(module.parameters()) and not list(module.children())


def build_described(architecture: str, arguments: dict[str, Any], source: str) -> Any:
    """A timm network without weights and memory; for its settings.

    Raises:
        UserError: timm cannot build it. `source` names the config.
    """
    arguments = {name: value for name, value in arguments.items() if name not in ("num_classes", "pretrained")}
    try:
        with torch.device("meta"):
            return timm.create_model(architecture, pretrained=False, num_classes=0, **arguments)
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise UserError(f"timm cannot build {architecture}, which {source} names ({first_line(error)}).") from error


def build_configured(where: Path | str) -> Any | None:
    """The timm network, without weights, that timm's or open_clip's config beside a checkpoint names; None for none.

    Raises:
        UserError: timm cannot build it.
    """
    config = read_config(where, "config.json")
    if isinstance(architecture := config.get("architecture"), str):
        return build_described(architecture, config.get("model_args") or {}, f"the config.json beside {where}")
    vision = (read_config(where, OPEN_CLIP_CONFIG).get("model_cfg") or {}).get("vision_cfg") or {}
    if isinstance(name := vision.get("timm_model_name"), str):
        return build_described(name, {}, f"the {OPEN_CLIP_CONFIG} beside {where}")
    return None


def check_tag(network: Any, backbone: str, owner: str) -> None:
    """Refuse weights that timm's own name of them gives to another activation than they were trained with.

    `vit_base_patch16_clip_224.openai` builds GELU, and OpenAI trained with QuickGELU; timm says so only in a note.

    Raises:
        UserError: the weights of this name need QuickGELU, and the network has another activation.
    """
    needs_quick = any(QUICK_GELU in note for note in network.pretrained_cfg.get("notes") or ())
    if needs_quick and describe_network(network)["activation"] != [QUICK_GELU]:
        raise UserError(
            f"{owner}.backbone={backbone} has GELU, and its weights were trained with QuickGELU: give "
            f"{owner}.backbone={backbone.replace('_clip_', '_clip_quickgelu_')}."
        )
