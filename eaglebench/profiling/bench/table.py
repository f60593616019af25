"""What measurements look like: a table of each way of running something, beside ours."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig

from eaglebench.profiling.bench.measure import NO_ROOM, OURS, Cost
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_text

COMPARED = ("code", "seconds", "peak MB", "eaglebench is faster", "eaglebench needs less")


def compared(measured: Mapping[str, Cost]) -> Iterator[tuple[str, ...]]:
    """The cells COMPARED of each way: what it costs, and how that compares with ours."""
    ours = measured[OURS]
    for way, cost in measured.items():
        if cost == NO_ROOM:
            yield way, "-", "does not fit", "", ""
            continue
        faster, smaller = cost.seconds / ours.seconds, cost.megabytes / max(ours.megabytes, 1)
        ratios = ("", "") if way == OURS else (f"{faster:.2f} x", f"{smaller:.2f} x")
        yield way, f"{cost.seconds:.3g}", f"{cost.megabytes:.0f}", *ratios


def beside(rows: Sequence[Sequence[str]]) -> str:
    """The end of a line of progress, of the rows of one measurement, which end with COMPARED."""
    (*_, seconds, megabytes, _, _), *others = rows
    told = "".join(
        f"; {way} takes {faster}, {smaller}" if faster else f"; {way} does not fit into memory"
        for *_, way, _, _, faster, smaller in others
    )
    return f"{seconds} s, {megabytes} MB{told}"


def write_table(cfg: DictConfig, title: str, note: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write the table as Markdown, with where it was measured."""
    settings = cfg.bench
    where = (
        torch.cuda.get_device_name()
        if settings.device.startswith("cuda")
        else f"CPU, {torch.get_num_threads()} threads"
    )
    lines = [
        f"# {title} (size={cfg.size})",
        "",
        f"{where}; torch {torch.__version__}; batch of {settings.batch_size}, median of {settings.repeats}, random weights. "
        f"Memory is what a pass needs beyond the weights and the batch. {note} "
        "The last columns say how many times its seconds and memory are ours.",
        "",
        "| " + " | ".join([*header, *COMPARED]) + " |",
        "|" + " --- |" * (len(header) + len(COMPARED)),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    write_text(Path(settings.to), "\n".join(lines) + "\n")


def check_device(device: str) -> None:
    """Refuse a GPU where there is none."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"bench.device={device}, but torch sees no GPU here: leave it at cpu.")
