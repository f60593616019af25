"""What a stage is: which models it trains, which of their parts, on what, for how long."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from eaglebench.data.source import DataSource
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import Workshop
from eaglebench.training.setup import Schedule, Training
from eaglebench.utils.errors import UserError


class Unit(NamedTuple):
    """One model that a stage trains: its label in progress and logs, and its experts."""

    label: str
    experts: tuple[str, ...]


class Stage(ABC):
    """A stage of training. Holds numbers and names; models are built by the workshop.

    Args:
        name: in the config, progress and logs.
        lr: learning rates by kind of part (`experts`, `fusion`, `llm` ...); 0 freezes.
        schedule: the rest of the optimisation.
        unfreeze_at: optimizer step before which a kind of part does not train.
    """

    kinds: tuple[str, ...] = ("experts", "fusion", "llm")

    def __init__(
        self, name: str, lr: Mapping[str, float], schedule: Schedule, unfreeze_at: Mapping[str, int] | None = None
    ) -> None:
        self.unfreeze_at = dict(unfreeze_at or {})
        for field, given in (("lr", lr), ("unfreeze_at", self.unfreeze_at)):
            if unknown := set(given) - set(self.kinds):
                raise UserError(
                    f"stages.{name}.{field} names {', '.join(sorted(unknown))}; this stage trains {', '.join(self.kinds)}."
                )
        self.name = name
        self.lr = {kind: float(lr.get(kind) or 0.0) for kind in self.kinds}
        self.schedule = schedule

    @property
    def config(self) -> str:
        """Where its settings are, for what is told of them."""
        return f"stages.{self.name}"

    @abstractmethod
    def units(self, workshop: Workshop) -> list[Unit]:
        """The models that this stage trains, one after the other."""

    @abstractmethod
    def carried(self, unit: Unit, workshop: Workshop) -> tuple[str, ...]:
        """Names of the parts whose trained weights later stages get."""

    @abstractmethod
    def described(self, unit: Unit, workshop: Workshop, data: DataSource) -> dict[str, Any]:
        """Everything beside the schedule, the seed and earlier weights that this unit's result depends on."""

    @abstractmethod
    def part_names(self, unit: Unit) -> tuple[str, ...]:
        """Names of the parts that take over the weights of earlier stages."""

    @abstractmethod
    def model(self, unit: Unit, workshop: Workshop) -> tuple[EagleModel, LanguageModel]:
        """The unit's model with fresh weights."""

    @abstractmethod
    def build(self, unit: Unit, workshop: Workshop, data: DataSource) -> Training:
        """The unit's model and data, ready to be trained, with fresh weights."""

    def learning_rate(self, part: str, workshop: Workshop) -> float:
        """The learning rate of a named part; 0 if it is frozen."""
        kind, _, name = part.partition(".")
        if kind == "experts":
            spec = workshop.experts[name]
            if spec.frozen or not self.lr["experts"]:
                return 0.0
            return self.lr["experts"] if spec.lr is None else spec.lr
        return self.lr.get(kind, 0.0)
