"""The leaderboard: a row for each setting with its scores by family, and the blind scores below."""

import csv
import io
from collections.abc import Sequence
from statistics import fmean, stdev

from eaglebench.report.entries import RunEntry
from eaglebench.report.settings import Setting, list_families, rows_by_family

CSV_KEYS = ("score", "low", "high", "blind")  # columns of each family


def build_leaderboard(settings: Sequence[Setting]) -> list[list[str]]:
    """The rows of the leaderboard: header, one for each setting, and the blind scores.

    The columns are the fields that differ, mean ± standard deviation over seeds of each family, and the number of
    seeds. The best score of each family is between asterisks, as Markdown's bold.
    """
    runs = [run for setting in settings for run in setting.runs]
    names, families = list(settings[0].fields), list_families(runs)
    best = {name: max(setting.mean(name) for setting in settings if setting.values(name)) for name in families}
    rows = [[*names, *families, "seeds"]]
    for setting in settings:
        cells = [
            format_scores(scores, bool(scores) and fmean(scores) == best[name])
            for name in families
            for scores in [setting.values(name)]
        ]
        rows.append([*setting.fields.values(), *cells, str(len(setting.runs))])
    blind = [format_scores([v for setting in settings for v in setting.values(name, "blind")]) for name in families]
    return [*rows, ["*blind*", *[""] * (len(names) - 1), *blind, ""]]


def format_scores(scores: Sequence[float], bold: bool = False, digits: int = 3) -> str:
    """Mean ± standard deviation as text; the mean alone for one score, `-` for none."""
    if not scores:
        return "-"
    text = f"{fmean(scores):.{digits}f}" + (f" ± {stdev(scores):.{digits}f}" if len(scores) > 1 else "")
    return f"**{text}**" if bold else text


def to_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its header."""
    header, *body = rows
    return "\n".join(map(to_markdown_row, [header, ["---"] * len(header), *body]))


def to_markdown_row(cells: Sequence[str]) -> str:
    """One row of a Markdown table, with `|` escaped and line breaks as spaces."""
    return f"| {' | '.join(' '.join(cell.replace('|', chr(92) + '|').split()) for cell in cells)} |"


def to_csv(settings: Sequence[Setting], entries: Sequence[RunEntry]) -> str:
    """A CSV table with a row for each run: its setting, the scores of its families with their bounds, and its cost.

    Args:
        settings: those of the finished runs.
        entries: the run folders of the settings' runs.
    """
    runs = [run for setting in settings for run in setting.runs]
    names, families = list(settings[0].fields), list_families(runs)
    cost = {entry.name: (entry.parameters, entry.seconds) for entry in entries}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = [name if key == "score" else f"{name}_{key}" for name in families for key in CSV_KEYS]
    writer.writerow(["run", *names, "seed", *columns, "parameters", "training_seconds"])
    for setting in settings:
        for run in setting.runs:
            rows = rows_by_family(run.scores)
            scores = [rows.get(name, {}).get(key, "") for name in families for key in CSV_KEYS]
            writer.writerow([run.name, *setting.fields.values(), run.seed, *scores, *cost[run.name]])
    return file.getvalue()
