"""The pretrained parts that ship with the package: a weight file each, and a card that says how it was made."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import file_digest
from eaglebench.weights.files import write_weights

SHIPPED = Path(__file__).parent / "weights"
ZOO = "zoo"  # as a checkpoint: the weights that ship with the package


@dataclass(frozen=True)
class Card:
    """How a part was pretrained, and what it reached.

    Attributes:
        part: its name.
        task: what it was trained to do.
        command: makes it again.
        settings: of the training and its pictures, the seed and the version of the synthetic world with them.
        minutes, cores: of the training; no picture was seen twice.
        metric, score, held_out: what was measured, after rounding to float16, on how many pictures.
        parameters: of the part.
        sha256: of the weight files, by name.
        config: what the part was built from.
        losses: the curve, each the mean of as many steps.
        versions: of the packages.
    """

    part: str
    task: str
    command: str
    settings: Mapping[str, Any]
    minutes: float
    cores: int
    metric: str
    score: float
    held_out: int
    parameters: int
    sha256: Mapping[str, str]
    config: Mapping[str, Any]
    losses: list[float]
    versions: Mapping[str, str]


def weights_file(folder: Path, part: str) -> Path:
    """Where a part's weights lie."""
    return folder / f"{part}.safetensors"


def head_file(folder: Path, part: str) -> Path:
    """Where the head of its pretext task lies: needed to measure its score again, and for nothing else."""
    return folder / f"{part}.head.safetensors"


def card_file(folder: Path, part: str) -> Path:
    """Where its card lies."""
    return folder / f"{part}.json"


def read_card(folder: Path, part: str) -> Card:
    """The card of a part."""
    return Card(**json.loads(card_file(folder, part).read_text(encoding="utf-8")))


def write_card(folder: Path, card: Card) -> None:
    """Write the card of a part."""
    write_json(card_file(folder, card.part), asdict(card))


def shipped(part: str) -> Path:
    """The weights that the package has for a part.

    Raises:
        UserError: there are none; it names the parts that have.
    """
    file = weights_file(SHIPPED, part)
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in SHIPPED.glob("*.json"))) or "nothing"
        raise UserError(f"the zoo has no weights for {part}, but for {known}: give a file, or none.")
    return file


def save_half(path: Path, module: nn.Module) -> str:
    """Write a module's weights, numbers in float16, and give the file's SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_weights(path, {name: half(value) for name, value in module.state_dict().items()})
    return file_digest(path)


def half(value: Tensor) -> Tensor:
    """A floating tensor in float16; others as they are."""
    return value.to(torch.float16) if value.is_floating_point() else value
