"""The stages that train the multimodal model itself: Eagle's pre-alignment, projector stage and SFT."""

from collections.abc import Callable, Mapping
from typing import Any

from eaglebench.data.collate import Collator, ConversationDataset
from eaglebench.data.conversation import TEMPLATES
from eaglebench.data.source import DataSource
from eaglebench.fusion.base import Fusion
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel, encoder_of
from eaglebench.model.factory import Workshop
from eaglebench.stages.base import Stage, Unit
from eaglebench.training.parameter_groups import LayerDecay
from eaglebench.training.setup import Schedule, Training
from eaglebench.utils.errors import UserError


class Joint(Stage):
    """All experts, the fusion and the language model; what trains is what has a learning rate.

    Args:
        template: of the conversations of this stage; None: that of the language model.
    """

    def __init__(
        self,
        name: str,
        lr: Mapping[str, float],
        schedule: Schedule,
        unfreeze_at: Mapping[str, int] | None = None,
        template: str | None = None,
    ) -> None:
        super().__init__(name, lr, schedule, unfreeze_at)
        if template is not None and template not in TEMPLATES:
            raise UserError(
                f"stages.{name}.template={template} is unknown: choose from {', '.join(TEMPLATES)}, or null."
            )
        self.template = template

    def units(self, workshop: Workshop) -> list[Unit]:
        return [Unit(self.name, tuple(workshop.experts))]

    def part_names(self, unit: Unit) -> tuple[str, ...]:
        return (*(f"experts.{name}" for name in unit.experts), "fusion", "llm")

    def carried(self, unit: Unit, workshop: Workshop) -> tuple[str, ...]:
        return tuple(part for part in self.part_names(unit) if self.learning_rate(part, workshop))

    def described(self, unit: Unit, workshop: Workshop, data: DataSource) -> dict[str, Any]:
        return {
            "experts": [workshop.experts[name].described() for name in unit.experts],
            "fusion": workshop.fusion_described,
            "llm": workshop.llm_described(),
            "data": data.training(self.name).digest,
            "template": self.template,
        }

    def model(self, unit: Unit, workshop: Workshop) -> tuple[EagleModel, LanguageModel]:
        return workshop.eagle(unit.experts)

    def build(self, unit: Unit, workshop: Workshop, data: DataSource) -> Training:
        model, language = self.model(unit, workshop)
        encoder = encoder_of(model, language, self.template)
        samples = data.training(self.name).samples
        if not self.lr.get("llm"):
            # Against a frozen language model, a sample without an image has nothing to train.
            samples = [sample for sample in samples if sample.image is not None]
            if not samples:
                raise UserError(
                    f"{self.name} trains on images, and no training sample has one: leave it out of stages."
                )
        dataset = ConversationDataset(samples, encoder, data.reader(model.image_side))
        return Training(
            network=model,
            parts=model.parts(),
            learning_rates={part: self.learning_rate(part, workshop) for part in model.parts()},
            dataset=dataset,
            collate=Collator(language.tokenizer.pad_token_id),
            config=self.config,
            targets=dataset.targets,
            blocks=model.blocks(),
            answering=(model, language),
            layer_decays={
                f"experts.{name}": LayerDecay(workshop.experts[name].layer_decay, expert.blocks())  # type: ignore[operator]
                for name, expert in model.experts.items()
                if workshop.experts[name].layer_decay != 1
            },
            unfreeze_at={
                part: step
                for part in model.parts()
                if (step := self.unfreeze_at.get(part.partition(".")[0], 0)) and self.learning_rate(part, workshop)
            },
        )


class PreAlign(Joint):
    """Each expert that is not text-aligned, alone with a projector that is thrown away, against the frozen language model.

    Args:
        projector: the fusion of one expert, the same for every run whatever fusion follows.
        projector_config: what `projector` is made of, for the keys of finished stages.
    """

    kinds = ("experts", "fusion")

    def __init__(
        self,
        name: str,
        lr: Mapping[str, float],
        schedule: Schedule,
        projector: Callable[..., Fusion],
        projector_config: Mapping[str, Any],
        unfreeze_at: Mapping[str, int] | None = None,
        template: str | None = None,
    ) -> None:
        super().__init__(name, lr, schedule, unfreeze_at, template)
        self.projector = projector
        self.projector_config = projector_config

    def units(self, workshop: Workshop) -> list[Unit]:
        return [
            Unit(f"{self.name}/{name}", (name,))
            for name, spec in workshop.experts.items()
            if not spec.aligned and self.learning_rate(f"experts.{name}", workshop)
        ]

    def part_names(self, unit: Unit) -> tuple[str, ...]:
        return (*(f"experts.{name}" for name in unit.experts), "llm")

    def described(self, unit: Unit, workshop: Workshop, data: DataSource) -> dict[str, Any]:
        return super().described(unit, workshop, data) | {"fusion": self.projector_config}

    def model(self, unit: Unit, workshop: Workshop) -> tuple[EagleModel, LanguageModel]:
        return workshop.eagle(unit.experts, self.projector)
