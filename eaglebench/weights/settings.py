"""What changes a network's function and leaves the shapes of its weights: read from the config beside a checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, PreTrainedConfig

from eaglebench.utils.errors import UserError, first_line
from eaglebench.weights.sources import read_config

# Transformers' names of such fields.
FIELDS = (
    "hidden_act",
    "dense_act_fn",
    "num_attention_heads",
    "layer_norm_eps",
    "window_size",
    "global_attn_indexes",
)
OPEN_CLIP_CONFIG = "open_clip_config.json"
OPEN_CLIP_WIDTH, OPEN_CLIP_HEAD_WIDTH, OPEN_CLIP_EPS = 768, 64, 1e-5  # of a model whose config does not say


def check_settings(own: Mapping[str, Any], expected: Mapping[str, Any], source: str) -> None:
    """Compare the settings of a network with those that its weights were made with; only what both have.

    Raises:
        UserError: a setting differs. `source` names the weights.
    """
    wrong = [
        f"{name}={expected[name]} instead of {own[name]}"
        for name in own
        if name in expected and own[name] != expected[name]
    ]
    if wrong:
        raise UserError(f"{source} was made with {', '.join(wrong)}: give the expert the same.")


def collect_fields(config: PreTrainedConfig) -> dict[str, Any]:
    """The FIELDS that a config of transformers has."""
    found = {name: getattr(config, name) for name in FIELDS if hasattr(config, name)}
    return {name: list(value) if isinstance(value, (list, tuple)) else value for name, value in found.items()}


def read_transformers_settings(where: Path | str, model_types: Sequence[str]) -> dict[str, Any]:
    """The FIELDS in transformers' config beside weights; empty without a config, or with that of another model.

    Fields that the file leaves out have transformers' defaults: transformers writes only what differs from them.

    Args:
        where: a checkpoint, see `read_checkpoint`.
        model_types: names of the models whose weights the expert reads; the first one's config has no name of its own.

    Raises:
        UserError: transformers refuses the config.
    """
    config = read_config(where, "config.json")
    vision = config.get("vision_config", config)
    if not isinstance(vision, dict) or not model_types:
        return {}
    is_whole = config.get("model_type") in model_types
    model_type = vision.get("model_type", model_types[0] if is_whole else None)
    if model_type not in model_types or model_type not in CONFIG_MAPPING:
        return {}
    try:
        parsed = CONFIG_MAPPING[model_type](
            **{name: vision[name] for name in (*FIELDS, "hidden_size") if name in vision}
        )
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise UserError(f"the config.json beside {where} is not one of {model_type} ({first_line(error)}).") from error
    return collect_fields(parsed)


def read_open_clip_settings(where: Path | str) -> dict[str, Any]:
    """The FIELDS of a vision transformer in open_clip's config beside weights; empty if there is none."""
    model = read_config(where, OPEN_CLIP_CONFIG).get("model_cfg")
    if not isinstance(model, dict):
        return {}
    found: dict[str, Any] = {"hidden_act": "quick_gelu" if model.get("quick_gelu") else "gelu"}
    vision = model.get("vision_cfg")
    if isinstance(vision, dict):
        width, head_width = vision.get("width", OPEN_CLIP_WIDTH), vision.get("head_width", OPEN_CLIP_HEAD_WIDTH)
        found["num_attention_heads"] = width // head_width
        found["layer_norm_eps"] = (vision.get("norm_kwargs") or {}).get("eps", OPEN_CLIP_EPS)
        if (vision.get("act_kwargs") or {}).get("approximate") == "tanh":
            found["hidden_act"] = "gelu_pytorch_tanh"
    return found
