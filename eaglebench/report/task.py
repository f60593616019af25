"""task=report: finished runs as one table."""

from glob import glob
from pathlib import Path

from omegaconf import DictConfig

from eaglebench.build import new_console, plain
from eaglebench.config import named
from eaglebench.errors import UserError
from eaglebench.evaluation.evaluate import SCORES
from eaglebench.files import write_text
from eaglebench.report.compare import markdown_table, read_run
from eaglebench.runs import CONFIG, load_config


def report(cfg: DictConfig) -> None:
    """Print the table of the runs that match `cfg.report.runs`, and write it to `cfg.report.to`."""
    folders = sorted(Path(found) for found in glob(cfg.report.runs) if (Path(found) / SCORES).is_file())
    if not folders:
        raise UserError(f"report.runs={cfg.report.runs} matches no folder of a finished run with scores.")
    runs = [read_run(folder, named(plain(load_config(folder, [CONFIG])))) for folder in folders]
    table = markdown_table(runs)
    write_text(Path(cfg.report.to), table + "\n")
    console = new_console()
    console.print(table, soft_wrap=True)
    console.print(f"runs: {len(folders)}; wrote {cfg.report.to}")
