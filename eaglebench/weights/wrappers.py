"""Names that wrappers leave in the keys of a state dict; they are taken off where the keys then are those of the part.

`module.` is of (Distributed)DataParallel, `_orig_mod.` of torch.compile, `base_model.model.` of PEFT, `model.` of
Lightning, `language_model.` of vision-language models. No list of them is needed: what stands before a key that the
part has is a wrapper.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from typing import TypeVar

Value = TypeVar("Value")
# Wrappers inside a model leave these between the names of modules: torch.compile, FSDP and activation checkpointing.
# Vision-language models keep their language model under the last one.
TORCH = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
INNER = ((), TORCH, ("language_model",), (*TORCH, "language_model"))
# Names of a part's own weights that a key in a checkpoint stands for; none if the part has no use for the key.
Covers = Callable[[str], Collection[str]]


def strip_wrappers(weights: Mapping[str, Value], own: Set[str], covers: Covers | None = None) -> dict[str, Value]:
    """The weights without what wrappers put into their keys; unchanged where the part's weights fit no better then.

    Args:
        weights: of a checkpoint, by key.
        own: names of the part's weights; half of them must be found.
        covers: which of `own` a key gives; None: a key gives the weight of its own name.
    """
    covers = covers or (lambda key: (key,) if key in own else ())
    fitting = len({name for key in weights for name in covers(key)})
    if fitting == len(own):
        return dict(weights)
    best, most = dict(weights), max(fitting, (len(own) - 1) // 2)
    tried: set[frozenset[str]] = set()
    for names in INNER:
        shorter = {remove_names(key, names): value for key, value in weights.items()}
        if (keys := frozenset(shorter)) in tried:
            continue
        tried.add(keys)
        prefix, covered = find_prefix(shorter, covers)
        stripped = {key.removeprefix(prefix): value for key, value in shorter.items()}
        if covered > most and len(stripped) == len(weights):  # fewer: two tensors would become one
            best, most = stripped, covered
    return best


def remove_names(key: str, names: Collection[str]) -> str:
    """A key without the module names that are among `names`."""
    return ".".join(part for part in key.split(".") if part not in names)


def find_prefix(keys: Iterable[str], covers: Covers) -> tuple[str, int]:
    """The prefix after which the keys give most of a part's weights, the shortest of equals, and how many they give."""
    covered: dict[str, set[str]] = {"": set()}
    for key in keys:
        names = key.split(".")
        for start in range(len(names)):
            if given := covers(".".join(names[start:])):
                prefix = "".join(f"{name}." for name in names[:start])
                covered.setdefault(prefix, set()).update(given)
    prefix = min(covered, key=lambda prefix: (-len(covered[prefix]), len(prefix)))
    return prefix, len(covered[prefix])
