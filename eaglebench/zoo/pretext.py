"""What every pretext task promises: a part with a head of its own, a loss, and a score on held-out scenes.

Shape letters: B batch, C expert channels, G side of the expert's map, K side of a grid of cells, L labels, S side of an
image in pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from eaglebench.data.images import to_tensor
from eaglebench.data.synthetic.compositions import draw_seen
from eaglebench.data.synthetic.drawing import Scene, SceneQuestion
from eaglebench.data.synthetic.engine import KINDS
from eaglebench.experts.base import VisionExpert
from eaglebench.utils.errors import UserError

GROUP = 64  # held-out scenes that are scored together


class Pretext(nn.Module, ABC):
    """A part (an expert, or the language model) with the task that it is pretrained on.

    Attributes:
        metric: what `score` measures, in words; higher is better.
        part: the module that is pretrained.
        outside_head: names of the modules that are neither the part nor its head.
    """

    metric: ClassVar[str]
    outside_head: ClassVar[tuple[str, ...]] = ()
    part: nn.Module

    @property
    def head(self) -> nn.ModuleDict:
        """The modules that are trained with the part and are of no use without the task."""
        children = self.named_children()
        return nn.ModuleDict({name: child for name, child in children if name not in ("part", *self.outside_head)})

    @abstractmethod
    def make_item(self, scene: Scene, rng: Random) -> Any:
        """The training sample of one scene."""

    @abstractmethod
    def collate(self, items: Sequence[Any]) -> Any:
        """The batch of some samples; it has a length and a method `to(device)`."""

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """The loss of a batch, a scalar."""

    @abstractmethod
    def score(self, groups: Iterable[Sequence[Any]]) -> float:
        """The metric over held-out samples, which come in groups of a batch's size.

        Call it in evaluation mode and without gradients.
        """

    def measure(self, groups: Iterable[Sequence[Any]]) -> tuple[float, dict[str, float]]:
        """The score, and the shares of right answers by family of questions; none for a task that answers none."""
        return self.score(groups), {}


def split_factor(part: VisionExpert, cells: int) -> int:
    """The number of cells along a side that each cell of the expert's map is split into, to make a grid of `cells`.

    Raises:
        UserError: the expert's map does not divide the grid; the message names the sides that do.
    """
    if cells % part.grid:
        sides = ", ".join(str(side) for side in range(1, cells + 1) if cells % side == 0)
        raise UserError(
            f"this pretext task needs a map whose side is one of {sides}, not {part.grid}: change image_size."
        )
    return cells // part.grid


class TensorBatch:
    """A batch of named tensors, which are its attributes; all have B as their first dimension."""

    def __init__(self, **tensors: Tensor) -> None:
        self.tensors = tensors

    def __getattr__(self, name: str) -> Tensor:
        try:
            tensor: Tensor = self.__dict__["tensors"][name]
        except KeyError:
            raise AttributeError(name) from None
        return tensor

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def to(self, device: torch.device | str) -> Self:
        """The batch on `device`."""
        return type(self)(**{name: tensor.to(device) for name, tensor in self.tensors.items()})

    @classmethod
    def stack(cls, items: Sequence[Mapping[str, Tensor]]) -> Self:
        """The batch of samples with the same names and shapes."""
        return cls(**{name: torch.stack([item[name] for item in items]) for name in items[0]})


class ExpertPretext(Pretext):
    """A pretext task of a vision expert. Its samples are named tensors, with the pixels in `images`.

    Args:
        part: the expert.
    """

    part: VisionExpert

    def __init__(self, part: VisionExpert) -> None:
        super().__init__()
        self.part = part

    def encode(self, images_B3SS: Tensor) -> Tensor:
        """The expert's map [B, C, G, G] of uint8 images [B, 3, S, S]."""
        features_BCGG: Tensor = self.part(self.part.preprocess(images_B3SS))
        return features_BCGG

    def read(self, images_B3SS: Tensor, questions: Sequence[SceneQuestion]) -> list[str | None]:
        """The head's answers to one question about each of the uint8 images; None to those that it cannot answer."""
        return [None] * len(questions)

    def collate(self, items: Sequence[Mapping[str, Tensor]]) -> TensorBatch:
        return TensorBatch.stack(items)

    def iterate_batches(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> Iterator[TensorBatch]:
        """The batch of each group of samples, on the expert's device."""
        for items in groups:
            yield self.collate(items).to(self.part.mean.device)


class SceneDataset(Dataset[Any]):
    """The samples of scenes that are drawn when they are read: nothing is stored, and no scene is seen twice.

    Args:
        pretext: makes a sample of each scene.
        kinds: the relative frequency of each kind of scene.
        canvas: side of a scene, in pixels.
        seed: of the scenes; another seed gives other scenes.
        length: number of scenes.
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
        return self.pretext.make_item(draw_seen(KINDS[kind], rng, self.canvas), rng)

    def groups(self, size: int) -> Iterable[list[Any]]:
        """All samples in order, `size` at a time."""
        for start in range(0, self.length, size):
            yield [self[index] for index in range(start, min(start + size, self.length))]


def to_pixels(scene: Scene) -> Tensor:
    """The image of a scene as uint8 [3, S, S]."""
    return to_tensor(scene.image)


def pad_ids(ids: list[int], length: int, pad: int) -> list[int]:
    """Token ids at one length: padded with `pad`, or truncated."""
    return (ids + [pad] * length)[:length]
