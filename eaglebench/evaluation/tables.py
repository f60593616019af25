"""The table of scores that the terminal shows."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from eaglebench.evaluation.benchmarks import EAGLE_AVERAGE


def build_scores_table(scores: Mapping[str, Any]) -> Table:
    """A table of a `scores.json`: family, score ± standard error, blind score, that of other questions, and number.

    Benchmarks have their official score too. The caption names those that are not scored as in Eagle's paper, and the
    metrics that differ from the official scripts.
    """
    caption = [
        *list_differences(scores, "differs", "not scored as in Eagle's paper:"),
        *list_differences(scores, "metric_differs", "not scored as by the official script:"),
    ]
    table = Table(
        title="held-out scores", title_justify="left", caption="\n".join(caption) or None, caption_justify="left"
    )
    families = scores["families"]
    official = any("figure" in row for row in families.values())
    other = any("other_question" in row for row in families.values())
    columns = ["score", "blind", *(["other question"] if other else []), "n", *(["official score"] if official else [])]
    table.add_column("family")
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in families.items():
        figure = [f"{row['figure']:.2f}"] if "figure" in row else []
        table.add_row(*format_scores_row(name, row, other), *figure)
    table.add_section()
    average = scores.get(EAGLE_AVERAGE)
    overall = format_scores_row("overall", scores["overall"], other)
    table.add_row(*overall, *([] if average is None else [f"average {average:.1f}"]))
    return table


def list_differences(scores: Mapping[str, Any], key: str, title: str) -> list[str]:
    """A title and a line for each family that has a difference under a key; nothing if none has."""
    lines = [f"{name}: {row[key]}" for name, row in scores["families"].items() if key in row]
    return [title, *lines] if lines else []


def format_scores_row(name: str, row: Mapping[str, Any], other: bool = False) -> list[str]:
    """The cells of one family: its name, score ± standard error, blind score and number of questions.

    Args:
        name: of the family.
        row: its entry in a `scores.json`.
        other: give the score of answers to other questions too, before the number.
    """
    others = [format_share(row, "other_question")] if other else []
    score = f"{row['score']:.3f} ± {row['stderr']:.3f}"
    return [name, score, format_share(row, "blind"), *others, str(row["n"])]


def format_share(row: Mapping[str, Any], key: str) -> str:
    """A share of an entry; `-` where it has none."""
    return f"{row[key]:.3f}" if key in row else "-"
