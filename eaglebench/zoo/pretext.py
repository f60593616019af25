"""What every pretext task promises: a part with a head of its own, a loss, and a score on held-out pictures.

Shape letters: B batch, C expert channels, G side of the expert's map, K side of a finer grid of cells, L labels, S side of an image.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from eaglebench.data.images import square
from eaglebench.data.synthetic.drawing import Picture
from eaglebench.data.synthetic.engine import KINDS
from eaglebench.experts.base import VisionExpert
from eaglebench.utils.errors import UserError

GROUP = 64  # held-out pictures that are scored together


class Pretext(nn.Module, ABC):
    """A part (an expert, or the language model) on the task that it is pretrained with.

    Attributes:
        metric: what `score` gives, in words; more is better.
        part: what is pretrained.
        beside: names of the modules that are neither the part nor its head.
    """

    metric: ClassVar[str]
    beside: ClassVar[tuple[str, ...]] = ()
    part: nn.Module

    @property
    def head(self) -> nn.ModuleDict:
        """What trains with the part and is of no use without the task."""
        children = self.named_children()
        return nn.ModuleDict({name: child for name, child in children if name not in ("part", *self.beside)})

    @abstractmethod
    def item(self, picture: Picture, rng: Random) -> Any:
        """What the task makes of one picture."""

    @abstractmethod
    def collate(self, items: Sequence[Any]) -> Any:
        """The batch of some items; it has a length and `to(device)`."""

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """The loss."""

    @abstractmethod
    def score(self, groups: Iterable[Sequence[Any]]) -> float:
        """The metric over held-out items, given in groups of a batch's size. Called in evaluation mode, without gradients."""


def fine_split(part: VisionExpert, cells: int) -> int:
    """Into how many cells along a side each of the expert's own has to be split for a grid of `cells`.

    Raises:
        UserError: the grid does not divide; it names the sides that would.
    """
    if cells % part.grid:
        fitting = ", ".join(str(side) for side in range(1, cells + 1) if cells % side == 0)
        raise UserError(
            f"this pretext task needs a map whose side is one of {fitting}, not {part.grid}: change image_size."
        )
    return cells // part.grid


class Fields:
    """A batch of named tensors, all with B first."""

    def __init__(self, **tensors: Tensor) -> None:
        self.tensors = tensors

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self.__dict__["tensors"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def to(self, device: torch.device | str) -> Self:
        """The batch on `device`."""
        return type(self)(**{name: tensor.to(device) for name, tensor in self.tensors.items()})

    @classmethod
    def stacked(cls, items: Sequence[Mapping[str, Tensor]]) -> Self:
        """The batch of items with the same names and shapes."""
        return cls(**{name: torch.stack([item[name] for item in items]) for name in items[0]})


class ExpertPretext(Pretext):
    """A pretext task of a vision expert; its items are named tensors, the picture's pixels in `images`."""

    part: VisionExpert

    def __init__(self, part: VisionExpert) -> None:
        super().__init__()
        self.part = part

    def features(self, images: Tensor) -> Tensor:
        """The expert's map [B, C, G, G] of uint8 images."""
        return self.part(self.part.preprocess(images))

    def collate(self, items: Sequence[Mapping[str, Tensor]]) -> Fields:
        return Fields.stacked(items)

    def batches(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> Iterator[Fields]:
        """Batches of groups of items, on the expert's device."""
        for items in groups:
            yield self.collate(items).to(self.part.mean.device)


class Pictures(Dataset[Any]):
    """Pictures drawn when they are asked for, each once: nothing is stored, and nothing is seen twice.

    Args:
        pretext: makes an item of each.
        kinds: how often each kind is drawn.
        canvas: side in pixels.
        seed: of the pictures; another seed gives others.
        length: how many there are.
    """

    def __init__(self, pretext: Pretext, kinds: Mapping[str, float], canvas: int, seed: str, length: int) -> None:
        self.pretext = pretext
        self.kinds = dict(kinds)
        self.canvas = canvas
        self.seed = seed
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        rng = Random(f"{self.seed} {index}")
        (kind,) = rng.choices(list(self.kinds), list(self.kinds.values()))
        return self.pretext.item(KINDS[kind](rng, self.canvas), rng)

    def groups(self, size: int) -> Iterable[list[Any]]:
        """All items in order, `size` at a time."""
        for start in range(0, self.length, size):
            yield [self[index] for index in range(start, min(start + size, self.length))]


def pixels(picture: Picture) -> Tensor:
    """The picture as uint8 [3, S, S]."""
    return square(picture.image, picture.image.width)


def padded(ids: list[int], length: int, pad: int) -> list[int]:
    """Token ids at one length: filled up with `pad`, or cut."""
    return (ids + [pad] * length)[:length]


def cell_shares(picture: Picture, cells: int) -> np.ndarray:
    """How much of each cell each thing takes: float [marks, cells, cells], in [0, 1]. The picture's side divides into the cells."""
    step = len(picture.regions) // cells
    numbered = picture.regions.reshape(cells, step, cells, step)
    things = np.arange(1, len(picture.marks) + 1)[:, None, None, None, None]
    return (numbered == things).mean(axis=(2, 4))
