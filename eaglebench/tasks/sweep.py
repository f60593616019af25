"""task=sweep: the runs of a sweep file of Weights & Biases, without an account."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table

from eaglebench.config.schema import plain
from eaglebench.evaluation.tables import scores_row
from eaglebench.search.overrides import field_of, given, grouped
from eaglebench.search.sweep_file import read
from eaglebench.search.sweep_points import Point, points, words
from eaglebench.search.trials import Result, Trial, run_trials
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import digest


def sweep(cfg: DictConfig) -> None:
    """Run each point of `cfg.sweep` that is not finished, and tell the scores, the best first.

    Raises:
        UserError: the file cannot be run here, or runs failed; those are run by the same command again.
    """
    file, console, common = cfg.sweep, new_console(), given(["sweep"])
    if file is None:
        raise UserError("task=sweep needs a file: sweep=sweeps/table4_fusion.yaml.")
    name, found = Path(file).stem, points(read(Path(file)))
    varied = [key for key in found[0] if any(point[key] != found[0][key] for point in found)]
    if twice := {field_of(word) for word in common} & set(found[0]):
        raise UserError(f"{', '.join(sorted(twice))} is set by {file}: leave it out, or change it there.")
    trials = [Trial(label(point, varied), words(point)) for point in found]
    results = run_trials(trials, plain(cfg.launcher), console, [*common, *grouped(cfg, f"'{name}'")])
    ranked = sorted(zip(found, results, strict=True), key=lambda pair: -score_of(pair[1]))
    # The same file with other words is another sweep.
    more = f"-{digest(sorted(common), 6)}" if common else ""
    written = Path("results") / f"sweep-{name}{more}.json"
    write_json(written, [row(point, result) for point, result in ranked])
    console.print(table(name, ranked, varied), f"wrote {written}")
    if failed := sum(result.error is not None for result in results):
        raise UserError(f"{failed} of {len(results)} runs failed; the same command runs them again, and no others.")


def label(point: Point, varied: Sequence[str]) -> str:
    """What tells a point from the others."""
    return " ".join(words({name: point[name] for name in varied or point}))


def score_of(result: Result) -> float:
    """For the ranking; what failed comes last."""
    return -1.0 if result.scores is None else float(result.scores["overall"]["score"])


def row(point: Point, result: Result) -> dict[str, Any]:
    """What came of a point, for the file."""
    overall = {} if result.scores is None else dict(result.scores["overall"])
    return {"parameters": point, **overall, "run": result.folder.name or None, "error": result.error}


def table(name: str, ranked: Sequence[tuple[Point, Result]], varied: Sequence[str]) -> Table:
    """Scores and what was varied, for the terminal."""
    found = Table(title=f"{name}: {len(ranked)} runs", title_justify="left")
    for column in ("score", "blind"):
        found.add_column(column, justify="right")
    for column in (*varied, "run"):
        found.add_column(column, overflow="fold")
    for point, result in ranked:
        cells = [escape(str(point[key])) for key in varied]  # [clip] is no markup
        if result.scores is None:
            found.add_row("failed", "", *cells, escape(str(result.error)))
        else:
            _, score, blind, _ = scores_row("overall", result.scores["overall"])
            found.add_row(score, blind, *cells, result.folder.name)
    return found
