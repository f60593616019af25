"""Micro-batches: what one device takes in one forward pass. However a batch is split, its targets weigh the same."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from torch.utils.data import Dataset, Sampler

from eaglebench.training.batch_sampler import BatchOrder


class MicroBatch(NamedTuple):
    """Sample indices of a micro-batch, and those of the whole batch that it belongs to."""

    indices: list[int]
    batch: list[int]


class MicroBatchSampler(Sampler[MicroBatch]):
    """The micro-batches of each batch that one process takes, in order.

    Args:
        order: of the batches.
        size: samples of a micro-batch.
        world_size: processes that share a batch.
        get_rank: gives this process's number. Called when iteration begins: processes may not be numbered earlier.

    Attributes:
        per_batch: micro-batches of one batch that each process takes.
    """

    def __init__(self, order: BatchOrder, size: int, world_size: int, get_rank: Callable[[], int]) -> None:
        self.order = order
        self.size = size
        self.world_size = world_size
        self.get_rank = get_rank
        self.per_batch = order.batch_size // (size * world_size)

    def __len__(self) -> int:
        return len(self.order) * self.per_batch

    def __iter__(self) -> Iterator[MicroBatch]:
        rank = self.get_rank()
        for batch in self.order:
            for number in range(self.per_batch):
                start = (number * self.world_size + rank) * self.size
                yield MicroBatch(batch[start : start + self.size], batch)


class MicroBatchDataset(Dataset[tuple[Any, float]]):
    """Collated micro-batches with the weights of their losses.

    A weight is the micro-batch's share of its batch's targets, times the number of micro-batches. The mean of the
    weighted losses is then the mean over all targets of the batch.

    Args:
        dataset, collate: make a batch of samples.
        count_targets: gives the number of targets of the sample with an index; None: one a sample.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        collate: Callable[[Sequence[Any]], Any],
        count_targets: Callable[[int], int] | None,
    ) -> None:
        self.dataset = dataset
        self.collate = collate
        self.count_targets = count_targets

    def __getitem__(self, micro_batch: MicroBatch) -> tuple[Any, float]:
        indices, batch = micro_batch
        collated = self.collate([self.dataset[index] for index in indices])
        if self.count_targets is None or len(indices) == len(batch):
            return collated, 1.0
        share = sum(map(self.count_targets, indices)) / sum(map(self.count_targets, batch))
        return collated, share * len(batch) / len(indices)


def is_last_micro_batch(micro_batch_index: int, per_batch: int) -> bool:
    """Whether an optimizer step follows the micro-batch of this index (from 0), if a batch has `per_batch` of them."""
    return (micro_batch_index + 1) % per_batch == 0
