"""The order of samples. A step's batch depends on the seed and the step's number alone, not on interruptions."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class BatchOrder(Sampler[list[int]]):
    """Batches of sample indices, shuffled anew each epoch. Samples that do not fill an epoch's last batch are dropped.

    Args:
        samples: size of the dataset.
        batch_size: samples of a batch.
        batches: batches in all, over as many epochs as they take.
        seed: of the shuffling.

    Attributes:
        start: batches to leave out at the beginning, because an interrupted training has seen them.
    """

    def __init__(self, samples: int, batch_size: int, batches: int, seed: int) -> None:
        self.samples = samples
        self.batch_size = batch_size
        self.batches = batches
        self.seed = seed
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
            order = torch.randperm(self.samples, generator=generator)
            for batch in range(max(first, self.start), min(first + batches_per_epoch, self.batches)):
                offset = (batch - first) * self.batch_size
                yield order[offset : offset + self.batch_size].tolist()
