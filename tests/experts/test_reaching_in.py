"""What a fusion may reach inside an expert: the map between the blocks of a ViT, and the maps of earlier stages."""

import pytest
import torch
from torch import Tensor

from eaglebench.config.build import build_workshop
from eaglebench.experts.base import VisionExpert
from eaglebench.experts.vit import VisionTransformer
from tests.conftest import EXPERTS, composed

VITS = [name for name in EXPERTS if name != "convnext"]


def tiny(name: str, *overrides: str) -> tuple[VisionExpert, Tensor]:
    torch.manual_seed(0)
    expert = build_workshop(composed(f"experts=[{name}]", *overrides)).expert(name).eval()
    return expert, torch.randn(2, 3, expert.image_size, expert.image_size)


@pytest.mark.parametrize("name", VITS)
@torch.no_grad()
def test_the_map_after_a_block_can_be_read_and_replaced(name: str) -> None:
    expert, pixels = tiny(name)
    assert isinstance(expert, VisionTransformer)
    plain, seen = expert(pixels), []

    def read(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    numbers = range(1, len(expert.blocks()) + 1)
    torch.testing.assert_close(expert(pixels, {number: read for number in numbers}), plain)
    channels, side = expert.block_map
    assert [tuple(x.shape) for x in seen] == [(2, channels, side, side)] * len(numbers)
    for number in numbers:
        assert not torch.allclose(expert(pixels, {number: lambda x: x.flip(-1)}), plain), number


@pytest.mark.parametrize("name", VITS)
@torch.no_grad()
def test_what_is_replaced_is_seen_by_the_later_blocks_alone(name: str) -> None:
    expert, pixels = tiny(name)
    seen: list[Tensor] = []

    def read(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    expert(pixels, {1: read, 2: lambda x: read(x).roll(1, dims=-1)})
    expert(pixels, {1: lambda x: read(x).roll(1, dims=-1), 2: read})
    assert torch.equal(seen[0], seen[2])  # what comes after a block is not seen by it
    assert not torch.allclose(seen[1], seen[3])


@pytest.mark.parametrize("name", EXPERTS)
@torch.no_grad()
def test_the_pyramid_ends_with_the_native_map(name: str) -> None:
    expert, pixels = tiny(name, f"experts.{name}.unshuffle=1")
    maps = expert.pyramid(pixels)
    assert [tuple(one.shape) for one in maps] == [(2, channels, side, side) for channels, side in expert.levels]
    torch.testing.assert_close(maps[-1], expert(pixels))
    sides = [side for _, side in expert.levels]
    assert sides == sorted(sides, reverse=True)
    assert len(sides) == {"convnext": 4, "sam_vary": 3}.get(name, 1)


@torch.no_grad()
def test_an_unshuffled_map_is_seen_before_it_is() -> None:
    expert, pixels = tiny("sam", "experts.sam.unshuffle=2")
    (native,) = expert.pyramid(pixels)
    torch.testing.assert_close(torch.nn.functional.pixel_unshuffle(native, 2), expert(pixels))


@torch.no_grad()
def test_a_timm_backbone_has_the_levels_of_its_strides() -> None:
    expert, pixels = tiny(
        "timm", "experts.timm.backbone=convnext_atto", "experts.timm.checkpoint=none", "experts.timm.image_size=64"
    )
    assert expert.levels == [(40, 16), (80, 8), (160, 4), (320, 2)]
    maps = expert.pyramid(pixels)
    assert [tuple(one.shape[1:]) for one in maps] == [(c, side, side) for c, side in expert.levels]
    torch.testing.assert_close(maps[-1], expert(pixels))
