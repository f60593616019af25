"""task=sweep: the runs of a sweep file of Weights & Biases, without an account."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.markup import escape
from rich.table import Table
from yaml import YAMLError

from eaglebench.config.build import new_console, plain
from eaglebench.evaluation.tables import scores_row
from eaglebench.search.sweep_points import BOUNDED, Point, points, words
from eaglebench.search.trials import Result, Trial, field_of, given, grouped, run_trials
from eaglebench.utils.errors import UserError, first_line
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import digest

METHODS = ("grid", "random")


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


def read(path: Path) -> dict[str, Any]:
    """What a sweep file says.

    Raises:
        UserError: it is none, or one that only W&B can run.
    """
    try:
        found: Any = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"sweep={path} cannot be read: {first_line(error)}") from error
    if not isinstance(found, dict) or not isinstance(found.get("parameters"), dict) or not found["parameters"]:
        raise UserError(f"sweep={path} has no parameters: it must be a sweep file of W&B.")
    if found.get("method") not in METHODS:
        raise UserError(
            f"{path} has method: {found.get('method')}, which asks W&B for the next point: use wandb sweep {path}, or "
            f"one of {', '.join(METHODS)}."
        )
    cap = found.get("run_cap", 1)
    if not isinstance(cap, int) or cap < 1:
        raise UserError(f"{path}: run_cap: {cap} is not a number of runs.")
    for name, parameter in found["parameters"].items():
        if reason := unusable(parameter):
            raise UserError(f"{path}: {name} {reason}.")
    return dict(found)


def unusable(parameter: Any) -> str | None:
    """What a parameter of a sweep file lacks; None if nothing."""
    if not isinstance(parameter, dict) or not {"value", "values", "min", "max", "distribution"} & set(parameter):
        return "needs value, values, or a distribution"
    if "values" in parameter:
        values = parameter["values"]
        return None if isinstance(values, list) and values else "needs a list of values, values: [1, 2]"
    distribution = parameter.get("distribution", "uniform")
    if "value" in parameter or distribution not in BOUNDED:
        return None
    low, high = parameter.get("min"), parameter.get("max")
    kind = int if distribution == "int_uniform" else (int, float)
    if not isinstance(low, kind) or not isinstance(high, kind) or low > high:
        return f"needs two {'whole ' if kind is int else ''}bounds, min: 1 and max: 2"
    if distribution == "log_uniform_values" and low <= 0:
        return "has a logarithm, which needs min above 0"
    return None


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
