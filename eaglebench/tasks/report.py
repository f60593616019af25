"""task=report: run folders as tables, plots and a page."""

from functools import partial
from glob import glob
from pathlib import Path

from eaglebench.config.compose import Command
from eaglebench.config.identity import run_identity
from eaglebench.report.entries import is_run, read_entry, read_selection
from eaglebench.report.leaderboard import csv_text, markdown, table
from eaglebench.report.page import page
from eaglebench.report.paper import beside_ours, paper_markdown
from eaglebench.report.plots import plots
from eaglebench.report.settings import settings_of
from eaglebench.runs import SELECTION, other_version
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_text

LEADERBOARD, TABLE, PAPER, PAGE, PLOTS = "leaderboard.md", "leaderboard.csv", "paper.md", "index.html", "plots"


def report(command: Command) -> None:
    """Print the table of the finished runs among the folders `report.runs`, and write the whole report into `report.to`.

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
        raise UserError(
            f"report.runs={asked.runs} matches two folders with the name {twice[0]}: rename one of them."
        )
    entries = [read_entry(folder, run_identity, partial(other_version, folder)) for folder in folders]
    settings, repeated = settings_of([entry.run for entry in entries if entry.finished and entry.run is not None])
    notes = {name: [f"not in the means: the setting and seed of {other}"] for name, other in repeated.items()}
    selections = {folder.name: read_selection(folder / SELECTION) for folder in found if (folder / SELECTION).is_file()}
    by_name = {entry.name: entry for entry in entries}
    tables = beside_ours(settings, by_name)
    drawn = list(plots(settings, by_name, selections)) if settings or selections else []
    leaderboard = markdown(table(settings)) if settings else "No run is finished yet."
    files = {
        LEADERBOARD: leaderboard + "\n",
        TABLE: csv_text(settings, entries) if settings else "",
        PAPER: paper_markdown(tables),
        PAGE: page(entries, settings, drawn, tables, notes, asked.images),
        **{f"{PLOTS}/{plot.name}.svg": plot.svg for plot in drawn},
    }
    for old in (asked.to / PLOTS).glob("*.svg"):  # of an earlier report: there may be no data for it now
        old.unlink()
    for name, text in files.items():
        # What cannot be written as UTF-8, half a pair of surrogates, becomes a question mark.
        write_text(asked.to / name, text.encode(errors="replace").decode())
    console.print(leaderboard, soft_wrap=True, markup=False)
    for entry in entries:
        for problem in (*entry.problems, *notes.get(entry.name, ())):
            console.print(f"{entry.name}: {problem}", soft_wrap=True, markup=False)
    runs = sum(len(setting.runs) for setting in settings)
    console.print(f"runs: {runs}; wrote {asked.to}/: {', '.join(files)}", soft_wrap=True, markup=False)
