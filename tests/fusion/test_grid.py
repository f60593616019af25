"""Grid alignment keeps places, scale and precision."""

import torch
import torch.nn.functional as F

from eaglebench.fusion.grid import to_grid, to_tokens


def test_a_map_on_the_grid_is_untouched() -> None:
    features = torch.randn(2, 3, 4, 4)
    assert to_grid(features, 4) is features


def test_halving_weighs_each_cell_once() -> None:
    """With antialias every cell counts: halving keeps the mean; without it 3 of 4 cells of a 4x shrink would not count."""
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
