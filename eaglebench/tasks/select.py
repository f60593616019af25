"""task=select: finds the best set of experts by training sets of them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from eaglebench.config.compose import Command
from eaglebench.launchers.base import Launcher, build_launcher
from eaglebench.report.plots import draw_plots
from eaglebench.report.run_files import read_selection
from eaglebench.report.settings import rows_by_family
from eaglebench.runs import SELECTION
from eaglebench.search.outcome import TriedSet, selection_json, selection_markdown
from eaglebench.search.overrides import (
    expert_set_overrides,
    expert_set_trials,
    forwarded_overrides,
    overrides_by_expert,
    root_key,
    wandb_group,
)
from eaglebench.search.same_questions import Asked, check_same_questions
from eaglebench.search.selection import ExpertSet, RoundScores, SeedScores, run_search
from eaglebench.search.trials import run_trials
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError, first_line
from eaglebench.utils.files import read_json_object, write_json, write_text
from eaglebench.utils.hashing import hash_json, without_module_paths

if TYPE_CHECKING:
    from eaglebench.profiling.estimate.vision_cost import VisionCost

COSTS = "costs.json"


def select(command: Command) -> None:
    """Run the search of `select`, and write its table, JSON and plot into results/selection-NAME-HASH/.

    Raises:
        UserError: an override belongs to single trials, the search cannot begin, or sets failed. The same command
            runs failed sets again.
    """
    settings = command.config.select
    assert settings is not None
    overrides, console = forwarded_overrides(command.overrides, ("select",)), new_console()
    fingerprint = [without_module_paths(command.resolved["select"]), sorted(overrides)]
    folder = Path("results") / f"selection-{settings.name}-{hash_json(fingerprint, 6)}"
    scorer = SetScorer(command, overrides, folder, console, build_launcher(command.config.launcher))
    rounds, result = run_search(resolve_name(settings.target)(**settings.arguments), scorer.score_round)
    selection = selection_json(settings.score, rounds, result, scorer.tried)
    table = selection_markdown(selection)
    write_text(folder / "selection.md", table)
    write_json(folder / SELECTION, selection)
    for plot in draw_plots([], {}, {folder.name: read_selection(folder / SELECTION)}):
        write_text(folder / "selection.svg", plot.svg)
    console.print(table, soft_wrap=True, markup=False)
    console.print(f"wrote {folder}/: selection.json, selection.md, selection.svg")
    if failed := sum(tried.error is not None for tried in scorer.tried.values()):
        raise UserError(
            f"{failed} of {len(scorer.tried)} sets failed; the same command runs these again, and no others."
        )


class SetScorer:
    """Trains and scores sets of experts, each once, and measures what they cost.

    Args:
        command: of the selection.
        overrides: that its trials get too; those below `experts.NAME` go to the trials with this expert.
        folder: keeps the costs, for the same command later.

    Attributes:
        tried: what is known of each set so far.
    """

    def __init__(
        self, command: Command, overrides: Sequence[str], folder: Path, console: Console, launcher: Launcher
    ) -> None:
        assert command.config.select is not None
        self.command = command
        self.settings = command.config.select
        self.by_expert = overrides_by_expert(overrides)
        shared = [override for override in overrides if root_key(override) != "experts"]
        self.common = [*shared, *wandb_group(command.config, folder.name)]
        self.costs_file = folder / COSTS
        self.costs = read_json_object(self.costs_file) or {}
        self.console = console
        self.launcher = launcher
        self.tried: dict[ExpertSet, TriedSet] = {}
        self.asked: Asked | None = None

    def score_round(self, number: int, sets: Sequence[ExpertSet]) -> RoundScores:
        """The scores of the sets that the round of this number tries; trains those that were not tried before.

        Raises:
            UserError: sets, of this round or before, answered different questions.
        """
        self.console.print(f"round {number}: {', '.join('+'.join(experts) for experts in sets)}", soft_wrap=True)
        new = {
            experts: expert_set_trials(experts, self.settings.seeds, self.by_expert)
            for experts in sets
            if experts not in self.tried
        }
        trials = [trial for of_set in new.values() for trial in of_set]
        results = {
            result.trial: result
            for result in run_trials(trials, self.command, self.launcher, self.console, self.common)
        }
        self.asked = check_same_questions(results.values(), self.asked)
        for experts, of_set in new.items():
            set_results = tuple(results[trial] for trial in of_set)
            complete = all(result.error is None for result in set_results)
            self.tried[experts] = TriedSet(set_results, self.read_or_measure_cost(experts) if complete else None)
        return {experts: seed_scores(self.tried[experts], self.settings.score) for experts in sets}

    def read_or_measure_cost(self, experts: ExpertSet) -> "VisionCost | None":
        """The cost of a set's vision side, measured once in a selection.

        None, which is logged, if it cannot be measured.
        """
        # Here, because it imports torch, which takes seconds, and most refusals come before.
        from eaglebench.profiling.estimate.vision_cost import VisionCost

        key = "+".join(experts)
        with suppress(KeyError, ValidationError):  # not measured yet, or the file is damaged
            return TypeAdapter(VisionCost).validate_python(self.costs[key])
        try:
            cost = self.measure_cost(experts)
        except RuntimeError as error:  # torch's, as when the device has too little memory
            message = f"{key}: its cost cannot be measured ({first_line(error)})"
            self.console.print(message, markup=False, soft_wrap=True)
            return None
        self.costs[key] = asdict(cost)
        write_json(self.costs_file, self.costs)
        return cost

    def measure_cost(self, experts: ExpertSet) -> "VisionCost":
        """The cost of a set's vision side, fused as in its trials."""
        from eaglebench.config.build import build_factory
        from eaglebench.profiling.estimate import vision_cost

        config = self.command.compose([*self.common, *expert_set_overrides(experts, self.by_expert)]).config
        factory = build_factory(config, without_weights=True)
        return vision_cost.measure_vision_cost(factory, experts, config.trainer.device)


def seed_scores(tried: TriedSet, name: str) -> SeedScores | None:
    """The scores of this name of a set's trials; None if a trial failed.

    Raises:
        UserError: there is no score of that name.
    """
    found = []
    for result in tried.results:
        if result.scores is None:
            return None
        rows = rows_by_family(result.scores)
        if name not in rows:
            raise UserError(f"select.score={name} is no score of {result.folder}: choose from {', '.join(rows)}.")
        found.append(rows[name]["score"])
    return SeedScores(tuple(found))
