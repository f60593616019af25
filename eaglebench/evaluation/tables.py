"""Tables for the terminal."""

from typing import Any

from rich.table import Table

from eaglebench.evaluation.scoring import EAGLE_AVERAGE


def scores_table(result: dict[str, Any]) -> Table:
    """Family, score with its standard error, blind score if there is one, number of questions; of benchmarks, what papers print, and below
    why that is not quite the figure of Eagle's paper."""
    differing = [f"{name}: {row['differs']}" for name, row in result["families"].items() if "differs" in row]
    caption = "\n".join(["not quite as in Eagle's paper:", *differing]) if differing else None
    table = Table(title="held-out scores", title_justify="left", caption=caption, caption_justify="left")
    table.add_column("family")
    official = any("figure" in row for row in result["families"].values())
    for column in ("score", "blind", "n", *(["as papers print it"] if official else [])):
        table.add_column(column, justify="right")
    for name, row in result["families"].items():
        table.add_row(*scores_row(name, row), *([f"{row['figure']:.2f}"] if "figure" in row else []))
    table.add_section()
    average = result.get(EAGLE_AVERAGE)
    table.add_row(*scores_row("overall", result["overall"]), *([] if average is None else [f"average {average:.1f}"]))
    return table


def scores_row(name: str, row: dict[str, Any]) -> tuple[str, str, str, str]:
    """The cells of one row."""
    blind = f"{row['blind']:.3f}" if "blind" in row else "-"
    return name, f"{row['score']:.3f} ± {row['stderr']:.3f}", blind, str(row["n"])
