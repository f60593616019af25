"""Builds the parts of models and whole models from specifications.

The first weights of a part depend on the seed and the part's name alone, not on what is built beside it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError

from eaglebench.experts.base import VisionExpert
from eaglebench.experts.vit import VisionTransformer
from eaglebench.fusion.base import FeatureInfo, Fusion, MapShape
from eaglebench.language.base import LanguageModel
from eaglebench.model.adapt import add_lora, cast_weights, checkpoint_activations
from eaglebench.model.eagle import EagleModel
from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import named_seed
from eaglebench.weights.files import with_checkpoint_hint

Part = TypeVar("Part")


@dataclass(frozen=True)
class ExpertSpec:
    """How one expert is built, adapted and trained.

    Attributes:
        build: builds the expert with random weights from torch's current random state.
        aligned: the expert is text-aligned already (CLIP), so that pre-alignment skips it.
        frozen: no stage trains the expert.
        lr: learning rate in every stage that trains experts; None: the stage's own for experts.
        layer_decay: learning rate of a block divided by that of the next block; 1: one rate for all blocks.
        checkpoint: file, folder or hub name of the weights to load; None: random weights.
        pixels: `own` normalises pixels with the expert's own statistics; `eagle_release` as Eagle's release does
            (see `VisionExpert.use_released_pixels`).
        dtype: precision of the weights, by its name in torch.
        activation_checkpointing: recompute the activations of blocks in the backward pass.
        lora: `rank`, `alpha` and `dropout` of the LoRA adapters; rank 0 adds none.
        fingerprint: returns the expert's config and the state of its checkpoint, which identify it in stage keys. It is
            called after the checkpoint has been loaded, when a hub revision is known.
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
    fingerprint: Callable[[], Mapping[str, Any]]


class ModelFactory:
    """Builds the experts, the language model and the whole models of a run.

    Args:
        experts: the experts' specifications by name, in the user's order.
        make_fusion: builds the fusion from the keyword arguments `experts={name: FeatureInfo}` and `width=D`.
        make_language_model: builds the language model, adapted (see `adapt_language_model`).
        fusion_fingerprint: the fusion's config, which identifies it in stage keys.
        llm_fingerprint: returns the language model's config and the state of its files (see `ExpertSpec.fingerprint`).
        seed: seed of all random weights.
    """

    def __init__(
        self,
        experts: Mapping[str, ExpertSpec],
        make_fusion: Callable[..., Fusion],
        make_language_model: Callable[[], LanguageModel],
        fusion_fingerprint: Mapping[str, Any],
        llm_fingerprint: Callable[[], Mapping[str, Any]],
        seed: int,
    ) -> None:
        self.experts = dict(experts)
        self.make_fusion = make_fusion
        self.make_language_model = make_language_model
        self.fusion_fingerprint = fusion_fingerprint
        self.llm_fingerprint = llm_fingerprint
        self.seed = seed

    def build_expert(self, name: str) -> VisionExpert:
        """Build the named expert with the weights of its checkpoint, or random ones without it, and adapt it.

        Raises:
            UserError: its arguments do not fit together, its checkpoint cannot be loaded, or it has no layer for LoRA.
        """
        spec, owner = self.experts[name], f"experts.{name}"
        expert = self.build_untrained_expert(name)
        if spec.checkpoint is not None:
            with with_checkpoint_hint(owner):
                expert.load_checkpoint(spec.checkpoint, owner)
        if spec.pixels != "own":
            expert.use_released_pixels()
        cast_weights(expert.networks(), spec.dtype)
        if spec.lora["rank"]:
            self.build_seeded(f"{owner}.lora", lambda: add_lora(expert, expert.networks(), owner, **spec.lora))
        if spec.activation_checkpointing:
            checkpoint_activations(expert, expert.blocks())
        return expert

    def build_untrained_expert(self, name: str) -> VisionExpert:
        """Build the named expert with random weights, neither loaded nor adapted.

        Raises:
            UserError: its arguments do not fit together.
        """
        try:
            return self.build_seeded(f"experts.{name}", self.experts[name].build)
        except (ValueError, TypeError, AssertionError, StrictDataclassError) as error:  # upstream's own checks
            reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
            raise UserError(f"experts.{name} cannot be built: {reason}") from error

    def build_language_model(self) -> LanguageModel:
        """Build the language model.

        Raises:
            UserError: its weights cannot be loaded, or it has no layer for LoRA.
        """
        return self.build_seeded("llm", self.make_language_model)

    def build_model(
        self,
        names: Iterable[str],
        make_fusion: Callable[..., Fusion] | None = None,
        language: LanguageModel | None = None,
    ) -> tuple[EagleModel, LanguageModel]:
        """Build a whole model, and return it with its language model.

        Args:
            names: the experts, the base first.
            make_fusion: builds the fusion instead of the run's own (pre-alignment has a projector of its own).
            language: an existing language model to use instead of building one.

        Raises:
            UserError: a part cannot be built, or an image's visual tokens fill the context of the language model.
        """
        experts = {name: self.build_expert(name) for name in names}
        language = language or self.build_language_model()
        infos = {name: collect_feature_info(expert) for name, expert in experts.items()}
        make, width = make_fusion or self.make_fusion, language.width
        fusion = self.build_seeded("fusion", lambda: make(experts=infos, width=width))
        if fusion.places is not None and language.places is not None:
            fusion.places.start_from(language.places)
        if fusion.visual_tokens >= language.max_length:
            raise UserError(
                f"an image becomes {fusion.visual_tokens} visual tokens, which leaves no room for text in "
                f"llm.max_length={language.max_length}: raise it, or lower fusion.grid."
            )
        return EagleModel(experts, fusion, language), language

    def build_seeded(self, name: str, build: Callable[[], Part]) -> Part:
        """Call `build` with torch's CPU random state derived from the seed and `name`, and restore the state
        afterwards.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(named_seed(self.seed, name))
            return build()


def collect_feature_info(expert: VisionExpert) -> FeatureInfo:
    """Collect the shapes of an expert's features, for the fusion's constructor."""
    block_map = MapShape(*expert.block_map) if isinstance(expert, VisionTransformer) else None
    levels = tuple(MapShape(*level) for level in expert.levels)
    return FeatureInfo(expert.channels, expert.grid, levels, len(expert.blocks()), block_map)
