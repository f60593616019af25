"""Which held-out samples validation uses."""

from itertools import pairwise

import pytest

from eaglebench.evaluation.validation import take_evenly


@pytest.mark.parametrize(("there", "wanted"), [(100, 70), (139, 70), (1800, 70), (7, 70), (5, 0), (0, 3)])
def test_samples_are_taken_from_the_first_to_the_last(there: int, wanted: int) -> None:
    taken = take_evenly(list(range(there)), wanted)
    assert len(taken) == min(there, wanted)
    gaps = {later - earlier for earlier, later in pairwise(taken)}
    assert not gaps or max(gaps) - min(gaps) <= 1
    if taken:
        assert there - taken[-1] <= there // wanted + 1 if wanted < there else taken == list(range(there))
