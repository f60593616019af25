"""Builds the parts of models. Each part's first weights depend on the seed and its own name, and on nothing built beside it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError

from eaglebench.experts.base import VisionExpert
from eaglebench.experts.vit import VisionTransformer
from eaglebench.fusion.base import Fusion, MapShape, Outline
from eaglebench.language.base import LanguageModel
from eaglebench.model.adapt import add_lora, cast, checkpoint_activations
from eaglebench.model.eagle import EagleModel
from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import named_seed
from eaglebench.weights.files import way_out

Part = TypeVar("Part")


@dataclass(frozen=True)
class ExpertSpec:
    """How one expert is built and treated.

    Attributes:
        build: gives the expert with fresh weights.
        aligned: it is text-aligned already; not pre-aligned.
        frozen: no stage trains it.
        layer_decay: the learning rate of a block over that of the next one; 1: the same for all.
        lr: instead of the learning rate of a stage that trains experts; None: the stage's.
        checkpoint: a file, a folder or a hub name of its weights; None: fresh ones.
        pixels: `own` or `eagle_release` (see `VisionExpert.use_released_pixels`).
        dtype: of its weights.
        activation_checkpointing: compute activations again in the backward pass.
        lora: `rank`, `alpha` and `dropout`; no adapters at rank 0.
        described: gives its config and the state of its checkpoint, for the keys of finished stages; asked once it has been read.
    """

    build: Callable[[], VisionExpert]
    aligned: bool
    frozen: bool
    lr: float | None
    layer_decay: float
    checkpoint: Path | None
    pixels: str
    dtype: str
    activation_checkpointing: bool
    lora: Mapping[str, Any]
    described: Callable[[], Mapping[str, Any]]


class Workshop:
    """The parts that a run is made of.

    Args:
        experts: by name, in the user's order.
        fusion: called with `experts={name: Outline}` and `width=D`.
        language: gives the language model.
        fusion_described: the config of the fusion.
        llm_described: as `ExpertSpec.described`.
        seed: of every fresh weight.
    """

    def __init__(
        self,
        experts: Mapping[str, ExpertSpec],
        fusion: Callable[..., Fusion],
        language: Callable[[], LanguageModel],
        fusion_described: Mapping[str, Any],
        llm_described: Callable[[], Mapping[str, Any]],
        seed: int,
    ) -> None:
        self.experts = dict(experts)
        self.fusion_described = fusion_described
        self.llm_described = llm_described
        self.seed = seed
        self._fusion = fusion
        self._language = language

    def expert(self, name: str) -> VisionExpert:
        """The named expert with its first weights, or its checkpoint's."""
        spec = self.experts[name]
        expert = self.fresh_expert(name)
        if spec.checkpoint is not None:
            owner = f"experts.{name}"
            with way_out(owner):
                expert.load_checkpoint(spec.checkpoint, owner)
        if spec.pixels != "own":
            expert.use_released_pixels()
        cast(expert.networks(), spec.dtype)
        if spec.lora["rank"]:
            self.seeded(
                f"experts.{name}.lora", lambda: add_lora(expert, expert.networks(), f"experts.{name}", **spec.lora)
            )
        if spec.activation_checkpointing:
            checkpoint_activations(expert, expert.blocks())
        return expert

    def fresh_expert(self, name: str) -> VisionExpert:
        """The named expert with its first weights, whatever its checkpoint."""
        try:
            return self.seeded(f"experts.{name}", self.experts[name].build)
        except (ValueError, TypeError, AssertionError, StrictDataclassError) as error:  # upstream's own checks
            reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
            raise UserError(f"experts.{name} cannot be built: {reason}") from error

    def language(self) -> LanguageModel:
        """The language model."""
        return self.seeded("llm", self._language)

    def eagle(
        self,
        names: Iterable[str],
        fusion: Callable[..., Fusion] | None = None,
        language: LanguageModel | None = None,
    ) -> tuple[EagleModel, LanguageModel]:
        """The whole model of these experts, joined by the run's fusion or another one, with its language model or one that is there."""
        experts = {name: self.expert(name) for name in names}
        language = language or self.language()
        outlines = {name: outline(expert) for name, expert in experts.items()}
        joined = self.seeded("fusion", lambda: (fusion or self._fusion)(experts=outlines, width=language.width))
        if joined.visual_tokens >= language.max_length:
            raise UserError(
                f"an image becomes {joined.visual_tokens} visual tokens, which leaves no room for text in llm.max_length="
                f"{language.max_length}: raise it, or lower fusion.grid."
            )
        return EagleModel(experts, joined, language), language

    def seeded(self, name: str, build: Callable[[], Part]) -> Part:
        """What `build` gives when the random state comes from the seed and `name` alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(named_seed(self.seed, name))
            return build()


def outline(expert: VisionExpert) -> Outline:
    """What a fusion knows of an expert."""
    block_map = MapShape(*expert.block_map) if isinstance(expert, VisionTransformer) else None
    levels = tuple(MapShape(*level) for level in expert.levels)
    return Outline(expert.channels, expert.grid, levels, len(expert.blocks()), block_map)
