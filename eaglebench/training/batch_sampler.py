"""The order of samples. A step's batch depends on the seed and the step's number alone, not on interruptions."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

POOL = 16  # batches whose samples are sorted together


class BatchOrder(Sampler[list[int]]):
    """Batches of sample indices, shuffled anew each epoch. Samples that do not fill an epoch's last batch are dropped.

    Args:
        samples: size of the dataset.
        batch_size: samples of a batch.
        batches: batches in all, over as many epochs as they take.
        seed: of the shuffling.
        lengths: of the samples' texts; those of a batch are then of similar length, and little of it is padding. None:
            any samples make a batch.

    Attributes:
        start: batches to leave out at the beginning, because an interrupted training has seen them.
    """

    def __init__(
        self, samples: int, batch_size: int, batches: int, seed: int, lengths: Sequence[int] | None = None
    ) -> None:
        self.samples = samples
        self.batch_size = batch_size
        self.batches = batches
        self.seed = seed
        self.lengths = None if lengths is None else torch.tensor(lengths)
        self.start = 0

    def __len__(self) -> int:
        """All batches, those before `start` too: progress bars count them."""
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed)
        batches_per_epoch = self.samples // self.batch_size
        for first in range(0, self.batches, batches_per_epoch):
            # torch's own shuffling loader draws a number for its workers before each order. Drawn here too, the orders
            # are the same.
            torch.empty((), dtype=torch.int64).random_(generator=generator)
            order = torch.randperm(self.samples, generator=generator)[: batches_per_epoch * self.batch_size]
            if self.lengths is not None:
                order = self.group_by_length(order, self.lengths, generator)
            for batch in range(max(first, self.start), min(first + batches_per_epoch, self.batches)):
                offset = (batch - first) * self.batch_size
                yield order[offset : offset + self.batch_size].tolist()

    def group_by_length(self, order: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Whole batches in another order: sorted by length among `POOL` batches, which are then shuffled."""
        size = POOL * self.batch_size
        pools = [order[start : start + size] for start in range(0, len(order), size)]
        batches = torch.cat([pool[lengths[pool].argsort(stable=True)] for pool in pools]).view(-1, self.batch_size)
        return batches[torch.randperm(len(batches), generator=generator)].flatten()
