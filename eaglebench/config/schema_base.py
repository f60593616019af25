"""What the groups of the typed configuration are made of."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Len, Lt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

NONE = "none"  # on the command line, for a path that is not wanted

EAGLE_RELEASE = "eagle_release"

Fraction = Annotated[float, Ge(0), Lt(1)]


class Section(BaseModel):
    """A group of fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)


class Component(Section):
    """What a class or function of any importable module makes: its `_target_`, and its arguments beside the fields
    that are declared here.

    Attributes:
        PROVIDED: arguments that the code passes, and a config cannot.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)
    PROVIDED: ClassVar[frozenset[str]] = frozenset()

    target: str = Field(alias="_target_")

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the constructor, `_target_` left out."""
        return {key: value for key, value in (self.model_extra or {}).items() if not key.startswith("_")}

    @property
    def spec(self) -> dict[str, Any]:
        """`_target_` and the arguments, as `config.build` builds them."""
        return {"_target_": self.target, **self.arguments}


class Lora(Section):
    """Low-rank adapters (arXiv 2106.09685); none at rank 0."""

    rank: NonNegativeInt
    alpha: PositiveInt
    dropout: Fraction


class OptimizationConfig(Section):
    """AdamW with a warm-up and a cosine, and how batches are cut."""

    batch_size: PositiveInt
    micro_batch: PositiveInt | None
    steps: PositiveInt | None
    epochs: PositiveFloat | None
    warmup: Annotated[float, Field(ge=0, le=1)]
    weight_decay: NonNegativeFloat
    betas: Annotated[list[Fraction], Len(2, 2)]
    grad_clip: NonNegativeFloat
    nonfinite: Literal["stop", "skip"]


OPTIMIZATION = tuple(OptimizationConfig.model_fields)


def optional_path(value: str | None) -> Path | None:
    """The path of a field that may be null or none."""
    return None if value is None or value == NONE else Path(value).expanduser()
