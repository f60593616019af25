"""Report pages of run folders."""

from pathlib import Path

from eaglebench.config.identity import run_identity
from eaglebench.report.entries import read_entry
from eaglebench.report.page import render_page
from eaglebench.report.rankings import rank_runs

# What a page must show as text.
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--\u2028"


def render_runs(folders: list[Path], limit: int = 60) -> str:
    """The page of run folders, without plots and without the paper's tables."""
    entries = [read_entry(folder, run_identity, limit) for folder in folders]
    rankings, _ = rank_runs(entry.run for entry in entries if entry.run is not None and entry.finished)
    return render_page(entries, rankings, [], [], {}, limit)
