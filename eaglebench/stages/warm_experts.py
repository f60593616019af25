"""The tiny experts' first skill: what lies in each cell of a synthetic picture."""

from typing import Any

from eaglebench.data.source import DataSource
from eaglebench.stages.base import Stage, Unit
from eaglebench.stages.workshop import Workshop
from eaglebench.training.training import Training
from eaglebench.zoo.cells import CellBatch, CellDataset, CellReader


class WarmExperts(Stage):
    """Each expert with a linear head on its own; the head is thrown away. Always on the synthetic world."""

    kinds = ("expert", "head")

    def units(self, workshop: Workshop) -> list[Unit]:
        return [
            Unit(f"{self.name}/{name}", (name,))
            for name, spec in workshop.experts.items()
            if spec.checkpoint is None and self.learning_rate(f"experts.{name}", workshop)
        ]

    def learning_rate(self, part: str, workshop: Workshop) -> float:
        kind, _, name = part.partition(".")
        # Freezing an expert freezes what it learned here, not its random weights.
        return self.lr["expert"] * workshop.experts[name].lr_scale if kind == "experts" else self.lr.get(kind, 0.0)

    def part_names(self, unit: Unit) -> tuple[str, ...]:
        return (f"experts.{unit.experts[0]}",)

    def carried(self, unit: Unit, workshop: Workshop) -> tuple[str, ...]:
        return self.part_names(unit)

    def described(self, unit: Unit, workshop: Workshop, data: DataSource) -> dict[str, Any]:
        return {"expert": workshop.experts[unit.experts[0]].described, "data": data.world.digest}

    def build(self, unit: Unit, workshop: Workshop, data: DataSource) -> Training:
        (name,) = unit.experts
        expert = workshop.expert(name)
        network = workshop.seeded("head", lambda: CellReader(expert))
        part = f"experts.{name}"
        return Training(
            network=network,
            parts={part: expert, "head": network.head},
            learning_rates={part: self.learning_rate(part, workshop), "head": self.lr["head"]},
            dataset=CellDataset(data.world.records, data.world.folder, data.reader(expert.image_size)),
            collate=CellBatch.collate,
        )
