"""The leaderboard: a row for each setting, the scores of its families, and what a model without eyes gets."""

import csv
import io
from collections.abc import Sequence
from statistics import fmean, stdev

from eaglebench.report.entries import Entry
from eaglebench.report.settings import Setting, by_family, families_of

KEYS = ("score", "low", "high", "blind")


def table(settings: Sequence[Setting]) -> list[list[str]]:
    """Header, settings and blind row: the fields that differ, mean ± standard deviation over the seeds, and their number.

    The best of each family is between asterisks, as Markdown's bold.
    """
    runs = [run for setting in settings for run in setting.runs]
    names, families = list(settings[0].fields), families_of(runs)
    best = {name: max(setting.mean(name) for setting in settings if setting.values(name)) for name in families}
    rows = [[*names, *families, "seeds"]]
    for setting in settings:
        cells = [
            shown(figures, bool(figures) and fmean(figures) == best[name])
            for name in families
            for figures in [setting.values(name)]
        ]
        rows.append([*setting.fields.values(), *cells, str(len(setting.runs))])
    blind = [shown([f for setting in settings for f in setting.values(name, "blind")], False) for name in families]
    return [*rows, ["*blind*", *[""] * (len(names) - 1), *blind, ""]]


def shown(figures: Sequence[float], bold: bool, digits: int = 3) -> str:
    """Mean and standard deviation as text."""
    if not figures:
        return "-"
    text = f"{fmean(figures):.{digits}f}" + (f" ± {stdev(figures):.{digits}f}" if len(figures) > 1 else "")
    return f"**{text}**" if bold else text


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its header."""
    header, *body = rows
    return "\n".join(map(line, [header, ["---"] * len(header), *body]))


def line(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(' '.join(cell.replace('|', chr(92) + '|').split()) for cell in cells)} |"


def csv_text(settings: Sequence[Setting], entries: Sequence[Entry]) -> str:
    """A row for each run: its setting, the scores of its families with their bounds, and its cost."""
    runs = [run for setting in settings for run in setting.runs]
    names, families = list(settings[0].fields), families_of(runs)
    cost = {entry.name: (entry.parameters, entry.seconds) for entry in entries}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = [name if key == "score" else f"{name}_{key}" for name in families for key in KEYS]
    writer.writerow(["run", *names, "seed", *columns, "parameters", "training_seconds"])
    for setting in settings:
        for run in setting.runs:
            rows = by_family(run.scores)
            figures = [rows.get(name, {}).get(key, "") for name in families for key in KEYS]
            writer.writerow([run.name, *setting.fields.values(), run.seed, *figures, *cost[run.name]])
    return file.getvalue()
