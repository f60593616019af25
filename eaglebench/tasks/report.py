"""task=report: run folders as tables, plots and a page. Imports neither torch nor Lightning."""

from collections.abc import Mapping
from functools import cache
from glob import glob
from pathlib import Path
from typing import Any

from eaglebench.config.compose import Command, compose_command
from eaglebench.config.identity import run_identity
from eaglebench.report.entries import is_run, read_entry
from eaglebench.report.leaderboard import build_leaderboard, to_csv, to_markdown
from eaglebench.report.page import render_page
from eaglebench.report.paper import JOINT_STAGES, list_experts
from eaglebench.report.plots import draw_plots
from eaglebench.report.reproduction import reproduce_paper, to_markdown_page
from eaglebench.report.run_files import read_selection
from eaglebench.report.settings import group_runs
from eaglebench.runs import SELECTION
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_text

LEADERBOARD, TABLE, PAPER, PAGE, PLOTS = "leaderboard.md", "leaderboard.csv", "paper.md", "index.html", "plots"


def report(command: Command) -> None:
    """Print the leaderboard of the finished runs among `report.runs`, and write the whole report into `report.to`.

    Raises:
        UserError: no folder is that of a run, or `report.to` cannot be written.
    """
    console, asked = new_console(), command.config.report
    assert asked is not None
    if asked.to.is_file():
        raise UserError(f"report.to={asked.to} is a file: give the folder that the report is written into.")
    found = sorted(Path(name) for name in glob(asked.runs))
    folders = [folder for folder in found if is_run(folder)]
    if not folders:
        raise UserError(
            f"report.runs={asked.runs} matches no folder of a finished run: give those that trainings wrote."
        )
    names = [folder.name for folder in folders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"report.runs={asked.runs} matches two folders with the name {twice[0]}: rename one of them.")
    entries = [read_entry(folder, run_identity) for folder in folders]
    settings, repeated = group_runs([entry.run for entry in entries if entry.finished and entry.run is not None])
    notes = {name: [f"not in the means: the setting and seed of {other}"] for name, other in repeated.items()}
    selections = {folder.name: read_selection(folder / SELECTION) for folder in found if (folder / SELECTION).is_file()}
    by_name = {entry.name: entry for entry in entries}
    reproductions = reproduce_paper(settings, by_name, compose_shipped)
    plots = list(draw_plots(settings, by_name, selections)) if settings or selections else []
    leaderboard = to_markdown(build_leaderboard(settings)) if settings else "No run is finished yet."
    files = {
        LEADERBOARD: leaderboard + "\n",
        TABLE: to_csv(settings, entries) if settings else "",
        PAPER: to_markdown_page(reproductions),
        PAGE: render_page(entries, settings, plots, reproductions, notes, asked.images),
        **{f"{PLOTS}/{plot.name}.svg": plot.svg for plot in plots},
    }
    for old in (asked.to / PLOTS).glob("*.svg"):  # of an earlier report, which may have had other data
        old.unlink()
    for name, text in files.items():
        # Lone surrogates, which UTF-8 cannot encode, become question marks.
        write_text(asked.to / name, text.encode(errors="replace").decode())
    console.print(leaderboard, soft_wrap=True, markup=False)
    for entry in entries:
        for problem in (*entry.problems, *notes.get(entry.name, ())):
            console.print(f"{entry.name}: {problem}", soft_wrap=True, markup=False)
    runs = sum(len(setting.runs) for setting in settings)
    console.print(f"runs: {runs}; wrote {asked.to}/: {', '.join(files)}", soft_wrap=True, markup=False)


def compose_shipped(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The shipped config for the size, `fast` and `compat` of a run, with all experts and stages of the paper.

    Raises:
        KeyError: the run's config lacks one of them.
    """
    return compose_paper_parts(config["size"], config["fast"], config["compat"])


@cache
def compose_paper_parts(size: str, fast: bool, compat: str | None) -> Mapping[str, Any]:
    """The shipped config with all experts and stages of the paper, as plain data."""
    overrides = [
        f"experts=[{','.join(list_experts())}]",
        f"stages=[{','.join(JOINT_STAGES)}]",
        f"size={size}",
        f"fast={str(fast).lower()}",
        f"compat={compat or 'null'}",
    ]
    return compose_command(overrides, check=False).resolved
