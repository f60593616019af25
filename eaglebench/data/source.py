"""The samples of a run, from files or from the synthetic world."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from eaglebench.data.images import ImageReader
from eaglebench.data.llava import read_samples
from eaglebench.data.sample import CAPTIONS, MIXED, Sample
from eaglebench.data.square import ImageSettings
from eaglebench.data.synthetic.engine import World, render_world


class SyntheticWorld:
    """The synthetic world, rendered on first use.

    Args:
        world: the numbers that determine it.
        root: the folder that holds rendered worlds.
        log: called with a message when rendering starts.
        split: the held-out questions that are evaluated: `val`, `test` or `composition`.

    Attributes:
        digest: hash of everything that the training samples depend on.
    """

    def __init__(self, world: World, root: Path, log: Callable[[str], None] = print, split: str = "val") -> None:
        self.world = world
        self.root = root
        self.log = log
        self.split = split
        self.digest = world.training_digest()

    @cached_property
    def folder(self) -> Path:
        """The folder of the world's LLaVA files and images."""
        return render_world(self.world, self.root, log=self.log)

    @cached_property
    def train(self) -> list[Sample]:
        """The training samples."""
        return read_samples(self.folder / "train.json")

    def of_stage(self, name: str) -> list[Sample]:
        """The training images with other text than their questions: one of `OF_WORLD`."""
        if name == MIXED:
            return [sample for pair in zip(self.of_stage(CAPTIONS), self.train, strict=True) for sample in pair]
        return read_samples(self.folder / f"{name}.json")

    @cached_property
    def val(self) -> list[Sample]:
        """The held-out samples."""
        return read_samples(self.folder / f"{self.split}.json")


class Split(NamedTuple):
    """Training samples, and a hash of everything that training on them depends on."""

    samples: list[Sample]
    digest: str


@dataclass
class DataSource:
    """The samples of a run.

    Attributes:
        train: training samples of the stages that have none of their own.
        val: evaluation samples; empty if the user gave none.
        digest: hash of `train` (see `Split`).
        images: how images become squares.
        cache_mb: size in MiB of the cache of decoded images, per image side.
        workers: number of data loader processes.
        of_stages: training samples of the stages that have their own, by stage name.
    """

    train: list[Sample]
    val: list[Sample]
    digest: str
    images: ImageSettings
    cache_mb: int
    workers: int
    of_stages: Mapping[str, Split] = field(default_factory=dict)
    _readers: dict[int, ImageReader] = field(default_factory=dict, repr=False)

    def training_split(self, stage: str) -> Split:
        """The training samples of the named stage."""
        return self.of_stages.get(stage) or Split(self.train, self.digest)

    def reader(self, side: int) -> ImageReader:
        """The reader of images with `side` pixels, shared by all stages so that each image is decoded once."""
        return self._readers.setdefault(side, ImageReader(side, self.cache_mb, self.images))
