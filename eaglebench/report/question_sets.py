"""Which questions a run's scores are of. Scores are ranked and averaged within one set of questions alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.question_identity import name_metric
from eaglebench.runs import INPUTS
from eaglebench.utils.hashing import hash_json

SYNTHETIC = "synthetic"
KEY_LENGTH = 6  # hex digits, as in the names of runs
MAX_NAMES = 4  # benchmarks that the name of a set lists
# What decides the questions of the synthetic world, besides its renderers.
WORLD = ("val_questions", "canvas", "seed")


@dataclass(frozen=True)
class FamilyQuestions:
    """The questions of one family that a run answered.

    Attributes:
        key: the same in every run that answered the same questions, whose scores alone can be compared.
        metric: what scored them, see `name_metric`.
        count: their number.
    """

    key: str
    metric: str
    count: int


@dataclass(frozen=True)
class QuestionSet:
    """The questions whose mean score is the overall score of a run.

    Attributes:
        key: the same for runs that answered the same questions, scored by the same metrics, and for no others.
        name: of the data that the questions are from.
        families: what is known of each family.
        later: of the benchmarks that the run was asked later, which are no part of the overall score.
        smoke_test: whether the run has fast=true. Smoke tests are a set of their own.
        known: whether the run's predictions say what was asked. Otherwise its config and counts decide.
    """

    key: str = ""
    name: str = ""
    families: Mapping[str, FamilyQuestions] = field(default_factory=dict)
    later: Mapping[str, FamilyQuestions] = field(default_factory=dict)
    smoke_test: bool = False
    known: bool = True

    @property
    def count(self) -> int:
        """The number of questions."""
        return sum(each.count for each in self.families.values())

    @property
    def title(self) -> str:
        """The name, and how many questions of how many families."""
        families = f"{len(self.families)} famil{'y' if len(self.families) == 1 else 'ies'}"
        smoke = "smoke tests on " if self.smoke_test else ""
        return f"{smoke}{self.name}: {self.count:,} question{'' if self.count == 1 else 's'} of {families}"

    @property
    def metrics(self) -> str:
        """The metrics with their families, as in `anls: document, text; exact: area`."""
        by_metric: dict[str, list[str]] = {}
        for family, each in sorted(self.families.items()):
            by_metric.setdefault(each.metric or "unknown metric", []).append(family)
        return "; ".join(f"{metric}: {', '.join(families)}" for metric, families in sorted(by_metric.items()))


NO_QUESTIONS = QuestionSet()


def find_question_set(
    config: Mapping[str, Any],
    manifest: Mapping[str, Any],
    counted: Mapping[str, Mapping[str, Any]],
    answered: Mapping[str, FamilyQuestions],
) -> QuestionSet:
    """The questions of a run.

    Args:
        config: of the run.
        manifest: of the run; its input files tell runs apart that have no predictions.
        counted: the rows of the families that its overall score is the mean of.
        answered: all questions that it answered, by family.
    """
    evaluation = as_mapping(config.get("evaluation"))
    unknown = hash_json([identify_data(config, manifest)], KEY_LENGTH)
    families = {
        name: answered.get(name) or FamilyQuestions(unknown, name_metric(name, evaluation), int(row.get("n", 0)))
        for name, row in counted.items()
    }
    smoke_test = bool(config.get("fast"))
    keys = sorted((name, each.key, each.metric, each.count) for name, each in families.items())
    return QuestionSet(
        key=hash_json([keys, smoke_test], KEY_LENGTH),
        name=name_questions(config, families),
        families=families,
        later={name: each for name, each in answered.items() if name not in families},
        smoke_test=smoke_test,
        known=all(name in answered for name in counted),
    )


def identify_data(config: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[Any]:
    """What a run says of its held-out data without its predictions: the files, their hashes, or the world."""
    data, world = as_mapping(config.get("data")), as_mapping(config.get("world"))
    benchmarks = as_mapping(as_mapping(config.get("evaluation")).get("benchmarks"))
    files = [str(name) for name in (data.get("val"), *benchmarks.values()) if name]
    inputs = as_mapping(manifest.get(INPUTS))
    drawn = [world.get(name) for name in WORLD] if data.get("source") == SYNTHETIC else []
    return [data.get("source"), files, [inputs.get(name) for name in files], drawn]


def name_questions(config: Mapping[str, Any], families: Iterable[str]) -> str:
    """The name of the held-out data: the benchmarks, `synthetic`, or the name of the file."""
    names, data = sorted(families), as_mapping(config.get("data"))
    asked = as_mapping(as_mapping(config.get("evaluation")).get("benchmarks"))
    if all(name in BENCHMARKS for name in names) and (not data.get("val") or any(name in asked for name in names)):
        return ", ".join(names) if len(names) <= MAX_NAMES else f"{len(names)} benchmarks"
    if data.get("source") == SYNTHETIC:
        return SYNTHETIC
    return PurePath(str(data["val"])).name if data.get("val") else "unnamed data"


def as_mapping(value: object) -> Mapping[str, Any]:
    """The value if it is a mapping, and an empty one otherwise: configs of other versions may have anything."""
    return value if isinstance(value, Mapping) else {}
