"""Runs side by side: what varies between them, and their scores by family over the seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

OVERALL = "overall"
CHOSEN = (
    "experts",
    "stages",
    "fusion",
    "llm",
    "data",
    "weights",
    "presets",
)  # groups with fields of what is chosen in them


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        name: of its folder.
        seed: of its training.
        setting: every field of its config but the seed and what does not change a result, by its dotted name.
        scores: its `scores.json`.
    """

    name: str
    seed: int
    setting: Mapping[str, str]
    scores: Mapping[str, Any]


@dataclass(frozen=True)
class Setting:
    """Runs that differ in their seed alone.

    Attributes:
        fields: what tells it from the other settings, by its dotted name.
    """

    fields: Mapping[str, str]
    runs: Sequence[Run]

    def values(self, family: str, key: str = "score") -> list[float]:
        """One figure of each run that has the family."""
        return values(self.runs, family, key)

    def mean(self, family: str) -> float:
        """Of the runs that have the family."""
        return fmean(self.values(family))

    def interval(self, family: str) -> tuple[float, float] | None:
        """Mean ± standard deviation over several seeds; of one run, its bootstrap bounds if it has them."""
        found = self.values(family)
        if len(found) > 1:
            return fmean(found) - stdev(found), fmean(found) + stdev(found)
        low, high = self.values(family, "low"), self.values(family, "high")
        return (low[0], high[0]) if low and high else None


def setting_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The config flattened, experts and stages as two fields more, in their order."""
    fields = {name: str(value) for name, value in flat(config) if name not in ("seed", "fusion._target_")}
    return {"experts": "+".join(config["experts"]), "stages": "+".join(config["stages"]), **fields}


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of all fields."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def differing(runs: Sequence[Run]) -> list[str]:
    """The fields that have more than one value among the runs; `experts` if there are none. A run without a field counts as one that has
    null there, but in the groups whose fields come with a choice that differs itself."""
    names = dict.fromkeys(name for run in runs for name in run.setting)
    found = []
    for name in names:
        by_choice = name.partition(".")[0] in CHOSEN
        values = {run.setting.get(name, str(None)) for run in runs if name in run.setting or not by_choice}
        if len(values) > 1:
            found.append(name)
    return found or ["experts"]


def settings_of(runs: Sequence[Run]) -> tuple[list[Setting], dict[str, str]]:
    """The settings of runs, the best first, and the runs left out of them, each with the one that it repeats."""
    names = differing(runs)
    found: dict[tuple[str, ...], dict[int, Run]] = {}
    repeated: dict[str, str] = {}
    for run in runs:
        seeds = found.setdefault(tuple(run.setting.get(name, "") for name in names), {})
        if run.seed in seeds:
            repeated[run.name] = seeds[run.seed].name
        else:
            seeds[run.seed] = run
    settings = [Setting(dict(zip(names, key, strict=True)), list(of.values())) for key, of in found.items()]
    return sorted(settings, key=lambda setting: -setting.mean(OVERALL)), repeated


def families_of(runs: Sequence[Run]) -> list[str]:
    """OVERALL and every family of any run."""
    return [OVERALL, *sorted({family for run in runs for family in run.scores["families"]})]


def by_family(scores: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The rows of a `scores.json`: OVERALL and every family."""
    return {OVERALL: scores[OVERALL], **scores["families"]}


def values(runs: Sequence[Run], family: str, key: str) -> list[float]:
    """One figure of each run that has it for the family."""
    rows = [by_family(run.scores).get(family, {}) for run in runs]
    return [row[key] for row in rows if key in row]
