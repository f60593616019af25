"""bench=experts: the cost of each expert, beside other implementations of it."""

from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt

from eaglebench.config.compose import Command
from eaglebench.profiling.bench.expert_subject import PassVariant, count_parameters_and_macs, make_expert_subject
from eaglebench.profiling.bench.measure import measure_costs
from eaglebench.profiling.bench.table import (
    check_device,
    comparison_rows,
    describe_measurement,
    format_comparison,
    write_table,
)
from eaglebench.profiling.bench.upstream import NAIVE
from eaglebench.utils.console import new_console

HEADER = ("expert", "image", "parameters", "GMACs", "pass", "weights", "activations")
NOTE = (
    "Each beside other code with the same weights, in turn in the same process: the library that the expert comes "
    f"from, and `{NAIVE}`, which keeps its softmax in memory."
)


def bench_experts(
    command: Command,
    backward: Sequence[bool],
    dtypes: Sequence[Literal["float32", "bfloat16", "float16"]],
    checkpointing: Sequence[bool],
    batch_size: PositiveInt,
    repeats: PositiveInt,
    device: str,
    to: Path,
) -> None:
    """Measure the experts of a command, print each cost as it is known, and write the table.

    Args:
        backward: whether to run the backward pass too; each value is measured.
        dtypes: precisions of weights and pixels; each is measured.
        checkpointing: whether to recompute activations; each value is measured where there is a backward pass.
        batch_size: images of a pass.
        repeats: measurements, of which the median counts.
        device: by its name in torch.
        to: the Markdown file of the table.

    Raises:
        UserError: the device is not there, or a pass of ours does not fit into memory.
    """
    console, config = new_console(), command.config
    check_device(device)
    variants = [
        PassVariant(*choice) for choice in product(backward, dtypes, checkpointing) if choice[0] or not choice[2]
    ]
    description = f"{describe_measurement(device, batch_size, repeats)} {NOTE}"
    rows: list[Sequence[str]] = []
    for name, expert in config.experts.items():
        side = expert.arguments["image_size"]
        parameters, macs = count_parameters_and_macs(expert.spec)
        for variant in variants:
            make_subject = partial(make_expert_subject, expert.spec, variant, batch_size, device)
            cells = list(comparison_rows(measure_costs(make_subject, repeats)))
            passed, dtype, activations = variant.cells
            console.print(
                f"{name} {side} px, {passed}, {dtype}, activations {activations}: {format_comparison(cells)}",
                soft_wrap=True,
            )
            own = (name, f"{side} px", f"{parameters:,}", f"{macs / 1e9:.4g}", *variant.cells)
            rows += [(*own, *row) for row in cells]
            write_table(Path(to), f"What experts cost (size={config.size})", description, HEADER, rows)
    console.print(f"wrote {to}")
