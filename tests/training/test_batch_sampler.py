"""The order of samples is a function of the seed and the step."""

from itertools import islice
from statistics import fmean

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


@pytest.mark.parametrize("lengths", [None, range(11)], ids=str)
@pytest.mark.parametrize("start", range(8))
def test_it_goes_on_where_it_is_told_to(start: int, lengths: range | None) -> None:
    whole = list(BatchOrder(11, 3, 7, 1, lengths))
    order = BatchOrder(11, 3, 7, 1, lengths)
    order.start = start
    assert list(order) == whole[start:]
    assert len(order) == 7  # a progress counts what has been seen


def test_grouped_by_length_a_batch_is_hardly_padded_and_an_epoch_is_as_whole_as_ever() -> None:
    lengths = torch.randint(1, 100, (1000,), generator=torch.Generator().manual_seed(0)).tolist()
    plain, grouped = (list(BatchOrder(1000, 10, 200, 0, by)) for by in (None, lengths))

    def padding(batches: list[list[int]]) -> float:
        widths = [max(lengths[index] for index in batch) for batch in batches]
        return 1 - sum(map(sum, ([lengths[index] for index in batch] for batch in batches))) / (10 * sum(widths))

    assert padding(plain) > 0.4
    assert padding(grouped) < 0.08
    for epoch in (grouped[:100], grouped[100:]):
        assert sorted(index for batch in epoch for index in batch) == list(range(1000))
        means = [fmean(lengths[index] for index in batch) for batch in epoch]
        assert abs(fmean(means[:20]) - fmean(means[-20:])) < 25  # no curriculum from the short to the long
    assert grouped[:100] != grouped[100:]
