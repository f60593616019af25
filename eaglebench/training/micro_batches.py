"""Batches in pieces: what one device takes at a time. However a batch is cut, its targets weigh the same."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from torch.utils.data import Dataset, Sampler

from eaglebench.training.batch_sampler import BatchOrder
from eaglebench.utils.errors import UserError


class Cut(NamedTuple):
    """Indices of a piece, and of the whole batch that it is of."""

    piece: list[int]
    whole: list[int]


class Cuts(Sampler[Cut]):
    """The pieces of each batch that are one process's, in their order.

    Args:
        order: of the batches.
        size: samples of a piece.
        world: processes that share a batch.
        rank: gives this one's number; called when the first piece is wanted.
    """

    def __init__(self, order: BatchOrder, size: int, world: int, rank: Callable[[], int]) -> None:
        self.order = order
        self.size = size
        self.world = world
        self.rank = rank
        self.each = order.batch_size // (size * world)

    def __len__(self) -> int:
        return len(self.order) * self.each

    def __iter__(self) -> Iterator[Cut]:
        rank = self.rank()
        for whole in self.order:
            for number in range(self.each):
                at = (number * self.world + rank) * self.size
                yield Cut(whole[at : at + self.size], whole)


class Pieces(Dataset[tuple[Any, float]]):
    """Collated pieces with their weights: a piece's share of the targets of its batch, times the pieces of it.

    The mean over the pieces of their mean losses times these weights is then the mean over all targets of the batch.

    Args:
        dataset, collate: make a batch of samples.
        targets: how many targets the sample of an index has; None: one each.
    """

    def __init__(
        self, dataset: Dataset[Any], collate: Callable[[Sequence[Any]], Any], targets: Callable[[int], int] | None
    ) -> None:
        self.dataset = dataset
        self.collate = collate
        self.targets = targets

    def __getitem__(self, cut: Cut) -> tuple[Any, float]:
        batch = self.collate([self.dataset[index] for index in cut.piece])
        if self.targets is None or len(cut.piece) == len(cut.whole):
            return batch, 1.0
        share = sum(map(self.targets, cut.piece)) / sum(map(self.targets, cut.whole))
        return batch, share * len(cut.whole) / len(cut.piece)


def ends_batch(batch_index: int, pieces: int) -> bool:
    """Whether the piece of this number is the last one of its batch of so many pieces, after which an optimizer step is done."""
    return (batch_index + 1) % pieces == 0


def piece_size(config: str, batch_size: int, micro_batch: int | None, world: int) -> int:
    """Samples that a process takes at a time; `config` is where the settings are, for messages.

    Raises:
        UserError: the batch cannot be cut so.
    """
    size = micro_batch or batch_size // world
    if not size or batch_size % (size * world):
        what = f"{world} processes" if micro_batch is None else f"{world} x micro_batch={micro_batch}"
        raise UserError(f"{config}.batch_size={batch_size} cannot be shared by {what}: make it a multiple.")
    return size
