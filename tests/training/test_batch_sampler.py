"""The order of samples is a function of the seed and the step."""

from itertools import islice

import pytest
import torch
from torch.utils.data import DataLoader

from eaglebench.training.batch_sampler import BatchOrder


def test_it_is_the_order_of_torchs_own_shuffling_loader() -> None:
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(range(11), batch_size=3, shuffle=True, drop_last=True, generator=generator)
    expected = [batch.tolist() for _ in range(3) for batch in islice(loader, 3)]
    assert list(BatchOrder(11, 3, 9, seed=3)) == expected


def test_each_epoch_shows_samples_once_in_another_order() -> None:
    batches = list(BatchOrder(12, 4, 6, seed=0))
    first, second = ([index for batch in epoch for index in batch] for epoch in (batches[:3], batches[3:]))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


@pytest.mark.parametrize("start", range(8))
def test_it_goes_on_where_it_is_told_to(start: int) -> None:
    whole = list(BatchOrder(11, 3, 7, seed=1))
    order = BatchOrder(11, 3, 7, seed=1)
    order.start = start
    assert list(order) == whole[start:]
    assert len(order) == 7  # a progress counts what has been seen
