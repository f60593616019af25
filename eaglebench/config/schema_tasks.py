"""The settings of single tasks: what conf/task/NAME.yaml adds to the configuration."""

from pathlib import Path

from pydantic import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from eaglebench.config.schema_base import Component, OptimizationConfig, Section


class CompareConfig(Section):
    runs: list[str]


class ReportConfig(Section):
    runs: str
    to: Path
    images: NonNegativeInt
    smoke_tests: bool


class PlanConfig(Section):
    tokens: PositiveInt | None
    samples: PositiveInt | None
    flops: PositiveFloat


class ConvertConfig(Section):
    benchmark: str | None
    source: str | None
    to: str | None


class BenchConfig(Component):
    """What is measured; the fields are those of the function that measures."""

    PROVIDED = frozenset({"command"})


class SelectConfig(Component):
    """How experts are selected; the search's own fields are its function's."""

    name: str
    score: str
    seeds: PositiveInt


class PretextConfig(Component):
    PROVIDED = frozenset({"part"})


class PretrainConfig(OptimizationConfig):
    """One part of the zoo and its pretext task."""

    part: str
    pretext: PretextConfig
    kinds: dict[str, NonNegativeFloat]
    lr: PositiveFloat
    steps: PositiveInt
    folder: Path
    validation_images: PositiveInt
