"""Where a run's samples come from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from eaglebench.data.images import ImageReader
from eaglebench.data.llava import read_samples
from eaglebench.data.sample import Sample
from eaglebench.data.synthetic.engine import World, render


class SyntheticWorld:
    """The synthetic world, rendered on first use.

    Args:
        world: its numbers.
        root: where rendered worlds lie.
        tell: told when rendering starts.
    """

    def __init__(self, world: World, root: Path, tell: Callable[[str], None] = print) -> None:
        self.world = world
        self.root = root
        self.tell = tell
        self.digest = world.training_digest()

    @cached_property
    def folder(self) -> Path:
        """The folder of its LLaVA files and images."""
        return render(self.world, self.root, tell=self.tell)

    @cached_property
    def train(self) -> list[Sample]:
        """The training samples."""
        return read_samples(self.folder / "train.json")

    @cached_property
    def val(self) -> list[Sample]:
        """The held-out samples."""
        return read_samples(self.folder / "val.json")


class Split(NamedTuple):
    """Training samples, and a digest that changes with anything that training on them can depend on."""

    samples: list[Sample]
    digest: str


@dataclass
class DataSource:
    """The samples of a run.

    Attributes:
        train: what the stages train on that have no samples of their own.
        val: what is evaluated; empty if the user gave none.
        digest: of `train`, see `Split`.
        of_stages: the samples of the stages that have their own, by the stage's name.
        cache_mb: memory for decoded images of one side.
        workers: loader processes.
    """

    train: list[Sample]
    val: list[Sample]
    digest: str
    cache_mb: int
    workers: int
    of_stages: Mapping[str, Split] = field(default_factory=dict)
    _readers: dict[int, ImageReader] = field(default_factory=dict, repr=False)

    def training(self, stage: str) -> Split:
        """What a stage trains on."""
        return self.of_stages.get(stage) or Split(self.train, self.digest)

    def reader(self, side: int) -> ImageReader:
        """Reads images at `side`; one reader for all stages, so that each image is decoded once."""
        return self._readers.setdefault(side, ImageReader(side, self.cache_mb))
