"""The files of a pretrained part: its weights, the head of its pretext task, and a card that says how it was made."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import hash_file
from eaglebench.weights.files import write_weights


@dataclass(frozen=True)
class Card:
    """How a part was pretrained, and the score that it reached.

    Attributes:
        part: an expert's name, or `llm`.
        task: what the part was trained to do, in a sentence.
        command: makes the part again.
        settings: of the training and its scenes, with the seed and the version of the synthetic data.
        minutes, cores: of the training. No scene was seen twice.
        metric, score: of the weights after rounding to float16, on held-out scenes.
        families: the share of right answers by family of questions: of the language model in its task, of an expert
            those of its own head.
        validation_images: number of these scenes.
        parameters: number of the part's parameters.
        sha256: of the weight files, by name.
        config: the constructor arguments of the part.
        losses: the training loss; each number is the mean of equally many steps.
        versions: of the software.
        remarks: what the command alone does not tell.
    """

    part: str
    task: str
    command: str
    settings: Mapping[str, Any]
    minutes: float
    cores: int
    metric: str
    score: float
    validation_images: int
    parameters: int
    sha256: Mapping[str, str]
    config: Mapping[str, Any]
    losses: list[float]
    versions: Mapping[str, str]
    families: Mapping[str, float] = field(default_factory=dict)
    remarks: str = ""


def head_file(folder: Path, part: str) -> Path:
    """The path of the head of a part's pretext task, which is only needed to measure the score again."""
    return folder / f"{part}.head.safetensors"


def card_file(folder: Path, part: str) -> Path:
    """The path of a part's card."""
    return folder / f"{part}.json"


def read_card(folder: Path, part: str) -> Card:
    """Read the card of a part."""
    return Card(**json.loads(card_file(folder, part).read_text(encoding="utf-8")))


def write_card(folder: Path, card: Card) -> None:
    """Write the card of a part."""
    write_json(card_file(folder, card.part), asdict(card))


def save_float16(path: Path, module: nn.Module) -> str:
    """Write a module's weights, with floating-point numbers in float16, and return the SHA-256 of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_weights(path, {name: to_float16(value) for name, value in module.state_dict().items()})
    return hash_file(path)


def to_float16(value: Tensor) -> Tensor:
    """A floating-point tensor in float16; any other tensor unchanged."""
    return value.to(torch.float16) if value.is_floating_point() else value
