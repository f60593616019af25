"""bench=experts: what each expert costs."""

from collections.abc import Sequence
from functools import partial
from itertools import product

from omegaconf import DictConfig

from eaglebench.config.build import constructor_arguments
from eaglebench.config.schema import plain
from eaglebench.profiling.bench.expert_subject import Variant, size, subject
from eaglebench.profiling.bench.measure import costs
from eaglebench.profiling.bench.table import beside, check_device, compared, write_table
from eaglebench.profiling.bench.upstream import WRITTEN_OUT
from eaglebench.utils.console import new_console

HEADER = ("expert", "image", "parameters", "GMACs", "pass", "weights", "activations")
NOTE = (
    "Each beside other code with the same weights, in turn in the same process: the library that the expert comes from, and "
    f"`{WRITTEN_OUT}`, which holds its softmax."
)


def bench_experts(cfg: DictConfig) -> None:
    """Measure the chosen experts at the config's size, print each line as it is known, and write the table."""
    console = new_console()
    settings = cfg.bench
    check_device(settings.device)
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
            prepare = partial(subject, config, variant, settings.batch_size, settings.device)
            cells = list(compared(costs(prepare, settings.repeats)))
            passed, dtype, activations = told(variant)
            console.print(
                f"{name} {node.image_size} px, {passed}, {dtype}, activations {activations}: {beside(cells)}",
                soft_wrap=True,
            )
            rows += [(*what, passed, dtype, activations, *row) for row in cells]
            write_table(cfg, "What experts cost", NOTE, HEADER, rows)
    console.print(f"wrote {settings.to}")


def told(variant: Variant) -> tuple[str, str, str]:
    """The cells that say what was run."""
    return (
        "forward + backward" if variant.backward else "forward",
        variant.dtype,
        "checkpointed" if variant.checkpointing else "kept",
    )
