"""What every stage promises: which models it trains, which of their parts, on what data, and how."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import NonNegativeFloat, NonNegativeInt

from eaglebench.data.source import DataSource
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import ModelFactory
from eaglebench.training.hyperparameters import Hyperparameters
from eaglebench.training.setup import TrainingSetup
from eaglebench.utils.errors import UserError


class StageUnit(NamedTuple):
    """One model that a stage trains: its label in progress and logs, and the names of its experts."""

    label: str
    experts: tuple[str, ...]


class Stage(ABC):
    """A stage of training. It holds numbers and names; the factory builds the models.

    Parts have names as `experts.sam`, `fusion` and `llm`; the kind of a part is the word before the first dot.

    Args:
        name: in the config, progress and logs.
        lr: learning rates by kind of part (`experts`, `fusion`, `llm`); 0 freezes.
        hyperparameters: of the optimisation.
        unfreeze_at: by kind of part, the optimizer step until which it stays frozen.
        group_by_length: make batches of samples whose texts are about as long as each other.

    Raises:
        UserError: a kind of part that this stage does not have.
    """

    part_kinds: tuple[str, ...] = ("experts", "fusion", "llm")

    def __init__(
        self,
        name: str,
        lr: Mapping[str, NonNegativeFloat],
        hyperparameters: Hyperparameters,
        unfreeze_at: Mapping[str, NonNegativeInt] | None = None,
        group_by_length: bool = False,
    ) -> None:
        self.unfreeze_at = dict(unfreeze_at or {})
        for field, kinds in (("lr", lr), ("unfreeze_at", self.unfreeze_at)):
            if unknown := set(kinds) - set(self.part_kinds):
                raise UserError(
                    f"stages.{name}.{field} names {', '.join(sorted(unknown))}; this stage trains "
                    f"{', '.join(self.part_kinds)}."
                )
        self.name = name
        self.lr = {kind: float(lr.get(kind) or 0.0) for kind in self.part_kinds}
        self.hyperparameters = hyperparameters
        self.group_by_length = group_by_length

    @property
    def config_path(self) -> str:
        """Where its settings are in the config, for messages."""
        return f"stages.{self.name}"

    @abstractmethod
    def units(self, factory: ModelFactory) -> list[StageUnit]:
        """The models that this stage trains, one after the other."""

    @abstractmethod
    def input_parts(self, unit: StageUnit) -> tuple[str, ...]:
        """Names of the parts that start from the weights of earlier stages."""

    @abstractmethod
    def output_parts(self, unit: StageUnit, factory: ModelFactory) -> tuple[str, ...]:
        """Names of the parts whose trained weights later stages start from."""

    @abstractmethod
    def fingerprint(self, unit: StageUnit, factory: ModelFactory, data: DataSource) -> dict[str, Any]:
        """What a unit's result depends on beside hyperparameters, seed and earlier weights; JSON, for its key."""

    @abstractmethod
    def build_model(self, unit: StageUnit, factory: ModelFactory) -> tuple[EagleModel, LanguageModel]:
        """The unit's model with its first weights, and its language model."""

    @abstractmethod
    def build_setup(self, unit: StageUnit, factory: ModelFactory, data: DataSource) -> TrainingSetup:
        """The unit's model with its first weights, its data and its learning rates.

        Raises:
            UserError: the data has nothing that this stage can train on.
        """

    def learning_rate(self, part: str, factory: ModelFactory) -> float:
        """The learning rate of the named part; 0 if it is frozen."""
        kind, _, name = part.partition(".")
        if kind == "experts":
            spec = factory.experts[name]
            if spec.frozen or not self.lr["experts"]:
                return 0.0
            return self.lr["experts"] if spec.lr is None else spec.lr
        return self.lr.get(kind, 0.0)
