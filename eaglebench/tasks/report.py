"""task=report: run folders as tables, plots and a page. Imports neither torch nor Lightning."""

from collections.abc import Mapping, Sequence
from functools import cache
from glob import glob
from pathlib import Path
from typing import Any

from eaglebench.config.compose import Command, compose_command
from eaglebench.config.identity import run_identity
from eaglebench.report.entries import is_run, read_entry
from eaglebench.report.leaderboard import to_csv, to_markdown_leaderboard
from eaglebench.report.page import render_page
from eaglebench.report.paper import JOINT_STAGES, list_experts
from eaglebench.report.plots import draw_plots
from eaglebench.report.rankings import rank_runs
from eaglebench.report.reproduction import reproduce_paper, to_markdown_page
from eaglebench.report.run_files import read_selection
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
    read = [read_entry(folder, run_identity, asked.images) for folder in folders]
    entries = [entry for entry in read if asked.smoke_tests or not entry.smoke_test]
    left_out = {entry.name for entry in read} - {entry.name for entry in entries}
    rankings, repeated = rank_runs(entry.run for entry in entries if entry.finished and entry.run is not None)
    notes = {name: [f"not in the means: the setting and seed of {other}"] for name, other in repeated.items()}
    by_name = {entry.name: entry for entry in entries}
    selections = read_selections(found, left_out)
    reproductions = reproduce_paper(rankings, by_name, compose_shipped)
    plots = list(draw_plots(rankings, by_name, selections)) if rankings or selections else []
    hidden = count_left_out(len(left_out))
    leaderboard = to_markdown_leaderboard(rankings, hidden)
    files = {
        LEADERBOARD: leaderboard + "\n",
        TABLE: to_csv(rankings, entries) if rankings else "",
        PAPER: to_markdown_page(reproductions),
        PAGE: render_page(entries, rankings, plots, reproductions, notes, asked.images, hidden),
        **{f"{PLOTS}/{plot.name}.svg": plot.svg for plot in plots},
    }
    for name, text in files.items():
        # Lone surrogates, which UTF-8 cannot encode, become question marks.
        write_text(asked.to / name, text.encode(errors="replace").decode())
    for old in (asked.to / PLOTS).glob("*.svg"):  # of an earlier report, which may have had other data
        if f"{PLOTS}/{old.name}" not in files:
            old.unlink()
    console.print(leaderboard, soft_wrap=True, markup=False)
    for entry in entries:
        for problem in (*entry.problems, *entry.remarks, *notes.get(entry.name, ())):
            console.print(f"{entry.name}: {problem}", soft_wrap=True, markup=False)
    runs = sum(len(ranking.runs) for ranking in rankings)
    console.print(f"runs: {runs}; wrote {asked.to}/: {', '.join(files)}", soft_wrap=True, markup=False)


def read_selections(folders: Sequence[Path], left_out: set[str]) -> dict[str, list[dict[str, Any]]]:
    """The rounds of the selections of experts among the folders, without those whose runs are left out."""
    found = {folder.name: read_selection(folder / SELECTION) for folder in folders if (folder / SELECTION).is_file()}
    runs = {
        name: {run for each in rounds for candidate in each["candidates"] for run in candidate.get("runs", ())}
        for name, rounds in found.items()
    }
    return {name: rounds for name, rounds in found.items() if not runs[name] & left_out}


def count_left_out(count: int) -> str | None:
    """A sentence about the smoke tests that are left out; None if there are none."""
    if not count:
        return None
    are = "1 smoke test (fast=true) is" if count == 1 else f"{count} smoke tests (fast=true) are"
    return f"{are} left out: report.smoke_tests=true shows {'it' if count == 1 else 'them'}."


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
