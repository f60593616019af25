"""The report as one self-contained HTML page: runs, plots, the paper's tables, configs, curves and predictions."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from eaglebench.report.entries import RunEntry
from eaglebench.report.leaderboard import build_leaderboard
from eaglebench.report.plot import Plot
from eaglebench.report.predictions import ChosenPredictions, Thumbnails, choose_predictions
from eaglebench.report.reproduction import SCALES, TITLE, Reproduction
from eaglebench.report.run_files import READ_ERRORS, read_curves
from eaglebench.report.settings import FUSION, Setting, flatten, list_families, rows_by_family
from eaglebench.runs import BENCHMARKED, METRICS, PREDICTIONS, benchmark_predictions
from eaglebench.utils.errors import first_line

TEMPLATES = Path(__file__).with_name("templates")
HIDDEN_GROUPS = ("hydra", "report")  # groups of a config that are not about the run
CHOICES = {"experts": "experts", "fusion": FUSION, "stages": "stages", "size": "size"}  # columns and their fields
FURTHER_COLUMNS = 8  # fields that differ, besides those that always have a column
OWN_COLUMN = (*CHOICES.values(), "fast")


def render_page(
    entries: Sequence[RunEntry],
    settings: Sequence[Setting],
    plots: Sequence[Plot],
    reproductions: Sequence[Reproduction],
    notes: Mapping[str, Sequence[str]],
    limit: int,
) -> str:
    """The HTML of the page.

    Args:
        entries: every run folder.
        settings: those of the finished runs.
        plots: in the order of the page.
        reproductions: the paper's tables beside our runs.
        notes: further sentences about a run, by its name.
        limit: most predictions of a run on the page.
    """
    thumbnails = Thumbnails()
    problems = {entry.name: [*entry.problems, *notes.get(entry.name, ())] for entry in entries}
    questions: dict[str, Any] = {}
    runs = [collect_run(entry, limit, thumbnails, questions, problems[entry.name]) for entry in entries]
    families = list_families([entry.run for entry in entries if entry.run is not None])
    further = list_further_columns(settings)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    rows = [build_row(entry, families, further, problems[entry.name]) for entry in entries]
    return environment.get_template("page.html.j2").render(
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=htmlsafe_json_dumps(
            {"runs": runs, "questions": questions, "thumbnails": thumbnails.uris},
            separators=(",", ":"),
            allow_nan=False,
        ),
        finished=sum(entry.finished for entry in entries),
        rows=rows,
        choices=list_choices(rows),
        families=families,
        further=further,
        leaderboard=build_leaderboard(settings) if settings else [],
        plots=[(plot, Markup(plot.svg)) for plot in plots],
        reproduction_title=TITLE,
        reproductions=reproductions,
        scales=SCALES,
        omissions=list_omissions(runs, thumbnails, limit),
    )


def list_further_columns(settings: Sequence[Setting]) -> list[str]:
    """The first fields that differ between settings, without those that always have a column."""
    fields = settings[0].fields if settings else {}
    return [name for name in fields if name not in OWN_COLUMN][:FURTHER_COLUMNS]


def list_choices(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The options of the filters above the table of runs, by column."""
    chosen = {column: sorted({row["chosen"][column] for row in rows if row["chosen"][column]}) for column in CHOICES}
    experts = sorted({expert for row in rows for expert in row["chosen"]["experts"].split("+") if expert})
    return {**chosen, "experts": experts}


def build_row(
    entry: RunEntry, families: Sequence[str], further: Sequence[str], problems: Sequence[str]
) -> dict[str, Any]:
    """A row of the table of runs, for the template."""
    scores = rows_by_family(entry.run.scores) if entry.run is not None else {}
    return {
        "name": entry.name,
        "state": "finished" if entry.finished else "not finished",
        "problems": problems,
        "chosen": {column: entry.setting.get(field, "") for column, field in CHOICES.items()},
        "seed": entry.config.get("seed", ""),
        "further": [entry.setting.get(name, "") for name in further],
        "scores": [scores.get(name, {}) for name in families],
        "parameters": entry.parameters,
        "seconds": entry.seconds,
    }


def collect_run(
    entry: RunEntry, limit: int, thumbnails: Thumbnails, questions: dict[str, Any], problems: list[str]
) -> dict[str, Any]:
    """The data of a run for the page's script.

    Adds its questions to `questions`, and sentences about what cannot be read to `problems`.
    """
    curves: dict[str, Any] = {}
    chosen = ChosenPredictions({}, 0, 0)
    try:
        curves = read_curves(entry.path / METRICS) if (entry.path / METRICS).is_file() else {}
    except (*READ_ERRORS, KeyError, TypeError) as error:
        problems.append(f"{METRICS} cannot be read ({first_line(error)})")
    try:
        own = [entry.path / PREDICTIONS] if (entry.path / PREDICTIONS).is_file() else []
        chosen = choose_predictions([*own, *benchmark_predictions(entry.path / BENCHMARKED)], limit)
    except (OSError, ValueError) as error:
        problems.append(f"{PREDICTIONS} cannot be read ({first_line(error)})")
    if chosen.damaged:
        problems.append(f"{PREDICTIONS}: {chosen.damaged} lines cannot be read")
    for key, row in chosen.rows.items():
        thumbnail = thumbnails.add(row["image"])
        questions.setdefault(key, [row["id"], row["family"], row["question"], row["references"], thumbnail])
    visible = {name: value for name, value in entry.config.items() if name not in HIDDEN_GROUPS}
    return {
        "name": entry.name,
        "problems": problems,
        "config": {str(name): str(value) for name, value in flatten(visible)},
        "curves": curves,
        "answers": {key: [row["prediction"], row["score"]] for key, row in chosen.rows.items()},
        "total": chosen.total,
    }


def list_omissions(runs: Sequence[Mapping[str, Any]], thumbnails: Thumbnails, limit: int) -> list[str]:
    """What the page leaves out, a sentence each."""
    shortened = sum(run["total"] > len(run["answers"]) for run in runs)
    megabytes = thumbnails.budget // 1_000_000
    sentences = {
        f"Of {shortened} runs, {limit} predictions each are here, evenly from all families and for the same "
        "questions in every run; all are in the run's folder (report.images=N takes more).": shortened,
        f"{thumbnails.left_out} images, because the page holds at most {megabytes} MB of them.": thumbnails.left_out,
        f"{thumbnails.missing} images whose files are missing or cannot be read.": thumbnails.missing,
    }
    return [sentence for sentence, count in sentences.items() if count]
