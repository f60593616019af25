"""The report as one self-contained HTML page: rankings, runs, plots, the paper's tables, configs and predictions."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from eaglebench.report.entries import RunEntry
from eaglebench.report.page_rows import build_ranking, group_rows
from eaglebench.report.plot import Plot
from eaglebench.report.predictions import Thumbnails
from eaglebench.report.rankings import Ranking
from eaglebench.report.reproduction import SCALES, TITLE, Reproduction
from eaglebench.report.run_files import READ_ERRORS, read_curves
from eaglebench.report.settings import HIDDEN_GROUPS, OVERALL, flatten, list_families
from eaglebench.runs import METRICS
from eaglebench.utils.errors import first_line

TEMPLATES = Path(__file__).with_name("templates")


def render_page(
    entries: Sequence[RunEntry],
    rankings: Sequence[Ranking],
    plots: Sequence[Plot],
    reproductions: Sequence[Reproduction],
    notes: Mapping[str, Sequence[str]],
    limit: int,
    hidden: str | None = None,
) -> str:
    """The HTML of the page.

    Args:
        entries: every run folder.
        rankings: of the finished runs.
        plots: in the order of the page.
        reproductions: the paper's tables beside our runs.
        notes: further sentences about a run, by its name.
        limit: most predictions of a run on the page.
        hidden: a sentence about the runs that are left out.
    """
    thumbnails = Thumbnails()
    questions: dict[str, Any] = {}
    remarks = {entry.name: list(notes.get(entry.name, ())) for entry in entries}
    runs = [collect_run(entry, thumbnails, questions, remarks[entry.name]) for entry in entries]
    ranked = {run.name: run for ranking in rankings for run in ranking.runs}
    families = list_families([ranked.get(entry.name, entry.run) for entry in entries if entry.run is not None])
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = mark_breaks
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    groups = group_rows(entries, rankings, families, remarks)
    rows = [row for group in groups for row in group["rows"]]
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
        hidden=hidden,
        rankings=[build_ranking(ranking) for ranking in rankings],
        groups=groups,
        rows=rows,
        choices=list_choices(rows),
        families=families,
        plots=[(plot, Markup(plot.svg)) for plot in plots],
        reproduction_title=TITLE,
        reproductions=reproductions,
        scales=SCALES,
        omissions=[*([hidden] if hidden else []), *list_omissions(runs, thumbnails, limit)],
    )


def mark_breaks(text: str) -> Markup:
    """The text as HTML that a narrow column breaks after `+`, `_`, `-` and `.` before anywhere else."""
    return Markup("").join(Markup("{}<wbr>").format(part) for part in re.split(r"(?<=[+_.-])", text))


def list_choices(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The options of the filters above the table of runs, by column."""
    return {
        "experts": sorted({expert for row in rows for expert in row["parts"][0].split("+") if expert}),
        "fusion": sorted({row["parts"][1] for row in rows if row["parts"][1]}),
        "stages": sorted({row["stages"] for row in rows if row["stages"]}),
        "size": sorted({row["size"] for row in rows if row["size"]}),
    }


def collect_run(
    entry: RunEntry, thumbnails: Thumbnails, questions: dict[str, Any], remarks: list[str]
) -> dict[str, Any]:
    """The data of a run for the page's script.

    Adds its questions to `questions`, and a sentence about curves that cannot be read to `remarks`.
    """
    curves: dict[str, Any] = {}
    try:
        curves = read_curves(entry.path / METRICS) if (entry.path / METRICS).is_file() else {}
    except (*READ_ERRORS, KeyError, TypeError) as error:
        remarks.append(f"{METRICS} cannot be read ({first_line(error)})")
    for key, row in entry.chosen.rows.items():
        thumbnail = thumbnails.add(row["image"])
        questions.setdefault(key, [row["id"], row["family"], row["question"], row["references"], thumbnail])
    visible = {name: value for name, value in entry.config.items() if name not in HIDDEN_GROUPS}
    return {
        "name": entry.name,
        "problems": [*entry.problems, *entry.remarks, *remarks],
        "config": {str(name): str(value) for name, value in flatten(visible)},
        "curves": curves,
        "answers": {key: [row["prediction"], row["score"]] for key, row in entry.chosen.rows.items()},
        "total": entry.chosen.total,
        "asked": entry.run.questions.key if entry.run is not None else None,
        "score": entry.run.scores[OVERALL]["score"] if entry.run is not None else None,
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
