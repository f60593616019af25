"""The order of samples: what a step sees depends on the seed and its number alone, not on where a run was interrupted."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class BatchOrder(Sampler[list[int]]):
    """Batches of indices, in a new order each epoch; what does not fill the last batch of an epoch waits for another one.

    Args:
        samples: how many there are.
        batch_size: samples of a batch.
        batches: how many there are in all, over as many epochs as they take.
        seed: of the orders.

    Attributes:
        start: batches that are left out, because they have been seen.
    """

    def __init__(self, samples: int, batch_size: int, batches: int, seed: int) -> None:
        self.samples = samples
        self.batch_size = batch_size
        self.batches = batches
        self.seed = seed
        self.start = 0

    def __len__(self) -> int:
        """All batches, seen ones too: a progress counts them."""
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed)
        an_epoch = self.samples // self.batch_size
        for first in range(0, self.batches, an_epoch):
            # torch's own shuffling loader draws a number for its workers before each order: these are the orders that it would give.
            torch.empty((), dtype=torch.int64).random_(generator=generator)
            order = torch.randperm(self.samples, generator=generator)
            for batch in range(max(first, self.start), min(first + an_epoch, self.batches)):
                at = (batch - first) * self.batch_size
                yield order[at : at + self.batch_size].tolist()
