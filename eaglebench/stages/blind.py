"""The no-image (blind) baseline: a language model trained on questions and answers without their images."""

from typing import Any

from eaglebench.data.collate import Collator, ConversationDataset
from eaglebench.data.source import DataSource
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel, build_encoder
from eaglebench.model.factory import ModelFactory
from eaglebench.stages.base import Stage, StageUnit
from eaglebench.stages.trained_weights import TrainedWeights
from eaglebench.training.setup import TrainingSetup


class Blind(Stage):
    """Trains a language model on the training conversations without their images. The run's own model is left alone."""

    part_kinds = ("llm",)
    config_path = "evaluation.blind"

    def units(self, factory: ModelFactory) -> list[StageUnit]:
        return [StageUnit(self.name, ())]

    def input_parts(self, unit: StageUnit) -> tuple[str, ...]:
        return ("llm",)

    def output_parts(self, unit: StageUnit, factory: ModelFactory) -> tuple[str, ...]:
        return self.input_parts(unit)

    def fingerprint(self, unit: StageUnit, factory: ModelFactory, data: DataSource) -> dict[str, Any]:
        return {"llm": factory.llm_fingerprint(), "data": data.digest}

    def build_model(self, unit: StageUnit, factory: ModelFactory) -> tuple[EagleModel, LanguageModel]:
        language = factory.build_language_model()
        return EagleModel({}, None, language), language

    def build_setup(self, unit: StageUnit, factory: ModelFactory, data: DataSource) -> TrainingSetup:
        model, language = self.build_model(unit, factory)
        dataset = ConversationDataset(data.train, build_encoder(model, language), data.reader(1), blind=True)
        return TrainingSetup(
            network=model,
            parts=model.parts(),
            learning_rates=self.lr,
            dataset=dataset,
            collate=Collator(language.tokenizer.pad_token_id),
            config_path=self.config_path,
            count_targets=dataset.count_targets,
            blocks=model.blocks(),
        )


def build_blind_model(factory: ModelFactory, trained: TrainedWeights) -> EagleModel:
    """The trained no-image baseline: a model without experts and fusion.

    Raises:
        UserError: the weights do not fit the run's language model.
    """
    model = EagleModel({}, None, factory.build_language_model())
    trained.load_into(model.parts())
    return model
