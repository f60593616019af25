"""How a batch is split over processes."""

import pytest

from eaglebench.training.hyperparameters import micro_batch_size
from eaglebench.utils.errors import UserError


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    assert micro_batch_size("stages.sft", 16, None, 2) == 8
    assert micro_batch_size("stages.sft", 16, 4, 2) == 4
    with pytest.raises(UserError, match=r"sft\.batch_size=16 cannot be shared by 2 x micro_batch=3"):
        micro_batch_size("stages.sft", 16, 3, 2)
    with pytest.raises(UserError, match=r"sft\.batch_size=16 cannot be shared by 3 processes: make it a multiple"):
        micro_batch_size("stages.sft", 16, None, 3)
