"""The tiny language model's first skill: answering from what the base expert sees."""

from eaglebench.stages.base import Unit
from eaglebench.stages.joint import OwnProjector
from eaglebench.stages.workshop import Workshop


class WarmLanguageModel(OwnProjector):
    """The language model with the base expert and a projector that is thrown away: a frozen one must be competent.

    Skipped for a language model that has weights of its own.
    """

    def units(self, workshop: Workshop) -> list[Unit]:
        if workshop.described["llm"].get("checkpoint") is not None:
            return []
        return [Unit(self.name, (next(iter(workshop.experts)),))]
