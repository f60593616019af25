"""task=select: which experts are worth having, found by trials."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig

from eaglebench.config.build import build_workshop, device_of, new_console, plain
from eaglebench.config.compose import options
from eaglebench.profiling.estimate.vision_cost import Cost, cost_of
from eaglebench.report.entries import SELECTION, read_selection
from eaglebench.report.plots import plots
from eaglebench.report.settings import by_family
from eaglebench.search.outcome import Tried, markdown, outcome
from eaglebench.search.selection import Figure, Figures, Set, walk
from eaglebench.search.trials import Trial, field_of, given, grouped, run_trials
from eaglebench.utils.errors import UserError, first_line
from eaglebench.utils.files import read_object, write_json, write_text
from eaglebench.utils.hashing import digest

COSTS = "costs.json"
OF_ALL = ("seeds", "score")  # of every way to search


def select(cfg: DictConfig) -> None:
    """Carry out the search of `cfg.select`, and write what it found into results/selection-NAME/."""
    settings = plain(cfg.select)
    check(settings)
    words, console = given(("select",)), new_console()
    name = f"selection-{settings['name']}-{digest([settings, sorted(words)], 6)}"
    own = of_experts(words)
    shared = [word for word in words if field_of(word).partition(".")[0] != "experts"]
    common = [*shared, *grouped(cfg, name)]
    folder = Path("results") / name
    costs = read_object(folder / COSTS) or {}  # of the same command before
    tried: dict[Set, Tried] = {}

    def cost(one: Set) -> Cost | None:
        key = "+".join(one)
        if key not in costs:
            try:
                costs[key] = asdict(cost_of_set(one, common, own))
            except RuntimeError as error:  # torch's, as when there is no room
                console.print(f"{key}: its cost cannot be measured ({first_line(error)})", markup=False, soft_wrap=True)
                return None
            write_json(folder / COSTS, costs)
        return Cost(**costs[key])

    def score(number: int, sets: Sequence[Set]) -> Figures:
        console.print(f"round {number}: {', '.join('+'.join(one) for one in sets)}", soft_wrap=True)
        new = {one: trials_of(one, settings["seeds"], own) for one in sets if one not in tried}
        trials = [trial for of_set in new.values() for trial in of_set]
        results = {result.trial: result for result in run_trials(trials, plain(cfg.launcher), console, common)}
        for one, of_set in new.items():
            came = tuple(results[trial] for trial in of_set)
            there = all(result.error is None for result in came)
            tried[one] = Tried(came, cost(one) if there else None)
        return {one: figure_of(tried[one], settings["score"]) for one in sets}

    arguments = {key: value for key, value in settings.items() if key not in (*OF_ALL, "name")}
    rounds, found = walk(instantiate(arguments), score)
    result = outcome(settings["score"], rounds, found, tried)
    write_text(folder / "selection.md", markdown(result))
    write_json(folder / SELECTION, result)
    for plot in plots([], {}, {name: read_selection(folder / SELECTION)}):
        write_text(folder / "selection.svg", plot.svg)
    console.print(markdown(result), soft_wrap=True, markup=False)
    console.print(f"wrote {folder}/: selection.json, selection.md, selection.svg")
    if failed := sum(what.error is not None for what in tried.values()):
        raise UserError(f"{failed} of {len(tried)} sets failed; the same command runs these again, and no others.")


def check(settings: Mapping[str, Any]) -> None:
    """Refuse what cannot be searched.

    Raises:
        UserError: one sentence with the way out.
    """
    known = options("experts")
    for field in ("start", "pool"):
        if not isinstance(settings.get(field, []), list):
            raise UserError(f"select.{field}={settings[field]} is no list: give 'select.{field}=[clip,sam]'.")
    for field, kind in (("seeds", int), ("min_gain", (int, float)), ("max_loss", (int, float)), ("max_sets", int)):
        if field in settings and not isinstance(settings[field], kind):
            raise UserError(f"select.{field}={settings[field]} is not a number that it can be.")
    if settings["name"] == "round_robin" and not settings["start"]:
        raise UserError("select.start is empty: name the expert to begin with, the base.")
    names = [*settings.get("start", ()), *settings["pool"]]
    for name in names:
        if name not in known:
            raise UserError(f"select names the expert {name}, which is unknown: choose from {', '.join(known)}.")
        if names.count(name) > 1:
            raise UserError(f"select names the expert {name} twice: leave it in select.start or in select.pool.")
    if not names:
        raise UserError("select.pool is empty: name experts.")
    if settings["seeds"] < 1:
        raise UserError(f"select.seeds={settings['seeds']} is not a number of trials: give 1 or more.")
    if settings.get("beyond_spread") and settings["seeds"] < 2:
        raise UserError("select.beyond_spread=true needs a spread: give select.seeds=3, or another number above 1.")


def of_experts(words: Sequence[str]) -> dict[str, list[str]]:
    """The words that are of one expert each, by its name: they go to the trials that have it.

    Raises:
        UserError: one sets what is each trial's own.
    """
    found: dict[str, list[str]] = {}
    for word in words:
        group, _, rest = field_of(word).partition(".")
        if group == "seed" or (group == "experts" and not rest):
            instead = "select.seeds=N" if group == "seed" else "select.start and select.pool"
            raise UserError(f"{word} is each trial's own here: give {instead}.")
        if group == "experts":
            found.setdefault(rest.partition(".")[0], []).append(word)
    return found


def words_of(one: Set, own: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The words of a set of experts."""
    return (f"experts=[{','.join(one)}]", *(word for name in one for word in own.get(name, ())))


def trials_of(one: Set, seeds: int, own: Mapping[str, Sequence[str]]) -> list[Trial]:
    """A trial of a set for each seed."""
    label = "+".join(one)
    return [
        Trial(f"{label} seed {seed}" if seeds > 1 else label, (*words_of(one, own), f"seed={seed}"))
        for seed in range(seeds)
    ]


def figure_of(what: Tried, name: str) -> Figure | None:
    """The scores of a set; None if a trial of it failed.

    Raises:
        UserError: there is no score of that name.
    """
    found = []
    for result in what.results:
        if result.scores is None:
            return None
        rows = by_family(result.scores)
        if name not in rows:
            raise UserError(f"select.score={name} is no score of {result.folder}: choose from {', '.join(rows)}.")
        found.append(rows[name]["score"])
    return Figure(tuple(found))


def cost_of_set(one: Set, common: Sequence[str], own: Mapping[str, Sequence[str]]) -> Cost:
    """What a set costs, joined as in its trials."""
    cfg = compose("config", [*common, *words_of(one, own)])
    return cost_of(build_workshop(cfg, outlines=True), one, device_of(cfg))
