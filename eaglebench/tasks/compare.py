"""task=compare: two finished runs on the same questions, and how far their difference may be chance."""

from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from eaglebench.config.compose import Command
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.comparison import compare_answers, read_answers
from eaglebench.evaluation.significance import Paired
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError


def compare(command: Command) -> None:
    """Print what the second run of `compare.runs` scores more than the first, by family, with interval and p-value.

    Raises:
        UserError: a folder is not that of an evaluated run, or the runs answered different questions.
    """
    assert command.config.compare is not None
    runs = command.config.compare.runs
    first, second = (read_answers(Path(folder)) for folder in runs)
    if first.keys() != second.keys() or any(first[key]["reference"] != second[key]["reference"] for key in first):
        raise UserError(
            f"the two runs answered different questions ({len(first.keys() - second.keys())} of the first alone, "
            f"{len(second.keys() - first.keys())} of the second alone; or references differ): evaluate both on the same data with task=eval."
        )
    new_console().print(table_of(compare_answers(first, second), *runs))


def table_of(found: Mapping[str, tuple[float, float, Paired]], first: str, second: str) -> Table:
    """The table of `compare_answers`."""
    table = Table(title=f"A: {first}\nB: {second}", title_justify="left")
    table.add_column("")
    for column in ("A", "B", "B - A", "95 % interval", "p", "questions"):
        table.add_column(column, justify="right")
    if official := sorted(found.keys() & BENCHMARKS.keys()):
        table.caption = (
            f"Means over answers; the figures that papers print of {', '.join(official)} are in scores.json."
        )
    for name, (own, other, what) in found.items():
        interval = f"{what.low:+.3f} to {what.high:+.3f}"
        table.add_row(
            name, f"{own:.3f}", f"{other:.3f}", f"{what.difference:+.3f}", interval, f"{what.p_value:.4f}", str(what.n)
        )
    return table
