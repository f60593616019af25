"""Where a run's samples come from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

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


@dataclass
class DataSource:
    """The samples of a run.

    Attributes:
        train: what the stages train on.
        val: what is evaluated; empty if the user gave none.
        digest: changes with anything that training on `train` can depend on.
        cache_mb: memory for decoded images of one side.
        workers: loader processes.
    """

    train: list[Sample]
    val: list[Sample]
    digest: str
    cache_mb: int
    workers: int
    _readers: dict[int, ImageReader] = field(default_factory=dict, repr=False)

    def reader(self, side: int) -> ImageReader:
        """Reads images at `side`; one reader for all stages, so that each image is decoded once."""
        return self._readers.setdefault(side, ImageReader(side, self.cache_mb))
