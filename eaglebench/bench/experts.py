"""bench=experts: what each expert costs."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console

from eaglebench.bench.measure import Cost, Variant, costs, size
from eaglebench.bench.upstream import OURS, WRITTEN_OUT
from eaglebench.build import constructor_arguments, new_console, plain
from eaglebench.errors import UserError
from eaglebench.files import write_text

HEADER = (
    *("expert", "image", "parameters", "GMACs", "pass", "weights", "activations"),
    *("code", "seconds", "peak MB", "eaglebench is faster", "eaglebench needs less"),
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
        what = (str(name), f"{node.image_size} px", f"{parameters:,}", f"{macs / 1e9:.4g}")
        for variant in variants:
            measured = costs(config, variant, settings.batch_size, settings.repeats, settings.device)
            rows += [(*what, *told(variant), *cells) for cells in compared(measured)]
            show(console, rows[-len(measured) :])
            write_text(Path(settings.to), markdown(rows, cfg))
    console.print(f"wrote {settings.to}")


def told(variant: Variant) -> tuple[str, str, str]:
    """The cells that say what was run."""
    return (
        "forward + backward" if variant.backward else "forward",
        variant.dtype,
        "checkpointed" if variant.checkpointing else "kept",
    )


def compared(measured: Mapping[str, Cost]) -> Iterator[tuple[str, ...]]:
    """The cells of each way of running it: what it costs, and how that compares with ours."""
    ours = measured[OURS]
    for way, cost in measured.items():
        faster, smaller = cost.seconds / ours.seconds, cost.megabytes / max(ours.megabytes, 1)
        ratios = ("", "") if way == OURS else (f"{faster:.2f} x", f"{smaller:.2f} x")
        yield way, f"{cost.seconds:.3g}", f"{cost.megabytes:.0f}", *ratios


def show(console: Console, rows: Sequence[Sequence[str]]) -> None:
    """One line of progress, of the rows of one measurement."""
    (name, image, _, _, passed, dtype, activations, _, seconds, megabytes, *_), *others = rows
    beside = "".join(f"; {way} takes {faster}, {smaller}" for *_, way, _, _, faster, smaller in others)
    console.print(
        f"{name} {image}, {passed}, {dtype}, activations {activations}: {seconds} s, {megabytes} MB{beside}",
        soft_wrap=True,
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
        "Each beside other code with the same weights, in turn in the same process: the library that the expert comes from, and "
        f"`{WRITTEN_OUT}`, which holds its softmax; the last columns say how many times its seconds and memory are ours.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + " --- |" * len(HEADER),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"
