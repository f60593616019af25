"""bench=fusion: what each fusion strategy costs beside the experts, from their maps to visual tokens and back."""

from collections.abc import Sequence
from functools import partial

import torch
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import nn

from eaglebench.config.build import build_workshop, constructor
from eaglebench.config.schema import plain
from eaglebench.model.factory import outline
from eaglebench.profiling.bench.fusion_subject import subject
from eaglebench.profiling.bench.measure import costs
from eaglebench.profiling.bench.table import beside, check_device, compared, write_table
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError

HEADER = ("fusion", "experts", "parameters", "of these projector", "visual tokens")
NOTE = (
    "Forward and backward from the experts' maps to visual tokens, in float32. Mini-Gemini beside the same with keys and values of all "
    "cells held at once, deformable attention beside transformers' class."
)


def bench_fusion(cfg: DictConfig) -> None:
    """Measure the fusions of `bench.fusions` on the maps of the chosen experts, print each line as it is known, and write the table."""
    console = new_console()
    settings = cfg.bench
    check_device(settings.device)
    workshop = build_workshop(cfg)
    with torch.device("meta"):
        outlines = {name: outline(workshop.fresh_expert(name)) for name in workshop.experts}
    rows: list[Sequence[str]] = []
    for name in settings.fusions:
        config = plain(with_fusion(name).fusion)
        make = constructor({key: value for key, value in config.items() if key != "name"})
        try:
            with torch.device("meta"):
                fusion = make(experts=outlines, width=settings.width)
        except UserError as error:
            console.print(f"{name} is left out: {error}", soft_wrap=True)
            continue
        # Sequence append has a projector for each expert.
        projector = fusion.projectors if hasattr(fusion, "projectors") else fusion.projector
        what = (name, ",".join(outlines), f"{count(fusion):,}", f"{count(projector):,}", f"{fusion.visual_tokens:,}")
        prepare = partial(subject, make, outlines, settings.width, settings.batch_size, settings.device)
        cells = list(compared(costs(prepare, settings.repeats)))
        console.print(f"{name}, {what[2]} parameters: {beside(cells)}", soft_wrap=True)
        rows += [(*what, *row) for row in cells]
        write_table(cfg, "What fusions cost", NOTE, HEADER, rows)
    console.print(f"wrote {settings.to}")


def with_fusion(name: str) -> DictConfig:
    """The config of this run with another fusion, and of the run's own fields of a fusion those that this one has."""
    given = [word for word in HydraConfig.get().overrides.task if not word.startswith("fusion=")]
    others = [word for word in given if not word.startswith("fusion.")]
    fields = compose("config", overrides=[*others, f"fusion={name}"]).fusion
    own = [word for word in given if word.startswith("fusion.") and word[len("fusion.") :].split("=")[0] in fields]
    return compose("config", overrides=[*others, f"fusion={name}", *own])


def count(module: nn.Module) -> int:
    """Parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())
