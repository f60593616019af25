"""The leaderboard: for each set of questions a table with a row for each setting, and the no-image scores below."""

import csv
import io
from collections.abc import Sequence
from statistics import fmean, stdev

from eaglebench.report.entries import RunEntry
from eaglebench.report.rankings import Ranking
from eaglebench.report.settings import (
    FUSION,
    OVERALL,
    Setting,
    find_differing_fields,
    list_families,
    name_training_data,
    rows_by_family,
)
from eaglebench.utils.quoting import shorten

CSV_KEYS = ("score", "low", "high", "blind", "n")  # columns of each family
PARTS = ("experts", "fusion", "data")  # columns that say what was trained, on what
MAX_VALUE = 60  # characters of a field's value; the CSV and the page have all


def build_leaderboard(ranking: Ranking) -> list[list[str]]:
    """The rows of a ranking: header, one for each setting, and the no-image scores.

    The columns are what was trained on what, the overall score with its interval and the difference to the no-image
    score, the score of each family, the number of seeds, and the fields that differ besides. The best score of each
    family is between asterisks, as Markdown's bold.
    """
    families = list_families(ranking.runs)
    best = {name: max(each.mean(name) for each in ranking.settings if each.values(name)) for name in families}
    rows = [[*PARTS, OVERALL, "n", "over no image", *families[1:], "seeds", "fields that differ"]]
    for setting in ranking.settings:
        cells = [format_family(setting, name, best[name]) for name in families]
        count = setting.values(OVERALL, "n")
        rows.append(
            [
                *describe_parts(setting),
                *[cells[0], f"{max(count):,.0f}" if count else "-", format_gain(setting.gain(OVERALL))],
                *cells[1:],
                str(len(setting.runs)),
                format_fields(setting),
            ]
        )
    blind = [
        format_scores([score for setting in ranking.settings for score in setting.values(name, "blind")])
        for name in families
    ]
    return [*rows, ["*no image*", "", "", blind[0], "", "", *blind[1:], "", ""]]


def describe_parts(setting: Setting) -> list[str]:
    """The cells of PARTS."""
    return [setting.experts, setting.fusion, setting.data]


def format_family(setting: Setting, family: str, best: float) -> str:
    """The score of a family; the overall score of a single run has its interval; bold if it is the best."""
    scores = setting.values(family)
    text = format_scores(scores)
    if family == OVERALL and len(scores) == 1 and (bounds := setting.interval(family)):
        text += f" [{bounds[0]:.3f}, {bounds[1]:.3f}]"
    return f"**{text}**" if scores and fmean(scores) == best else text


def format_scores(scores: Sequence[float], digits: int = 3) -> str:
    """Mean ± standard deviation as text; the mean alone for one score, `-` for none."""
    if not scores:
        return "-"
    return f"{fmean(scores):.{digits}f}" + (f" ± {stdev(scores):.{digits}f}" if len(scores) > 1 else "")


def format_gain(gain: float | None) -> str:
    """A difference of scores with its sign; `-` for none."""
    return "-" if gain is None else f"{gain:+.3f}"


def format_fields(setting: Setting) -> str:
    """The fields that differ, as overrides; long values are cut."""
    fields = setting.other_fields.items()
    return ", ".join(f"{name}={shorten(value, MAX_VALUE)}" for name, value in fields)


def to_markdown_leaderboard(rankings: Sequence[Ranking], hidden: str | None) -> str:
    """Every ranking with its heading, the metrics and the table.

    Args:
        hidden: a sentence about what is left out.
    """
    parts = [hidden] if hidden else []
    for ranking in rankings:
        parts += [
            f"## {ranking.title}",
            f"Scored by {ranking.questions.metrics}.",
            to_markdown(build_leaderboard(ranking)),
        ]
    return "\n\n".join(parts if rankings else ["No run is finished yet.", *parts])


def to_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its header."""
    header, *body = rows
    return "\n".join(map(to_markdown_row, [header, ["---"] * len(header), *body]))


def to_markdown_row(cells: Sequence[str]) -> str:
    """One row of a Markdown table, with `|` escaped and line breaks as spaces."""
    return f"| {' | '.join(' '.join(cell.replace('|', chr(92) + '|').split()) for cell in cells)} |"


def to_csv(rankings: Sequence[Ranking], entries: Sequence[RunEntry]) -> str:
    """A CSV table with a row for each run: its questions, the scores of its families, its cost, and what differs.

    Scores of rows with another key under `questions` cannot be compared.

    Args:
        rankings: of the finished runs.
        entries: the run folders of the rankings' runs.
    """
    runs = [run for ranking in rankings for run in ranking.runs]
    names = [name for name in find_differing_fields(runs) if name not in ("experts", FUSION)]
    families = list_families(runs)
    cost = {entry.name: (entry.parameters, entry.seconds) for entry in entries}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = [name if key == "score" else f"{name}_{key}" for name in families for key in CSV_KEYS]
    head = ["run", "questions", "asked", *PARTS, "seed"]
    writer.writerow([*head, *columns, "parameters", "training_seconds", *names])
    for ranking in rankings:
        for run in ranking.runs:
            rows = rows_by_family(run.scores)
            scores = [rows.get(name, {}).get(key, "") for name in families for key in CSV_KEYS]
            parts = [run.setting.get("experts", ""), run.setting.get(FUSION, ""), name_training_data(run.setting)]
            own = [run.name, ranking.questions.key, ranking.title, *parts, run.seed]
            writer.writerow([*own, *scores, *cost[run.name], *[run.setting.get(name, "") for name in names]])
    return file.getvalue()
