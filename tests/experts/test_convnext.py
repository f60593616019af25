"""ConvNeXt has four stages; its stem and its MLPs have the forms that upstream has."""

import pytest
import torch
from timm.models.convnext import ConvNeXt as TimmConvNeXt

from eaglebench.experts.convnext import ConvNeXt
from eaglebench.utils.errors import UserError
from tests.helpers.upstream.base import randomise


@pytest.mark.parametrize("depths", [(1, 1, 1), (1, 1, 1, 1, 1)])
def test_another_number_of_stages_is_refused(depths: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="must have 4 numbers each"):
        ConvNeXt(image_size=64, depths=depths, dims=(8, 16, 24, 32))


def test_a_convnext_with_convolutions_for_linear_layers_is_read() -> None:
    """timm's `conv_mlp` holds the MLPs as convolutions of 1 x 1: the same maps, [O, I, 1, 1] for [O, I]."""
    sizes = {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32), "norm_eps": 1e-5}
    upstream = randomise(TimmConvNeXt(num_classes=5, conv_mlp=True, **sizes))
    assert upstream.state_dict()["stages.0.blocks.0.mlp.fc1.weight"].shape == (32, 8, 1, 1)
    expert = ConvNeXt(image_size=64, **sizes).double().eval()
    expert.load_upstream(upstream.state_dict())
    pixels = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(expert(pixels), upstream.forward_features(pixels))


@pytest.mark.parametrize("patch_size", [2, 4, 8, 16])
def test_the_stem_of_a_convnext_may_have_other_patches(patch_size: int) -> None:
    sizes = {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32), "norm_eps": 1e-5, "patch_size": patch_size}
    upstream = randomise(TimmConvNeXt(num_classes=5, **sizes))
    expert = ConvNeXt(image_size=64, **sizes).double().eval()
    expert.load_upstream(upstream.state_dict())
    pixels = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(expert(pixels), upstream.forward_features(pixels))
        shapes = [(level.shape[1], level.shape[2]) for level in expert.forward_levels(pixels)]
    assert shapes == expert.levels
