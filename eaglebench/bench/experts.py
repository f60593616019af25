"""bench=experts: what each expert costs."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console

from eaglebench.bench.measure import Cost, Variant, cost, size
from eaglebench.build import constructor_arguments, new_console, plain
from eaglebench.errors import UserError
from eaglebench.files import write_text

HEADER = (
    "expert",
    "image",
    "parameters",
    "GMACs",
    "pass",
    "weights",
    "activations",
    "seconds",
    "peak MB",
    "written out: seconds",
    "peak MB",
    "faster",
    "less memory",
)


def bench_experts(cfg: DictConfig) -> None:
    """Measure the chosen experts at the config's size, print each line as it is known, and write the table."""
    console = new_console()
    settings = cfg.bench
    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"bench.device={settings.device}, but torch sees no GPU here: leave it at cpu.")
    variants = [
        Variant(*one)
        for one in product(settings.backward, settings.dtypes, settings.checkpointing)
        if one[0] or not one[2]
    ]
    rows: list[Sequence[str]] = []
    for name, node in cfg.experts.items():
        config = constructor_arguments(plain(node))
        parameters, macs = size(config)
        what = (str(name), f"{node.image_size} px", f"{parameters:,}", f"{macs / 1e9:.1f}")
        for variant in variants:
            measured = cost(config, variant, settings.batch_size, settings.repeats, settings.device)
            rows.append((*what, *told(variant, measured)))
            show(console, rows[-1])
            write_text(Path(settings.to), markdown(rows, cfg))
    console.print(f"wrote {settings.to}")


def told(variant: Variant, measured: Cost) -> Iterator[str]:
    """The cells of one measurement."""
    yield "forward + backward" if variant.backward else "forward"
    yield variant.dtype
    yield "checkpointed" if variant.checkpointing else "kept"
    yield f"{measured.seconds:.3g}"
    yield f"{measured.megabytes:.0f}"
    if measured.plain_seconds is None or measured.plain_megabytes is None:
        yield from ("-",) * 4
        return
    yield f"{measured.plain_seconds:.3g}"
    yield f"{measured.plain_megabytes:.0f}"
    yield f"{measured.plain_seconds / measured.seconds:.2f} x"
    yield f"{measured.plain_megabytes / max(measured.megabytes, 1):.2f} x"


def show(console: Console, row: Sequence[str]) -> None:
    """One line of progress."""
    name, image, _, _, passed, dtype, activations, seconds, megabytes, *_, faster, _ = row
    console.print(
        f"{name} {image}, {passed}, {dtype}, activations {activations}: {seconds} s, {megabytes} MB; "
        f"attention written out takes {faster}"
    )


def markdown(rows: Sequence[Sequence[str]], cfg: DictConfig) -> str:
    """The table as Markdown, with where it was measured."""
    settings = cfg.bench
    where = (
        torch.cuda.get_device_name()
        if settings.device.startswith("cuda")
        else f"CPU, {torch.get_num_threads()} threads"
    )
    lines = [
        f"# What experts cost (size={cfg.size})",
        "",
        f"{where}; torch {torch.__version__}; batch of {settings.batch_size}, median of {settings.repeats}, random weights. "
        "Memory is what a pass needs beyond the weights and the batch. "
        "`written out`: the same expert in the same process with attention that holds its softmax.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + " --- |" * len(HEADER),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"
