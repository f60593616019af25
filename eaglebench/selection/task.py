"""task=select: which experts are worth having, found by trials."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig

from eaglebench.build import build_workshop, device_of, new_console, plain
from eaglebench.config import options
from eaglebench.digests import digest
from eaglebench.errors import UserError
from eaglebench.files import write_json, write_text
from eaglebench.report.compare import OVERALL
from eaglebench.selection.cost import Cost, cost_of
from eaglebench.selection.outcome import Tried, markdown, outcome
from eaglebench.selection.picture import draw
from eaglebench.selection.search import Figure, Figures, Set, walk
from eaglebench.trials import Trial, given, run_trials

OWN = ("select", "experts", "seed")  # of this task; the rest of the command line is every trial's
OF_ALL = ("seeds", "score")  # of every way to search


def select(cfg: DictConfig) -> None:
    """Carry out the search of `cfg.select`, and write what it found into results/selection-NAME/."""
    settings = plain(cfg.select)
    check(settings)
    common, console = given(OWN), new_console()
    name = f"selection-{settings['name']}-{digest([settings, sorted(common)], 6)}"
    if "wandb" in cfg.logger:
        common = [*common, f"logger.wandb.group={name}"]
    tried: dict[Set, Tried] = {}

    def score(number: int, sets: Sequence[Set]) -> Figures:
        console.print(f"round {number}: {', '.join('+'.join(one) for one in sets)}", soft_wrap=True)
        new = {one: trials_of(one, settings["seeds"]) for one in sets if one not in tried}
        trials = [trial for own in new.values() for trial in own]
        results = {result.trial: result for result in run_trials(trials, plain(cfg.launcher), console, common)}
        for one, own in new.items():
            of_set = tuple(results[trial] for trial in own)
            there = all(result.error is None for result in of_set)
            tried[one] = Tried(of_set, cost_of_set(one, common) if there else None)
        return {one: figure_of(tried[one], settings["score"]) for one in sets}

    arguments = {key: value for key, value in settings.items() if key not in (*OF_ALL, "name")}
    rounds, found = walk(instantiate(arguments), score)
    folder, result = Path("results") / name, outcome(settings["score"], rounds, found, tried)
    folder.mkdir(parents=True, exist_ok=True)
    draw(result, folder / "selection.png")
    write_text(folder / "selection.md", markdown(result))
    write_json(folder / "selection.json", result)
    console.print(markdown(result), soft_wrap=True, markup=False)
    console.print(f"wrote {folder}/: selection.json, selection.md, selection.png")


def check(settings: Mapping[str, Any]) -> None:
    """Refuse what cannot be searched.

    Raises:
        UserError: one sentence with the way out.
    """
    names = [*settings.get("start", ()), *settings["pool"]]
    known = options("experts")
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


def trials_of(one: Set, seeds: int) -> list[Trial]:
    """A trial of a set for each seed."""
    label = "+".join(one)
    return [
        Trial(f"{label} seed {seed}" if seeds > 1 else label, (f"experts=[{','.join(one)}]", f"seed={seed}"))
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
        rows = {OVERALL: result.scores["overall"], **result.scores["families"]}
        if name not in rows:
            raise UserError(f"select.score={name} is no score of {result.folder}: choose from {', '.join(rows)}.")
        found.append(rows[name]["score"])
    return Figure(tuple(found))


def cost_of_set(one: Set, common: Sequence[str]) -> Cost:
    """What a set costs, joined as in its trials."""
    cfg = compose("config", [*common, f"experts=[{','.join(one)}]"])
    return cost_of(build_workshop(cfg, outlines=True), one, device_of(cfg))
