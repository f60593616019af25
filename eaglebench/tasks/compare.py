"""task=compare: two finished runs on the same questions, and the significance of their difference. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from eaglebench.config.compose import Command
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.comparison import FamilyComparison, check_same_questions, compare_answers, read_answers
from eaglebench.utils.console import new_console


def compare(command: Command) -> None:
    """Print the difference between the two runs of `compare.runs` by family, with its interval and p-value.

    Raises:
        UserError: a folder is not that of an evaluated run, or the runs answered different questions.
    """
    assert command.config.compare is not None
    runs = command.config.compare.runs
    first, second = (read_answers(Path(folder)) for folder in runs)
    check_same_questions(first, second)
    new_console().print(build_table(compare_answers(first, second), *runs))


def build_table(comparisons: Mapping[str, FamilyComparison], first: str, second: str) -> Table:
    """The table of `compare_answers` for the run folders `first` and `second`."""
    table = Table(title=f"A: {first}\nB: {second}", title_justify="left")
    table.add_column("")
    for column in ("A", "B", "B - A", "95 % interval", "p", "questions"):
        table.add_column(column, justify="right")
    if official := sorted(comparisons.keys() & BENCHMARKS.keys()):
        table.caption = f"Means over answers; the official scores of {', '.join(official)} are in scores.json."
    for name, (first_mean, second_mean, test) in comparisons.items():
        table.add_row(
            name,
            f"{first_mean:.3f}",
            f"{second_mean:.3f}",
            f"{test.difference:+.3f}",
            f"{test.low:+.3f} to {test.high:+.3f}",
            f"{test.p_value:.4f}",
            str(test.n),
        )
    return table
