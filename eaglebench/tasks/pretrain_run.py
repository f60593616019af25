"""One pretraining: a part of the zoo on its own task, measured on held-out images."""

import shlex
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import nn

from eaglebench.config.build import build_hyperparameters, build_loggers, build_pretext, build_trainer
from eaglebench.config.compose import Command
from eaglebench.config.schema import Config
from eaglebench.config.schema_tasks import PretrainConfig
from eaglebench.data.synthetic.engine import VERSION
from eaglebench.training.setup import TrainingSetup
from eaglebench.utils.console import new_console
from eaglebench.utils.provenance import collect_versions
from eaglebench.utils.temporary import temporary_folder
from eaglebench.weights.files import load_weights
from eaglebench.zoo.cards import Card, head_file, save_float16, write_card
from eaglebench.zoo.pretext import GROUP, ExpertPretext, Pretext, SceneDataset
from eaglebench.zoo.readout import read_families
from eaglebench.zoo.shipped import weights_file

QUESTION_SHARE = 4  # a family has so many times fewer questions than there are held-out images
POINTS = 100  # of the loss curve on a card
# Settings that do not change the weights of a training that came to its end.
NO_EFFECT = ("folder", "validation_images", "micro_batch", "nonfinite")


def pretrain_part(command: Command) -> None:
    """Train `config.pretrain.part` from scratch, measure it on held-out images, and write its weights and its card."""
    console, config = new_console(), command.config
    settings = config.pretrain
    assert settings is not None
    part, folder = settings.part, settings.folder
    pretext, spec = build_pretext(config)
    hyperparameters = build_hyperparameters(settings)
    parameters = sum(parameter.numel() for parameter in pretext.part.parameters())
    task = " ".join((type(pretext).__doc__ or "").split("\n\n")[0].split())
    console.print(f"{part}: {parameters:,} parameters. {task}")
    started = time.monotonic()
    setup = TrainingSetup(
        network=pretext,
        parts={part: pretext.part, "head": pretext.head},
        learning_rates={part: settings.lr, "head": settings.lr},
        dataset=draw_images(pretext, config, "train", settings.steps * settings.batch_size),
        collate=pretext.collate,
        config_path="pretrain",
    )
    trainer = build_trainer(config, build_loggers(config, folder / "logs" / part), console)
    losses = trainer.train(setup, hyperparameters, f"pretrain/{part}", workers=0).losses
    # Measured before they replace what an earlier training wrote; the card last, which vouches for them.
    with temporary_folder(folder / part) as new:
        hashes = save_weights(pretext, new, part)
        score, families = measure_saved(pretext, config, settings, new)
        for name in hashes:
            (new / name).replace(folder / name)
    card = Card(
        part=part,
        task=task,
        command=f"python -m eaglebench {shlex.join(command.overrides)}",
        settings=card_settings(config, settings),
        minutes=round((time.monotonic() - started) / 60, 1),
        cores=torch.get_num_threads(),
        metric=pretext.metric,
        score=round(score, 4),
        validation_images=settings.validation_images,
        parameters=parameters,
        sha256=hashes,
        config=spec,
        losses=average_curve(losses),
        versions=collect_versions(),
        families={name: round(share, 4) for name, share in families.items()},
    )
    write_card(folder, card)
    console.print(f"{card.metric}: {card.score:.3f}")
    if card.families:
        console.print(", ".join(f"{name} {share:.3f}" for name, share in card.families.items()))
    console.print(f"{card.minutes:.1f} min; wrote {', '.join([*card.sha256, f'{part}.json'])} to {folder}")
    console.print(f"try it: python -m eaglebench {shlex.join(usage(part, folder))}", soft_wrap=True, markup=False)


def card_settings(config: Config, settings: PretrainConfig) -> dict[str, Any]:
    """Everything beside the part's own config that its weights follow from."""
    described = settings.model_dump(by_alias=True, exclude=set(NO_EFFECT))
    return {**described, "canvas": config.world.canvas, "seed": config.seed, "world": VERSION}


def usage(part: str, folder: Path) -> list[str]:
    """The overrides of a run that starts from a part."""
    if part == "llm":
        return [f"llm.checkpoint={weights_file(folder, part)}"]
    return [f"experts=[{part}]", f"experts.{part}.checkpoint={weights_file(folder, part)}"]


def draw_images(pretext: Pretext, config: Config, split: str, length: int) -> SceneDataset:
    """The images of a split, drawn when they are read."""
    assert config.pretrain is not None
    seed = f"{config.seed} pretrain {config.pretrain.part} {split}"
    return SceneDataset(pretext, config.pretrain.kinds, config.world.canvas, seed, length)


def save_weights(pretext: Pretext, folder: Path, part: str) -> dict[str, str]:
    """Write the part and its head, and give the SHA-256 of each file by its name."""
    return {path.name: save_float16(path, module) for path, module in weight_files(pretext, folder, part).items()}


def weight_files(pretext: Pretext, folder: Path, part: str) -> dict[Path, nn.Module]:
    """The module that each weight file holds: the part, and its head if the task has one."""
    files: dict[Path, nn.Module] = {weights_file(folder, part): pretext.part}
    if pretext.head.state_dict():
        files[head_file(folder, part)] = pretext.head
    return files


@torch.inference_mode()
def measure_saved(
    pretext: Pretext, config: Config, settings: PretrainConfig, folder: Path
) -> tuple[float, dict[str, float]]:
    """The score of the weights that were saved in a folder on held-out images, and that by family of questions."""
    for path, module in weight_files(pretext, folder, settings.part).items():
        load_weights(module, path, f"task=pretrain pretrain={settings.part}")
    pretext.eval()
    images = draw_images(pretext, config, "held-out", settings.validation_images)
    score, families = pretext.measure(images.groups(GROUP))
    if isinstance(pretext, ExpertPretext):
        questions = settings.validation_images // QUESTION_SHARE
        families = read_families(pretext, questions, config.world.canvas, f"{images.seed} questions")
    return score, families


def average_curve(losses: list[float]) -> list[float]:
    """A loss curve of at most POINTS points, each the mean of as many steps."""
    step = -(-len(losses) // POINTS)
    return [round(fmean(losses[start : start + step]), 4) for start in range(0, len(losses), step)]
