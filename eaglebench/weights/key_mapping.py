"""Which layout an expert's weights are in, and what their keys are called here."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from eaglebench.utils.errors import UserError
from eaglebench.weights.sources import read_config

OWN = "network."  # keys of weights that this project wrote
# Eagle's released models hold one tower after the other, in the order of their config.
EAGLE_TOWER = re.compile(r"(?:model\.)?vision_tower\.vision_towers\.(\d+)\.vision_tower\.(.*)")
PARALLEL = "module."  # before each key of a model that was trained in parallel
# What a whole open_clip model holds beside its image tower.
OPEN_CLIP_TEXT = (
    r"(text|transformer|ln_final|token_embedding)\..*",
    "positional_embedding|text_projection|logit_scale|logit_bias|attn_mask",
)
# What a network computes depends on, and the shapes of its weights do not show; by transformers' names.
HIDDEN = ("hidden_act", "dense_act_fn", "num_attention_heads", "layer_norm_eps")
Rule = tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """How one upstream library names an expert's weights. All patterns are of whole keys.

    Attributes:
        name: in messages.
        mark: a file with a key of this pattern is in this layout.
        rules: (pattern, template, ...); the first pattern that fits a key names its tensor here. With several templates, the tensor is
            cut into as many equal parts along its first dimension: fused queries, keys and values.
        unused: patterns of keys that have no place in the expert.
        absent: patterns of the expert's own keys that a file may lack; those keep their first values.
    """

    name: str
    mark: str
    rules: Sequence[Rule]
    unused: Sequence[str] = ()
    absent: Sequence[str] = ()

    def recognises(self, keys: Iterable[str]) -> bool:
        """Whether a file with these keys is in this layout."""
        return any(re.fullmatch(self.mark, key) for key in keys)

    def translated(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors under the expert's own keys; those that no rule knows keep theirs."""
        own: dict[str, Tensor] = {}
        for key, tensor in weights.items():
            if any(re.fullmatch(pattern, key) for pattern in self.unused):
                continue
            for pattern, *templates in self.rules:
                if match := re.fullmatch(pattern, key):
                    parts = tensor.chunk(len(templates))
                    own |= {match.expand(template): part for template, part in zip(templates, parts, strict=True)}
                    break
            else:
                own[key] = tensor
        return own


def own_weights(
    layouts: Sequence[Layout], weights: Mapping[str, Tensor], first: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """Weights in any of an expert's layouts under the expert's own keys.

    Args:
        layouts: that the expert reads.
        weights: of a file. Of Eagle's released models, the one tower that is in one of the layouts counts.
        first: the expert's own weights, for the keys that a layout may lack.
        source: names the file in errors.

    Raises:
        UserError: none of the layouts, or several of Eagle's towers.
    """
    if all(key.startswith(PARALLEL) for key in weights):
        weights = {key.removeprefix(PARALLEL): tensor for key, tensor in weights.items()}
    if any(key.startswith(OWN) for key in weights):
        return dict(weights)
    found = [
        (layout, tower)
        for tower in towers(weights)
        for layout in [next((one for one in layouts if one.recognises(tower)), None)]
        if layout is not None
    ]
    if not found:
        known = ", ".join(layout.name for layout in layouts) or "eaglebench's own"
        keys = ", ".join(sorted(weights)[:3])
        raise UserError(f"{source} is in no layout that this expert reads ({known}): its keys are like {keys}.")
    if len(found) > 1:
        raise UserError(f"{source} holds {len(found)} towers of this kind: give a file with one.")
    ((layout, tower),) = found
    own = layout.translated(tower)
    return {key: value for key, value in first.items() if any(re.fullmatch(one, key) for one in layout.absent)} | own


def check_config(network: nn.Module, where: Path | str, source: str) -> None:
    """Compare what weights do not show with the config beside them, if there is one and the network is of transformers.

    Raises:
        UserError: they differ. `source` names the weights.
    """
    own = getattr(network, "config", None)
    if own is None:
        return
    told = hidden_numbers(where, own.model_type)
    wrong = [
        f"{name}={told[name]} instead of {getattr(own, name)}"
        for name in told
        if getattr(own, name, told[name]) != told[name]
    ]
    if wrong:
        raise UserError(f"{source} was made with {', '.join(wrong)}: give the expert the same.")


def hidden_numbers(where: Path | str, model_type: str) -> dict[str, Any]:
    """The HIDDEN numbers in the config of transformers (for `model_type`), or else of open_clip, beside weights."""
    config = read_config(where, "config.json")
    if config:
        vision = config.get("vision_config", config)
        return (
            {name: vision[name] for name in HIDDEN if name in vision} if vision.get("model_type") == model_type else {}
        )
    model = read_config(where, "open_clip_config.json").get("model_cfg")
    return {"hidden_act": "quick_gelu" if model.get("quick_gelu") else "gelu"} if model else {}


def towers(weights: Mapping[str, Tensor]) -> list[Mapping[str, Tensor]]:
    """Eagle's towers, each with its own keys; what is not one of Eagle's models is one tower as it is."""
    numbered: dict[str, dict[str, Tensor]] = {}
    for key, tensor in weights.items():
        if match := EAGLE_TOWER.fullmatch(key):
            numbered.setdefault(match[1], {})[match[2]] = tensor
    return list(numbered.values()) or [weights]
