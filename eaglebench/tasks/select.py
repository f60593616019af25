"""task=select: which experts are worth having, found by trials."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig

from eaglebench.config.build import build_workshop
from eaglebench.config.schema import check, device_of, plain
from eaglebench.profiling.estimate.vision_cost import Cost, cost_of
from eaglebench.report.entries import read_selection
from eaglebench.report.plots import plots
from eaglebench.report.settings import by_family
from eaglebench.runs import SELECTION
from eaglebench.search.outcome import Tried, markdown, outcome
from eaglebench.search.overrides import field_of, given, grouped, of_experts, trials_of, words_of
from eaglebench.search.selection import Figure, Figures, Set, walk
from eaglebench.search.trials import run_trials
from eaglebench.utils.console import new_console
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
