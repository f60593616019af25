"""The tables of task=bench: a row for each implementation, compared with ours."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from eaglebench.profiling.bench.measure import DOES_NOT_FIT, OURS, PassCost
from eaglebench.report.leaderboard import to_markdown
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_text

COMPARISON = ("code", "seconds", "peak MB", "eaglebench is faster", "eaglebench needs less")


def comparison_rows(measured: Mapping[str, PassCost]) -> Iterator[tuple[str, ...]]:
    """The cells COMPARISON of each implementation: its cost, and how many times its seconds and memory are ours."""
    ours = measured[OURS]
    for name, cost in measured.items():
        if cost == DOES_NOT_FIT:
            yield name, "-", "does not fit", "", ""
            continue
        faster, smaller = cost.seconds / ours.seconds, cost.megabytes / max(ours.megabytes, 1)
        ratios = ("", "") if name == OURS else (f"{faster:.2f} x", f"{smaller:.2f} x")
        yield name, f"{cost.seconds:.3g}", f"{cost.megabytes:.0f}", *ratios


def format_comparison(rows: Sequence[Sequence[str]]) -> str:
    """The `comparison_rows` of one measurement in a line: `1 s, 20 MB; transformers takes 1.50 x, 3.00 x`."""
    (*_, seconds, megabytes, _, _), *others = rows
    ratios = "".join(
        f"; {name} takes {faster}, {smaller}" if faster else f"; {name} does not fit into memory"
        for *_, name, _, _, faster, smaller in others
    )
    return f"{seconds} s, {megabytes} MB{ratios}"


def describe_measurement(device: str, batch_size: int, repeats: int) -> str:
    """A sentence or two about how and where costs were measured."""
    where = torch.cuda.get_device_name() if device.startswith("cuda") else f"CPU, {torch.get_num_threads()} threads"
    return (
        f"{where}; torch {torch.__version__}; batch of {batch_size}, median of {repeats}, random weights. "
        "Memory is what a pass needs beyond the weights and the batch."
    )


def write_table(path: Path, title: str, description: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write the Markdown table.

    Args:
        description: the paragraph above the table.
        header: of the cells before COMPARISON.
    """
    ratios = "The last columns say how many times its seconds and memory are ours."
    write_text(path, f"# {title}\n\n{description} {ratios}\n\n{to_markdown([[*header, *COMPARISON], *rows])}\n")


def check_device(device: str) -> None:
    """Refuse a GPU where there is none.

    Raises:
        UserError: torch sees no GPU.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"bench.device={device}, but torch sees no GPU here: leave it at cpu.")
