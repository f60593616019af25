"""Runs grouped by setting: what differs between them, and their scores over the seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from statistics import fmean, stdev
from typing import Any

from eaglebench.data.sample import OF_WORLD
from eaglebench.report.question_sets import NO_QUESTIONS, SYNTHETIC, QuestionSet
from eaglebench.utils.intervals import normal_interval

OVERALL = "overall"
CHOICE_GROUPS = ("experts", "stages", "fusion", "llm", "data")  # groups whose fields depend on what is chosen in them
LIST_FIELDS = ("experts", "stages")  # fields that list what is chosen in a group
FUSION = "fusion.name"
HIDDEN_GROUPS = ("presets", "hydra", "report")  # of a config; they say nothing of a run that its other fields do not


@dataclass(frozen=True)
class ScoredRun:
    """A finished run.

    Attributes:
        name: of its folder.
        seed: of its training.
        setting: every field of its config that can change a result, by dotted name, but for the seed.
        scores: its `scores.json`.
        questions: what its overall score is the mean of.
    """

    name: str
    seed: int
    setting: Mapping[str, str]
    scores: Mapping[str, Any]
    questions: QuestionSet = NO_QUESTIONS


@dataclass(frozen=True)
class Setting:
    """Runs that differ in nothing but their seed.

    Attributes:
        fields: those that differ between the settings of a report, by dotted name.
        runs: one for each seed.
    """

    fields: Mapping[str, str]
    runs: Sequence[ScoredRun]

    def values(self, family: str, key: str = "score") -> list[float]:
        """The value under `key` of each run that has the family."""
        return collect_values(self.runs, family, key)

    def mean(self, family: str) -> float:
        """The mean score over the runs that have the family."""
        return fmean(self.values(family))

    def interval(self, family: str) -> tuple[float, float] | None:
        """Mean ± standard deviation over several seeds; for one run its 95 % interval, None if it has none.

        Runs of older versions have a standard error in place of the interval's bounds.
        """
        scores = self.values(family)
        if len(scores) > 1:
            return fmean(scores) - stdev(scores), fmean(scores) + stdev(scores)
        low, high, error = (self.values(family, key) for key in ("low", "high", "stderr"))
        if low and high:
            return low[0], high[0]
        return normal_interval(scores[0], error[0]) if scores and error else None

    def gain(self, family: str) -> float | None:
        """The mean of score less no-image score, over the runs that have both; None if none has."""
        rows = [rows_by_family(run.scores).get(family, {}) for run in self.runs]
        gains = [row["score"] - row["blind"] for row in rows if "score" in row and "blind" in row]
        return fmean(gains) if gains else None

    @property
    def experts(self) -> str:
        """The names of the experts, joined by `+`."""
        return self.runs[0].setting.get("experts", "")

    @property
    def data(self) -> str:
        """The name of the training data."""
        return name_training_data(self.runs[0].setting)

    @property
    def questions(self) -> QuestionSet:
        """What the overall score is the mean of."""
        return self.runs[0].questions

    @property
    def other_fields(self) -> dict[str, str]:
        """The fields that differ and that its runs have, without those that have a column of their own."""
        return {name: value for name, value in self.fields.items() if value and name not in ("experts", FUSION)}

    @property
    def fusion(self) -> str:
        """The name of the fusion strategy."""
        return self.runs[0].setting.get(FUSION, "")

    @property
    def stages(self) -> list[str]:
        """The names of the training stages, in order."""
        return self.runs[0].setting["stages"].split("+")


def name_training_data(setting: Mapping[str, str]) -> str:
    """The name of a run's training data: `synthetic`, or the names of the files of its data and of its stages."""
    first = [SYNTHETIC] if setting.get("data.source") == SYNTHETIC else [setting.get("data.train", "")]
    of_stages = [value for name, value in setting.items() if name.startswith("stages.") and name.endswith(".data")]
    unnamed = ("", "None", *(OF_WORLD if SYNTHETIC in first else ()))  # they are of the same images
    return ", ".join(dict.fromkeys(PurePath(file).name for file in (*first, *of_stages) if file not in unnamed))


def flatten_setting(config: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a config by dotted name, without the seed; `experts` and `stages` are the choices joined by `+`."""
    shown = {name: value for name, value in config.items() if name not in (*HIDDEN_GROUPS, "seed")}
    fields = {name: str(value) for name, value in flatten(shown) if name != "fusion._target_"}
    return {**{name: "+".join(config[name]) for name in LIST_FIELDS}, **fields}


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of every field."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def find_differing_fields(runs: Sequence[ScoredRun]) -> list[str]:
    """The fields with more than one value among the runs; `experts` if there are none.

    A run without a field counts as one with null there. In CHOICE_GROUPS it is left out instead: such a field comes
    with a choice, which differs itself.
    """
    names = dict.fromkeys(name for run in runs for name in run.setting)
    differing = []
    for name in names:
        by_choice = name.partition(".")[0] in CHOICE_GROUPS
        values = {run.setting.get(name, str(None)) for run in runs if name in run.setting or not by_choice}
        if len(values) > 1:
            differing.append(name)
    return differing or ["experts"]


def group_runs(runs: Sequence[ScoredRun]) -> tuple[list[Setting], dict[str, str]]:
    """The settings of runs on one set of questions, best first, and the runs that are left out, each with the run that
    it repeats.
    """
    names = find_differing_fields(runs)
    groups: dict[tuple[str, ...], dict[int, ScoredRun]] = {}
    repeated: dict[str, str] = {}
    for run in runs:
        by_seed = groups.setdefault(tuple(run.setting.get(name, "") for name in names), {})
        if run.seed in by_seed:
            repeated[run.name] = by_seed[run.seed].name
        else:
            by_seed[run.seed] = run
    settings = [
        Setting(dict(zip(names, values, strict=True)), list(by_seed.values())) for values, by_seed in groups.items()
    ]
    return sorted(settings, key=lambda setting: -setting.mean(OVERALL)), repeated


def list_families(runs: Sequence[ScoredRun]) -> list[str]:
    """OVERALL and every family of any run, sorted."""
    return [OVERALL, *sorted({family for run in runs for family in run.scores["families"]})]


def rows_by_family(scores: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The rows of a `scores.json`: OVERALL and every family."""
    return {OVERALL: scores[OVERALL], **scores["families"]}


def collect_values(runs: Sequence[ScoredRun], family: str, key: str) -> list[float]:
    """The value under `key` of each run that has one for the family."""
    rows = [rows_by_family(run.scores).get(family, {}) for run in runs]
    return [row[key] for row in rows if key in row]
