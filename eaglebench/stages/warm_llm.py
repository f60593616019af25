"""The tiny language model's first skill: answering from perfect descriptions of the synthetic pictures."""

from pathlib import Path
from typing import Any

from eaglebench.data.collate import Collator, ConversationDataset
from eaglebench.data.source import DataSource
from eaglebench.fusion.channel_concat import ChannelConcat
from eaglebench.model import EagleModel, encoder_of
from eaglebench.stages.base import Stage, Unit
from eaglebench.stages.workshop import Workshop
from eaglebench.training.training import Training
from eaglebench.zoo.cells import CellDataset, CellOracle


class WarmLanguageModel(Stage):
    """The language model with a stand-in for an expert that sees every label; its projector is thrown away.

    It learns to look answers up among visual tokens before any expert can see: a frozen language model must be competent.
    """

    kinds = ("llm", "fusion")

    def units(self, workshop: Workshop) -> list[Unit]:
        return [Unit(self.name, ())]

    def part_names(self, unit: Unit) -> tuple[str, ...]:
        return ("llm",)

    def carried(self, unit: Unit, workshop: Workshop) -> tuple[str, ...]:
        return self.part_names(unit)

    def described(self, unit: Unit, workshop: Workshop, data: DataSource) -> dict[str, Any]:
        return {"llm": workshop.described["llm"], "data": data.world.digest}

    def build(self, unit: Unit, workshop: Workshop, data: DataSource) -> Training:
        language = workshop.language()
        oracle = CellOracle()
        fusion = workshop.fusion_of({"oracle": oracle}, language.width, ChannelConcat)
        model = EagleModel({"oracle": oracle}, fusion, language)  # type: ignore[dict-item]  # all that the model asks of an expert
        world = data.world
        cells = CellDataset(world.records, world.folder, data.reader(1))
        rows = {Path(record["image"]).name: row for row, record in enumerate(world.records)}
        return Training(
            network=model,
            parts={"fusion": fusion, "llm": model.llm},
            learning_rates=self.lr,
            dataset=ConversationDataset(
                world.train, encoder_of(model, language), read_image=lambda path: cells.targets(rows[path.name])
            ),
            collate=Collator(language.tokenizer.pad_token_id),
        )
