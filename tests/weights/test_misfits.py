"""What does not fit a module is found, whatever it is; `tests/bad_input/test_weights.py` has what users see."""

import pytest
import torch
from torch import nn

from eaglebench.utils.errors import UserError
from eaglebench.weights.misfits import copy_weights, find_misfits, is_finite


def test_weights_that_fit_have_no_misfits() -> None:
    own = nn.BatchNorm1d(2).state_dict()
    assert not any(find_misfits(own, own).values())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_one_number_that_is_not_finite_is_found(dtype: torch.dtype) -> None:
    assert is_finite(torch.ones(3, 4).to(dtype))
    assert is_finite(torch.ones(0).to(dtype))
    bad = torch.ones(3, 4)
    bad[1, 2] = torch.nan
    assert not is_finite(bad.to(dtype))


def test_numbers_that_are_not_finite_in_the_part_too_are_fine() -> None:
    """The mask of an attention holds minus infinity."""
    module, weights = nn.Linear(2, 2), nn.Linear(2, 2).state_dict()
    module.register_buffer("mask", torch.full((2,), -torch.inf))
    copy_weights(module, weights | {"mask": torch.full((2,), -torch.inf)}, "the test")


@pytest.mark.parametrize(
    ("given", "own"), [(nn.Conv2d(3, 2, 1), nn.Linear(3, 2)), (nn.Linear(3, 2), nn.Conv2d(3, 2, 1))]
)
def test_a_convolution_of_one_pixel_is_a_linear_layer(given: nn.Module, own: nn.Module) -> None:
    copy_weights(own, given.state_dict(), "the test")
    assert torch.equal(own.weight.flatten(), given.weight.flatten())
    with pytest.raises(UserError, match="1 wrongly shaped"):
        copy_weights(nn.Linear(3, 2), nn.Conv2d(3, 2, 3).state_dict(), "the test")
