"""A language model that is trained on the questions and answers alone: what can be known without looking."""

from typing import Any

from eaglebench.data.collate import Collator, ConversationDataset
from eaglebench.data.source import DataSource
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel, encoder_of
from eaglebench.model.factory import Workshop
from eaglebench.stages.base import Stage, Unit
from eaglebench.stages.runner import State
from eaglebench.training.setup import Training

BLIND = "blind"  # the name of the stage


class Blind(Stage):
    """The language model on the training conversations without their images; the run's own model gets none of it."""

    kinds = ("llm",)
    config = "evaluation.blind"

    def units(self, workshop: Workshop) -> list[Unit]:
        return [Unit(self.name, ())]

    def part_names(self, unit: Unit) -> tuple[str, ...]:
        return ("llm",)

    def carried(self, unit: Unit, workshop: Workshop) -> tuple[str, ...]:
        return self.part_names(unit)

    def described(self, unit: Unit, workshop: Workshop, data: DataSource) -> dict[str, Any]:
        return {"llm": workshop.llm_described(), "data": data.digest}

    def model(self, unit: Unit, workshop: Workshop) -> tuple[EagleModel, LanguageModel]:
        language = workshop.language()
        return EagleModel({}, None, language), language

    def build(self, unit: Unit, workshop: Workshop, data: DataSource) -> Training:
        model, language = self.model(unit, workshop)
        dataset = ConversationDataset(data.train, encoder_of(model, language), data.reader(1), blind=True)
        return Training(
            network=model,
            parts=model.parts(),
            learning_rates=self.lr,
            dataset=dataset,
            collate=Collator(language.tokenizer.pad_token_id),
            config=self.config,
            targets=dataset.targets,
            blocks=model.blocks(),
        )


def blind_model(workshop: Workshop, state: State) -> EagleModel:
    """The language model alone, with the weights that its training without images gave."""
    model = EagleModel({}, None, workshop.language())
    state.load_into(model.parts())
    return model
