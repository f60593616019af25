"""Grid alignment keeps places, scale and precision."""

import pytest
import torch
import torch.nn.functional as F

from eaglebench.fusion.grid import aligned_channels, interpolation_weights, round_to_multiple, to_grid, to_tokens


def test_a_map_on_the_grid_is_untouched() -> None:
    features = torch.randn(2, 3, 4, 4)
    assert to_grid(features, 4) is features


def test_halving_weighs_each_cell_once() -> None:
    """With antialias every cell counts; without it, 3 of 4 cells of a 4x shrink would not."""
    features = torch.randn(1, 2, 16, 16, requires_grad=True)
    to_grid(features, 4).sum().backward()
    assert (features.grad.abs() > 0).all()
    constant = torch.full((1, 1, 16, 16), 3.0)
    torch.testing.assert_close(to_grid(constant, 4), torch.full((1, 1, 4, 4), 3.0))


def test_growing_keeps_cell_centres() -> None:
    features = torch.randn(1, 1, 2, 2)
    expected = F.interpolate(features, (4, 4), mode="bilinear", align_corners=False)
    torch.testing.assert_close(to_grid(features, 4), expected)
    assert to_grid(features, 4)[0, 0, 0, 0] == features[0, 0, 0, 0]


def test_half_precision_is_resized_in_float32() -> None:
    features = torch.randn(1, 8, 8, 8).bfloat16()
    resized = to_grid(features, 4)
    assert resized.dtype == torch.bfloat16
    assert torch.equal(resized, to_grid(features.float(), 4).bfloat16())


def test_tokens_are_row_major() -> None:
    features = torch.arange(6.0).view(1, 1, 2, 3)
    assert to_tokens(features)[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_unshuffling_keeps_every_cell() -> None:
    features = torch.randn(2, 3, 8, 8)
    kept = to_grid(features, 4, shrink="unshuffle")
    assert torch.equal(kept, F.pixel_unshuffle(features, 2))
    assert kept.shape[1] == aligned_channels(3, 8, 4, "unshuffle") == 12
    # No whole ratio, nothing to shrink: as ever.
    for side in (6, 2):
        odd = torch.randn(2, 3, side, side)
        assert torch.equal(to_grid(odd, 4, shrink="unshuffle"), to_grid(odd, 4))
        assert aligned_channels(3, side, 4, "unshuffle") == 3


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("side", "to"), [(3, 8), (8, 3), (4, 4)])
def test_two_products_resize_a_map(side: int, to: int, align_corners: bool) -> None:
    features = torch.randn(2, 3, side, side).double()
    along = interpolation_weights(side, to, align_corners)
    torch.testing.assert_close(
        torch.einsum("rh,bchw,kw->bcrk", along, features, along), to_grid(features, to, align_corners)
    )


@pytest.mark.parametrize(("side", "expected"), [(64, 64), (45, 32), (49, 64), (16, 32), (1, 32)])
def test_windows_are_whole(side: int, expected: int) -> None:
    assert round_to_multiple(side, 32) == expected
