"""bench=fusion: the cost of each fusion strategy, from the experts' maps to visual tokens and back."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from pydantic import PositiveInt
from torch import nn

from eaglebench.config.build import build_factory
from eaglebench.config.compose import Command, options
from eaglebench.model.factory import collect_feature_info
from eaglebench.profiling.bench.fusion_subject import make_fusion_subject
from eaglebench.profiling.bench.measure import measure_costs
from eaglebench.profiling.bench.table import (
    check_device,
    comparison_rows,
    describe_measurement,
    format_comparison,
    write_table,
)
from eaglebench.profiling.estimate.step_cost import count_parameters
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError

HEADER = ("fusion", "experts", "parameters", "of these projector", "visual tokens")
NOTE = (
    "Forward and backward from the experts' maps to visual tokens, in float32. Mini-Gemini beside the same with keys "
    "and values of all cells in memory at once, deformable attention beside transformers' class."
)


def bench_fusion(
    command: Command,
    fusions: Sequence[str],
    width: PositiveInt,
    batch_size: PositiveInt,
    repeats: PositiveInt,
    device: str,
    to: Path,
) -> None:
    """Measure fusions on the maps of a command's experts, print each cost as it is known, and write the table.

    A fusion that cannot take these experts is logged and left out.

    Args:
        fusions: names of conf/fusion/.
        width: D, the language model's embedding width.
        batch_size: images of a pass.
        repeats: measurements, of which the median counts.
        device: by its name in torch.
        to: the Markdown file of the table.

    Raises:
        UserError: a fusion is unknown, the device is not there, or a pass of ours does not fit into memory.
    """
    console, config = new_console(), command.config
    check_device(device)
    known = options("fusion", command.search_path)
    if strangers := sorted(set(fusions) - set(known)):
        raise UserError(f"bench.fusions names {', '.join(strangers)}: choose from {', '.join(known)}.")
    factory = build_factory(config)
    with torch.device("meta"):
        infos = {name: collect_feature_info(factory.build_untrained_expert(name)) for name in factory.experts}
    description = f"{describe_measurement(device, batch_size, repeats)} {NOTE}"
    rows: list[Sequence[str]] = []
    for name in fusions:
        build = fusion_builder(command, name)
        try:
            with torch.device("meta"):
                fusion = build(experts=infos, width=width)
        except UserError as error:
            console.print(f"{name} is left out: {error}", soft_wrap=True)
            continue
        parameters, _ = count_parameters(fusion)
        own = (name, ",".join(infos), f"{parameters:,}", f"{count_projector(fusion):,}", f"{fusion.visual_tokens:,}")
        make_subject = partial(make_fusion_subject, build, infos, width, batch_size, device)
        cells = list(comparison_rows(measure_costs(make_subject, repeats)))
        console.print(f"{name}, {parameters:,} parameters: {format_comparison(cells)}", soft_wrap=True)
        rows += [(*own, *row) for row in cells]
        write_table(Path(to), f"What fusions cost (size={config.size})", description, HEADER, rows)
    console.print(f"wrote {to}")


def fusion_builder(command: Command, name: str) -> Callable[..., Any]:
    """The class of a fusion with the command's arguments bound.

    Overrides of `fusion.FIELD` apply to the fusions that have this field.
    """
    given = [override for override in command.overrides if not override.startswith("fusion=")]
    others = [override for override in given if not override.startswith("fusion.")]
    fields = command.compose([*others, f"fusion={name}"]).resolved["fusion"]
    own = [override for override in given if override.startswith("fusion.")]
    own = [override for override in own if override.removeprefix("fusion.").split("=")[0] in fields]
    config = command.compose([*others, f"fusion={name}", *own]).config.fusion
    return partial(resolve_name(config.target), **config.arguments)


def count_projector(fusion: nn.Module) -> int:
    """Parameters of a fusion's projector; sequence append has one for each expert."""
    projector = fusion.projectors if hasattr(fusion, "projectors") else fusion.projector
    assert isinstance(projector, nn.Module)
    return count_parameters(projector)[0]
