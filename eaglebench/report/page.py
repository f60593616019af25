"""The report as one page that needs nothing beside it: runs, plots, the paper's tables, configs, curves and predictions."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from eaglebench.report.entries import TO_READ, Entry, read_curves
from eaglebench.report.leaderboard import table
from eaglebench.report.paper import SCALES, Table
from eaglebench.report.plots import Plot
from eaglebench.report.predictions import Chosen, Pictures, choose
from eaglebench.report.settings import Setting, by_family, families_of, flat
from eaglebench.runs import BENCHMARKED, METRICS, PREDICTIONS, benchmark_predictions
from eaglebench.utils.errors import first_line

TEMPLATES = Path(__file__).with_name("templates")
HIDDEN = ("presets", "hydra", "report")  # groups of a config that say nothing of the run
FILTERS = ("experts", "fusion", "stages", "size")
FURTHER = 8  # columns of fields that differ, beside those that always are there


def page(
    entries: Sequence[Entry],
    settings: Sequence[Setting],
    drawn: Sequence[Plot],
    tables: Sequence[tuple[Table, list[list[str]]]],
    notes: Mapping[str, Sequence[str]],
    limit: int,
) -> str:
    """The page's HTML.

    Args:
        entries: every run folder.
        settings: those of the finished runs.
        tables: the paper's, with our cells.
        notes: what else is to be said of a run, by its name.
        limit: predictions shown of a run.
    """
    pictures = Pictures()
    told = {entry.name: [*entry.problems, *notes.get(entry.name, ())] for entry in entries}
    questions: dict[str, Any] = {}
    runs = [described(entry, limit, pictures, questions, told[entry.name]) for entry in entries]
    families = families_of([entry.run for entry in entries if entry.run is not None])
    further = further_fields(settings)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    rows = [cells(entry, families, further, told[entry.name]) for entry in entries]
    return environment.get_template("page.html.j2").render(
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=htmlsafe_json_dumps(
            {"runs": runs, "questions": questions, "pictures": pictures.held}, separators=(",", ":"), allow_nan=False
        ),
        finished=sum(entry.finished for entry in entries),
        rows=rows,
        choices={name: sorted({row["is"][name] for row in rows if row["is"][name]}) for name in FILTERS[1:]}
        | {"experts": sorted({expert for row in rows for expert in row["is"]["experts"].split("+") if expert})},
        families=families,
        further=further,
        leaderboard=table(settings) if settings else [],
        plots=[(plot, Markup(plot.svg)) for plot in drawn],
        tables=tables,
        scales=SCALES,
        left_out=left_out(runs, pictures, limit),
    )


def further_fields(settings: Sequence[Setting]) -> list[str]:
    """The first fields that differ, but for those that have a column of their own."""
    fields = settings[0].fields if settings else {}
    own = ("experts", "stages", "fusion.name", "size", "fast")
    return [name for name in fields if name not in own and not name.startswith("presets.")][:FURTHER]


def cells(entry: Entry, families: Sequence[str], further: Sequence[str], told: Sequence[str]) -> dict[str, Any]:
    """A row of the table of runs."""
    setting = entry.setting
    scores = by_family(entry.run.scores) if entry.run is not None else {}
    return {
        "name": entry.name,
        "state": "finished" if entry.finished else "not finished",
        "told": told,
        "is": {
            "experts": setting.get("experts", ""),
            "fusion": setting.get("fusion.name", ""),
            "stages": setting.get("stages", ""),
            "size": setting.get("size", ""),
        },
        "seed": entry.config.get("seed", ""),
        "further": [setting.get(name, "") for name in further],
        "scores": [scores.get(name, {}) for name in families],
        "parameters": entry.parameters,
        "seconds": entry.seconds,
    }


def described(
    entry: Entry, limit: int, pictures: Pictures, questions: dict[str, Any], told: list[str]
) -> dict[str, Any]:
    """What the page knows of a run beside its row; adds its questions, and to `told` what cannot be read."""
    curves: dict[str, Any] = {}
    chosen = Chosen({}, 0, 0)
    try:
        curves = read_curves(entry.path / METRICS) if (entry.path / METRICS).is_file() else {}
    except (*TO_READ, KeyError, TypeError) as error:
        told.append(f"{METRICS} cannot be read ({first_line(error)})")
    try:
        own = [entry.path / PREDICTIONS] if (entry.path / PREDICTIONS).is_file() else []
        chosen = choose([*own, *benchmark_predictions(entry.path / BENCHMARKED)], limit)
    except (OSError, ValueError) as error:
        told.append(f"{PREDICTIONS} cannot be read ({first_line(error)})")
    if chosen.damaged:
        told.append(f"{PREDICTIONS}: {chosen.damaged} lines cannot be read")
    for key, row in chosen.rows.items():
        picture = pictures.add(row["image"])
        questions.setdefault(key, [row["id"], row["family"], row["question"], row["references"], picture])
    visible = {name: value for name, value in entry.config.items() if name not in HIDDEN}
    return {
        "name": entry.name,
        "told": told,
        "config": {str(name): str(value) for name, value in flat(visible)},
        "curves": curves,
        "answers": {key: [row["prediction"], row["score"]] for key, row in chosen.rows.items()},
        "total": chosen.total,
    }


def left_out(runs: Sequence[Mapping[str, Any]], pictures: Pictures, limit: int) -> list[str]:
    """What the page does not show, a sentence each."""
    cut = sum(run["total"] > len(run["answers"]) for run in runs)
    said = {
        f"Of {cut} runs, {limit} predictions each are here, evenly from all families and the same questions in every run that was "
        "asked them; all are in the run's folder (report.images=N takes more).": cut,
        f"{pictures.left_out} images: the page has place for {pictures.budget // 1_000_000} MB of them.": pictures.left_out,
        f"{pictures.missing} images whose files are not there or cannot be read.": pictures.missing,
    }
    return [sentence for sentence, count in said.items() if count]
