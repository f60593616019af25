"""task=sweep: runs the points of a Weights & Biases sweep file, without an account."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from eaglebench.config.compose import Command
from eaglebench.evaluation.tables import format_scores_row
from eaglebench.launchers.base import build_launcher
from eaglebench.report.question_sets import NO_QUESTIONS, QuestionSet
from eaglebench.search.overrides import forwarded_overrides, override_key, wandb_group
from eaglebench.search.same_questions import find_questions
from eaglebench.search.sweep_file import read_sweep
from eaglebench.search.sweep_points import Point, list_points, point_overrides
from eaglebench.search.trials import Trial, TrialResult, run_trials
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import hash_json


def sweep(command: Command) -> None:
    """Run each point of the file `sweep` that is not finished, and print and write the scores, the best first.

    Points that answered different questions have a table each.

    Raises:
        UserError: the file cannot be run here, or runs failed; the same command runs those again.
    """
    config, console, common = command.config, new_console(), forwarded_overrides(command.overrides, ("sweep",))
    assert config.sweep is not None
    file = Path(config.sweep)
    points = list_points(read_sweep(file))
    varied = [key for key in points[0] if any(point[key] != points[0][key] for point in points)]
    if twice := {override_key(override) for override in common} & set(points[0]):
        raise UserError(f"{', '.join(sorted(twice))} is set by {file}: leave it out, or change it there.")
    trials = [Trial(label_point(point, varied), point_overrides(point)) for point in points]
    shared = [*common, *wandb_group(config, f"'{file.stem}'")]
    results = run_trials(trials, command, build_launcher(config.launcher), console, shared)
    ranked = sorted(zip(points, results, strict=True), key=lambda pair: -ranking_score(pair[1]))
    # The same file with other overrides is another sweep.
    suffix = f"-{hash_json(sorted(common), 6)}" if common else ""
    written = Path("results") / f"sweep-{file.stem}{suffix}.json"
    groups = group_by_questions(ranked)
    found = [result_json(point, result) | {"questions": asked.key} for asked, own in groups for point, result in own]
    write_json(written, found)
    for asked, own in groups:
        console.print(results_table(f"{file.stem}, {asked.title}" if len(groups) > 1 else file.stem, own, varied))
    console.print(f"wrote {written}")
    if failed := sum(result.error is not None for result in results):
        raise UserError(f"{failed} of {len(results)} runs failed; the same command runs them again, and no others.")


def group_by_questions(
    ranked: Sequence[tuple[Point, TrialResult]],
) -> list[tuple[QuestionSet, list[tuple[Point, TrialResult]]]]:
    """The ranked points by the questions that they answered; failed ones follow the best."""
    asked = {result.trial: find_questions(result) for _, result in ranked}
    best = asked[ranked[0][1].trial]
    groups: dict[str, tuple[QuestionSet, list[tuple[Point, TrialResult]]]] = {}
    for point, result in ranked:
        own = best if asked[result.trial] == NO_QUESTIONS else asked[result.trial]
        groups.setdefault(own.key, (own, []))[1].append((point, result))
    return list(groups.values())


def label_point(point: Point, varied: Sequence[str]) -> str:
    """The overrides that distinguish a point from the others, as its label; all of them if there is only one point."""
    return " ".join(point_overrides({name: point[name] for name in varied or point}))


def ranking_score(result: TrialResult) -> float:
    """The overall score; -1 for a failed trial, which comes last."""
    return -1.0 if result.scores is None else float(result.scores["overall"]["score"])


def result_json(point: Point, result: TrialResult) -> dict[str, Any]:
    """A point with its overall scores, run and error, for the JSON file."""
    overall = {} if result.scores is None else dict(result.scores["overall"])
    return {"parameters": point, **overall, "run": result.folder.name or None, "error": result.error}


def results_table(name: str, ranked: Sequence[tuple[Point, TrialResult]], varied: Sequence[str]) -> Table:
    """The table for the terminal: a row for each point with its scores, the parameters that vary, and its run."""
    table = Table(title=f"{name}: {len(ranked)} runs", title_justify="left")
    for column in ("score", "blind"):
        table.add_column(column, justify="right")
    for column in (*varied, "run"):
        table.add_column(column, overflow="fold")
    for point, result in ranked:
        cells = [escape(str(point[key])) for key in varied]  # [clip] is no markup
        if result.scores is None:
            table.add_row("failed", "", *cells, escape(str(result.error)))
        else:
            _, score, blind, _ = format_scores_row("overall", result.scores["overall"])
            table.add_row(score, blind, *cells, result.folder.name)
    return table
