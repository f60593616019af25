"""Runs grouped by setting: what differs between them, and their scores over the seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

OVERALL = "overall"
CHOICE_GROUPS = ("experts", "stages", "fusion", "llm", "data")  # groups whose fields depend on what is chosen in them
LIST_FIELDS = ("experts", "stages")  # fields that list what is chosen in a group
FUSION = "fusion.name"


@dataclass(frozen=True)
class ScoredRun:
    """A finished run.

    Attributes:
        name: of its folder.
        seed: of its training.
        setting: every field of its config that can change a result, by dotted name, but for the seed.
        scores: its `scores.json`.
    """

    name: str
    seed: int
    setting: Mapping[str, str]
    scores: Mapping[str, Any]


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
        """Mean ± standard deviation over several seeds; for one run its bootstrap interval, None if it has none."""
        scores = self.values(family)
        if len(scores) > 1:
            return fmean(scores) - stdev(scores), fmean(scores) + stdev(scores)
        low, high = self.values(family, "low"), self.values(family, "high")
        return (low[0], high[0]) if low and high else None

    @property
    def fusion(self) -> str:
        """The name of the fusion strategy."""
        return self.runs[0].setting.get(FUSION, "")

    @property
    def stages(self) -> list[str]:
        """The names of the training stages, in order."""
        return self.runs[0].setting["stages"].split("+")


def flatten_setting(config: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a config by dotted name, without the seed; `experts` and `stages` are the choices joined by `+`."""
    fields = {name: str(value) for name, value in flatten(config) if name not in ("seed", "fusion._target_")}
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
    """The settings of the runs, best first, and the runs that are left out, each with the run that it repeats."""
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
