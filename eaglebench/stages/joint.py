"""The stages that train the multimodal model itself: Eagle's pre-alignment, projector stage and SFT."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt

from eaglebench.data.collate import Collator, ConversationDataset
from eaglebench.data.conversation import TEMPLATES
from eaglebench.data.source import DataSource
from eaglebench.fusion.base import Fusion
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel, build_encoder
from eaglebench.model.factory import ModelFactory
from eaglebench.stages.base import Stage, StageUnit
from eaglebench.training.hyperparameters import Hyperparameters
from eaglebench.training.parameter_groups import LayerDecay
from eaglebench.training.setup import TrainingSetup
from eaglebench.utils.errors import UserError


class Joint(Stage):
    """All experts, the fusion and the language model; parts with a learning rate train. Eagle's stages 2 and 3.

    Args:
        name: in the config, progress and logs.
        lr: learning rates by kind of part; 0 freezes.
        hyperparameters: of the optimisation.
        unfreeze_at: by kind of part, the optimizer step until which it stays frozen.
        template: of the conversations of this stage; None: that of the language model.
        group_by_length: make batches of samples whose texts are about as long as each other.

    Raises:
        UserError: a kind of part that this stage does not have, or an unknown template.
    """

    def __init__(
        self,
        name: str,
        lr: Mapping[str, NonNegativeFloat],
        hyperparameters: Hyperparameters,
        unfreeze_at: Mapping[str, NonNegativeInt] | None = None,
        template: Literal["compact", "vicuna_v1", "plain", "chatml", "llama3"] | None = None,
        group_by_length: bool = False,
    ) -> None:
        super().__init__(name, lr, hyperparameters, unfreeze_at, group_by_length)
        if template is not None and template not in TEMPLATES:
            raise UserError(
                f"stages.{name}.template={template} is unknown: choose from {', '.join(TEMPLATES)}, or null."
            )
        self.template = template

    def units(self, factory: ModelFactory) -> list[StageUnit]:
        return [StageUnit(self.name, tuple(factory.experts))]

    def input_parts(self, unit: StageUnit) -> tuple[str, ...]:
        return (*(f"experts.{name}" for name in unit.experts), "fusion", "llm")

    def output_parts(self, unit: StageUnit, factory: ModelFactory) -> tuple[str, ...]:
        return tuple(part for part in self.input_parts(unit) if self.learning_rate(part, factory))

    def fingerprint(self, unit: StageUnit, factory: ModelFactory, data: DataSource) -> dict[str, Any]:
        return {
            "experts": [factory.experts[name].fingerprint() for name in unit.experts],
            "fusion": factory.fusion_fingerprint,
            "llm": factory.llm_fingerprint(),
            "data": data.training_split(self.name).digest,
            "template": self.template,
        }

    def build_model(self, unit: StageUnit, factory: ModelFactory) -> tuple[EagleModel, LanguageModel]:
        return factory.build_model(unit.experts)

    def build_setup(self, unit: StageUnit, factory: ModelFactory, data: DataSource) -> TrainingSetup:
        model, language = self.build_model(unit, factory)
        encoder = build_encoder(model, language, self.template)
        samples = data.training_split(self.name).samples
        if not self.lr.get("llm"):
            # Against a frozen language model, a sample without an image has nothing to train.
            samples = [sample for sample in samples if sample.image is not None]
            if not samples:
                raise UserError(
                    f"{self.name} trains on images, and no training sample has one: leave it out of stages."
                )
        dataset = ConversationDataset(samples, encoder, data.reader(model.image_side))
        return TrainingSetup(
            network=model,
            parts=model.parts(),
            learning_rates={part: self.learning_rate(part, factory) for part in model.parts()},
            dataset=dataset,
            collate=Collator(language.tokenizer.pad_token_id),
            config_path=self.config_path,
            count_targets=dataset.count_targets,
            lengths=dataset.lengths if self.group_by_length else None,
            blocks=model.blocks(),
            validation_models=(model, language),
            layer_decays={
                f"experts.{name}": LayerDecay(factory.experts[name].layer_decay, expert.blocks())  # type: ignore[operator]
                for name, expert in model.experts.items()
                if factory.experts[name].layer_decay != 1
            },
            unfreeze_at={
                part: step
                for part in model.parts()
                if (step := self.unfreeze_at.get(part.partition(".")[0], 0)) and self.learning_rate(part, factory)
            },
        )


class PreAlign(Joint):
    """Each expert that is not text-aligned, alone with a projector of its own, against the frozen language model.

    Eagle, section 2.4. The projectors are discarded.

    Args:
        name, lr, hyperparameters, unfreeze_at, template, group_by_length: as of `Joint`.
        projector: builds the fusion of one expert, the same for every run whatever fusion follows.
        projector_config: what `projector` is built from, for the keys of finished stages.
    """

    part_kinds = ("experts", "fusion")

    def __init__(
        self,
        name: str,
        lr: Mapping[str, NonNegativeFloat],
        hyperparameters: Hyperparameters,
        projector: Callable[..., Fusion],
        projector_config: Mapping[str, Any],
        unfreeze_at: Mapping[str, NonNegativeInt] | None = None,
        template: Literal["compact", "vicuna_v1", "plain", "chatml", "llama3"] | None = None,
        group_by_length: bool = False,
    ) -> None:
        super().__init__(name, lr, hyperparameters, unfreeze_at, template, group_by_length)
        self.projector = projector
        self.projector_config = projector_config

    def units(self, factory: ModelFactory) -> list[StageUnit]:
        return [
            StageUnit(f"{self.name}/{name}", (name,))
            for name, spec in factory.experts.items()
            if not spec.aligned and self.learning_rate(f"experts.{name}", factory)
        ]

    def input_parts(self, unit: StageUnit) -> tuple[str, ...]:
        return (*(f"experts.{name}" for name in unit.experts), "llm")

    def fingerprint(self, unit: StageUnit, factory: ModelFactory, data: DataSource) -> dict[str, Any]:
        return super().fingerprint(unit, factory, data) | {"fusion": self.projector_config}

    def build_model(self, unit: StageUnit, factory: ModelFactory) -> tuple[EagleModel, LanguageModel]:
        return factory.build_model(unit.experts, self.projector)
