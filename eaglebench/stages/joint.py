"""The stages that train the multimodal model itself: Eagle's pre-alignment, projector stage and SFT."""

from collections.abc import Callable, Mapping
from typing import Any

from eaglebench.data.collate import Collator, ConversationDataset
from eaglebench.data.source import DataSource
from eaglebench.fusion.base import Fusion
from eaglebench.language.base import LanguageModel
from eaglebench.model import EagleModel, encoder_of
from eaglebench.stages.base import Stage, Unit
from eaglebench.stages.workshop import Workshop
from eaglebench.training.training import Schedule, Training


class Joint(Stage):
    """All experts, the fusion and the language model; what trains is what has a learning rate."""

    def units(self, workshop: Workshop) -> list[Unit]:
        return [Unit(self.name, tuple(workshop.experts))]

    def part_names(self, unit: Unit) -> tuple[str, ...]:
        return (*(f"experts.{name}" for name in unit.experts), "fusion", "llm")

    def carried(self, unit: Unit, workshop: Workshop) -> tuple[str, ...]:
        return tuple(part for part in self.part_names(unit) if self.learning_rate(part, workshop))

    def described(self, unit: Unit, workshop: Workshop, data: DataSource) -> dict[str, Any]:
        return {
            "experts": [workshop.experts[name].described for name in unit.experts],
            "fusion": workshop.described["fusion"],
            "llm": workshop.described["llm"],
            "data": data.digest,
        }

    def build(self, unit: Unit, workshop: Workshop, data: DataSource) -> Training:
        model, language = workshop.eagle(unit.experts)
        return self.training(model, language, workshop, data)

    def training(self, model: EagleModel, language: LanguageModel, workshop: Workshop, data: DataSource) -> Training:
        """The model with its conversations."""
        encoder = encoder_of(model, language)
        return Training(
            network=model,
            parts=model.parts(),
            learning_rates={part: self.learning_rate(part, workshop) for part in model.parts()},
            dataset=ConversationDataset(data.train, encoder, data.reader(model.image_side)),
            collate=Collator(language.tokenizer.pad_token_id),
        )


class PreAlign(Joint):
    """Each expert that is not text-aligned, alone with a projector of its own that is thrown away.

    Args:
        projector: the fusion of a single expert, for every run the same whatever fusion follows.
    """

    kinds = ("experts", "fusion")

    def __init__(
        self,
        name: str,
        lr: Mapping[str, float],
        schedule: Schedule,
        projector: Callable[..., Fusion],
        projector_config: Any,
    ) -> None:
        super().__init__(name, lr, schedule)
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

    def build(self, unit: Unit, workshop: Workshop, data: DataSource) -> Training:
        model, language = workshop.eagle(unit.experts, self.projector)
        return self.training(model, language, workshop, data)
