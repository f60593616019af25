"""task=pretrain: one tiny part on its own task, its weights and its card."""

import shlex
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from eaglebench.config.build import build_fit, build_loggers, build_pretext
from eaglebench.config.schema import SCHEDULE, plain
from eaglebench.data.synthetic.engine import VERSION
from eaglebench.training.setup import Schedule, Training
from eaglebench.utils.console import new_console
from eaglebench.utils.provenance import versions
from eaglebench.weights.files import load_weights
from eaglebench.zoo.cards import Card, head_file, save_half, weights_file, write_card
from eaglebench.zoo.pretext import GROUP, Pictures, Pretext

POINTS = 100  # of the loss curve on a card


def pretrain(cfg: DictConfig) -> None:
    """Train `cfg.pretrain.part` from scratch, measure it on held-out pictures, and write its weights and its card."""
    console = new_console()
    settings = cfg.pretrain
    part, folder = str(settings.part), Path(settings.folder)
    pretext, config = build_pretext(cfg)
    schedule = Schedule(**{name: plain(settings)[name] for name in SCHEDULE})
    assert schedule.steps is not None
    parameters = sum(parameter.numel() for parameter in pretext.part.parameters())
    task = " ".join((type(pretext).__doc__ or "").split("\n\n")[0].split())
    console.print(f"{part}: {parameters:,} parameters. {task}")
    started = time.monotonic()
    training = Training(
        network=pretext,
        parts={part: pretext.part, "head": pretext.head},
        learning_rates={part: settings.lr, "head": settings.lr},
        dataset=pictures(pretext, cfg, "train", schedule.steps * schedule.batch_size),
        collate=pretext.collate,
        config="pretrain",
    )
    fit = build_fit(cfg, build_loggers(cfg, folder / "logs" / part), console)
    losses, _ = fit(training, schedule, f"pretrain/{part}", workers=0)
    digests = save(pretext, folder, part)
    score = measured(pretext, cfg, folder, settings.held_out)
    card = Card(
        part=part,
        task=task,
        command=f"python -m eaglebench {shlex.join(sys.argv[1:])}",
        settings=card_settings(cfg),
        minutes=round((time.monotonic() - started) / 60, 1),
        cores=torch.get_num_threads(),
        metric=pretext.metric,
        score=round(score, 4),
        held_out=settings.held_out,
        parameters=parameters,
        sha256=digests,
        config=config,
        losses=curve(losses),
        versions=versions(),
    )
    write_card(folder, card)
    console.print(f"{card.metric}: {card.score:.3f}")
    console.print(f"{card.minutes:.1f} min; wrote {', '.join([*card.sha256, f'{part}.json'])} to {folder}")
    console.print(f"try it: python -m eaglebench {shlex.join(usage(part, folder))}", soft_wrap=True, markup=False)


def card_settings(cfg: DictConfig) -> dict[str, Any]:
    """Everything beside the part's own config that its weights follow from."""
    unseen = ("folder", "held_out", "micro_batch", "nonfinite")  # a training that came to its end did not meet the last
    settings = {name: value for name, value in plain(cfg.pretrain).items() if name not in unseen}
    return {**settings, "canvas": cfg.world.canvas, "seed": cfg.seed, "world": VERSION}


def usage(part: str, folder: Path) -> list[str]:
    """The words that start a run from a part."""
    if part == "llm":
        return [f"llm.checkpoint={weights_file(folder, part)}"]
    return [f"experts=[{part}]", f"experts.{part}.checkpoint={weights_file(folder, part)}"]


def pictures(pretext: Pretext, cfg: DictConfig, split: str, length: int) -> Pictures:
    """The pictures of a split."""
    seed = f"{cfg.seed} pretrain {cfg.pretrain.part} {split}"
    return Pictures(pretext, plain(cfg.pretrain.kinds), cfg.world.canvas, seed, length)


def save(pretext: Pretext, folder: Path, part: str) -> dict[str, str]:
    """Write the part and its head, and give the files' digests."""
    return {path.name: save_half(path, module) for path, module in files(pretext, folder, part).items()}


def files(pretext: Pretext, folder: Path, part: str) -> dict[Path, nn.Module]:
    """What is kept where: the part, and its head if the task has one."""
    kept: dict[Path, nn.Module] = {weights_file(folder, part): pretext.part}
    if pretext.head.state_dict():
        kept[head_file(folder, part)] = pretext.head
    return kept


@torch.inference_mode()
def measured(pretext: Pretext, cfg: DictConfig, folder: Path, count: int) -> float:
    """The score of the saved weights on so many held-out pictures."""
    part = str(cfg.pretrain.part)
    for path, module in files(pretext, folder, part).items():
        load_weights(module, path, f"task=pretrain part={part}")
    pretext.eval()
    return pretext.score(pictures(pretext, cfg, "held-out", count).groups(GROUP))


def curve(losses: list[float]) -> list[float]:
    """A loss curve of at most POINTS points, each the mean of as many steps."""
    step = -(-len(losses) // POINTS)
    return [round(fmean(losses[start : start + step]), 4) for start in range(0, len(losses), step)]
