"""Which library's key names a checkpoint has, and how those keys map to an expert's own."""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from torch import Tensor

from eaglebench.utils.errors import UserError
from eaglebench.weights.wrappers import strip_wrappers

# Eagle's released models hold their towers by number, in the order of their config.
EAGLE_TOWER = re.compile(r"(?:.*\.)?vision_tower\.vision_towers\.(\d+)\.vision_tower\.(.*)")
# What a whole open_clip model holds besides its image tower.
OPEN_CLIP_TEXT = (
    r"(text|transformer|ln_final|token_embedding)\..*",
    "positional_embedding|text_projection|logit_scale|logit_bias|attn_mask",
)
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

    def rename_key(self, key: str) -> list[str]:
        """The expert's own keys for a key of the library: several for fused tensors, none for what is unused.

        A key that no rule matches does not change.
        """
        if any(re.fullmatch(pattern, key) for pattern in self.unused):
            return []
        for pattern, *templates in self.rules:
            if match := re.fullmatch(pattern, key):
                return [match.expand(template) for template in templates]
        return [key]

    def rename(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors under the expert's own keys, without unused ones."""
        renamed: dict[str, Tensor] = {}
        for key, tensor in weights.items():
            own = self.rename_key(key)
            renamed |= zip(own, tensor.chunk(len(own)) if len(own) > 1 else (tensor,) * len(own), strict=True)
        return renamed

    def strip(self, weights: Mapping[str, Tensor], own: Set[str]) -> dict[str, Tensor]:
        """The tensors under the library's keys, without what wrappers put into them; `own` are the expert's keys."""
        needed = {key for key in own if not any(re.fullmatch(pattern, key) for pattern in self.optional)}
        return strip_wrappers(weights, needed, lambda key: needed.intersection(self.rename_key(key)))


OWN = KeyMapping("eaglebench's own", marker=r"network\..*", rules=())  # keys in weights that this project wrote


def to_own_keys(
    mappings: Sequence[KeyMapping], weights: Mapping[str, Tensor], initial: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """The weights of a checkpoint under an expert's own keys, whichever library and wrappers the checkpoint comes from.

    Args:
        mappings: of the libraries whose checkpoints the expert reads.
        weights: the checkpoint. In a released Eagle model, the only tower that one of the mappings matches is taken.
        initial: the expert's initial weights, which fill in for optional keys.
        source: names the checkpoint in errors.

    Raises:
        UserError: no mapping matches, or several of Eagle's towers do.
    """
    known = (OWN, *mappings)
    matches = (find_mapping(known, tower, initial.keys()) for tower in split_towers(weights))
    found = [match for match in matches if match is not None]
    if not found:
        names = ", ".join(mapping.name for mapping in mappings) or OWN.name
        keys = ", ".join(sorted(weights)[:3])
        raise UserError(f"{source} is in no format that this expert reads ({names}): its keys are like {keys}.")
    if len(found) > 1:
        raise UserError(f"{source} holds {len(found)} towers of this kind: give a file with one.")
    ((mapping, tower),) = found
    defaults = {
        key: value for key, value in initial.items() if any(re.fullmatch(pattern, key) for pattern in mapping.optional)
    }
    return defaults | mapping.rename(tower)


def find_mapping(
    mappings: Sequence[KeyMapping], weights: Mapping[str, Tensor], own: Set[str]
) -> tuple[KeyMapping, dict[str, Tensor]] | None:
    """The library of a checkpoint, and the checkpoint without what wrappers put into its keys; None for no library.

    The first mapping whose marker the keys show is taken. Where wrappers hide them, it is the one that gives the most
    of the expert's weights, `own`.
    """
    for mapping in mappings:
        if mapping.matches(weights):
            return mapping, mapping.strip(weights, own)
    stripped = [(mapping, mapping.strip(weights, own)) for mapping in mappings]
    return max(
        ((mapping, tower) for mapping, tower in stripped if mapping.matches(tower)),
        key=lambda match: len(own & {name for key in match[1] for name in match[0].rename_key(key)}),
        default=None,
    )


def split_towers(weights: Mapping[str, Tensor]) -> list[Mapping[str, Tensor]]:
    """The towers of a released Eagle model, each with its own keys; any other checkpoint counts as one tower."""
    numbered: dict[str, dict[str, Tensor]] = {}
    for key, tensor in weights.items():
        if match := EAGLE_TOWER.fullmatch(key):
            numbered.setdefault(match[1], {})[match[2]] = tensor
    return list(numbered.values()) or [weights]
