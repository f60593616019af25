"""Which library's key names a checkpoint has, and how those keys map to an expert's own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from eaglebench.utils.errors import UserError
from eaglebench.weights.sources import read_config

OWN_PREFIX = "network."  # of keys in weights that this project wrote
# Eagle's released models hold their towers by number, in the order of their config.
EAGLE_TOWER = re.compile(r"(?:model\.)?vision_tower\.vision_towers\.(\d+)\.vision_tower\.(.*)")
DATA_PARALLEL_PREFIX = "module."  # before each key of a model that was saved from torch's (Distributed)DataParallel
# What a whole open_clip model holds besides its image tower.
OPEN_CLIP_TEXT = (
    r"(text|transformer|ln_final|token_embedding)\..*",
    "positional_embedding|text_projection|logit_scale|logit_bias|attn_mask",
)
# Fields that change what a network computes and leave the shapes of its weights as they are; transformers' names.
SHAPELESS_FIELDS = ("hidden_act", "dense_act_fn", "num_attention_heads", "layer_norm_eps")
Rule = tuple[str, ...]


@dataclass(frozen=True)
class KeyMapping:
    """How one library names the weights of an expert. All patterns match whole keys.

    Attributes:
        name: of the library and model, for messages.
        marker: a checkpoint with a key of this pattern is one of this library.
        rules: (pattern, template, ...). The first pattern that matches a key gives the tensor its own key. With several
            templates the tensor is split into as many equal parts along its first dimension: fused q, k and v.
        unused: patterns of keys that the expert has no use for.
        optional: patterns of the expert's own keys that a checkpoint may lack; they keep their initial values.
    """

    name: str
    marker: str
    rules: Sequence[Rule]
    unused: Sequence[str] = ()
    optional: Sequence[str] = ()

    def matches(self, keys: Iterable[str]) -> bool:
        """Whether a checkpoint with these keys is one of this library."""
        return any(re.fullmatch(self.marker, key) for key in keys)

    def rename(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors under the expert's own keys, without unused ones. A key that no rule matches does not change."""
        renamed: dict[str, Tensor] = {}
        for key, tensor in weights.items():
            if any(re.fullmatch(pattern, key) for pattern in self.unused):
                continue
            for pattern, *templates in self.rules:
                if match := re.fullmatch(pattern, key):
                    parts = tensor.chunk(len(templates))
                    renamed |= {match.expand(template): part for template, part in zip(templates, parts, strict=True)}
                    break
            else:
                renamed[key] = tensor
        return renamed


def to_own_keys(
    mappings: Sequence[KeyMapping], weights: Mapping[str, Tensor], initial: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """The weights of a checkpoint under an expert's own keys, whichever library the checkpoint comes from.

    Args:
        mappings: of the libraries whose checkpoints the expert reads.
        weights: the checkpoint. In a released Eagle model, the only tower that one of the mappings matches is taken.
        initial: the expert's initial weights, which fill in for optional keys.
        source: names the checkpoint in errors.

    Raises:
        UserError: no mapping matches, or several of Eagle's towers do.
    """
    if all(key.startswith(DATA_PARALLEL_PREFIX) for key in weights):
        weights = {key.removeprefix(DATA_PARALLEL_PREFIX): tensor for key, tensor in weights.items()}
    if any(key.startswith(OWN_PREFIX) for key in weights):
        return dict(weights)
    found = [
        (mapping, tower)
        for tower in split_towers(weights)
        for mapping in [next((mapping for mapping in mappings if mapping.matches(tower)), None)]
        if mapping is not None
    ]
    if not found:
        known = ", ".join(mapping.name for mapping in mappings) or "eaglebench's own"
        keys = ", ".join(sorted(weights)[:3])
        raise UserError(f"{source} is in no format that this expert reads ({known}): its keys are like {keys}.")
    if len(found) > 1:
        raise UserError(f"{source} holds {len(found)} towers of this kind: give a file with one.")
    ((mapping, tower),) = found
    renamed = mapping.rename(tower)
    defaults = {
        key: value for key, value in initial.items() if any(re.fullmatch(pattern, key) for pattern in mapping.optional)
    }
    return defaults | renamed


def check_config(network: nn.Module, where: Path | str, source: str) -> None:
    """Compare the SHAPELESS_FIELDS of a transformers network with the config file next to its weights, if there is one.

    Raises:
        UserError: a field differs. `source` names the weights.
    """
    own = getattr(network, "config", None)
    if own is None:
        return
    expected = read_shapeless_fields(where, own.model_type)
    wrong = [
        f"{name}={expected[name]} instead of {getattr(own, name)}"
        for name in expected
        if getattr(own, name, expected[name]) != expected[name]
    ]
    if wrong:
        raise UserError(f"{source} was made with {', '.join(wrong)}: give the expert the same.")


def read_shapeless_fields(where: Path | str, model_type: str) -> dict[str, Any]:
    """The SHAPELESS_FIELDS in the config file next to weights: transformers' for `model_type`, or else open_clip's."""
    config = read_config(where, "config.json")
    if config:
        vision = config.get("vision_config", config)
        if vision.get("model_type") != model_type:
            return {}
        return {name: vision[name] for name in SHAPELESS_FIELDS if name in vision}
    model = read_config(where, "open_clip_config.json").get("model_cfg")
    return {"hidden_act": "quick_gelu" if model.get("quick_gelu") else "gelu"} if model else {}


def split_towers(weights: Mapping[str, Tensor]) -> list[Mapping[str, Tensor]]:
    """The towers of a released Eagle model, each with its own keys; any other checkpoint counts as one tower."""
    numbered: dict[str, dict[str, Tensor]] = {}
    for key, tensor in weights.items():
        if match := EAGLE_TOWER.fullmatch(key):
            numbered.setdefault(match[1], {})[match[2]] = tensor
    return list(numbered.values()) or [weights]
