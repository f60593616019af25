"""Block hooks: what a fusion reads and replaces between the blocks of a vision transformer."""

import pytest
import torch
from torch import Tensor

from eaglebench.experts.vit import VisionTransformer
from tests.conftest import EXPERTS
from tests.helpers.experts import build_expert, expert_class

VITS = [name for name in EXPERTS if issubclass(expert_class(name), VisionTransformer)]


def build_with_pixels(name: str) -> tuple[VisionTransformer, Tensor]:
    torch.manual_seed(0)
    expert = build_expert(name).eval()
    assert isinstance(expert, VisionTransformer)
    return expert, torch.randn(2, 3, expert.image_size, expert.image_size)


def test_all_experts_but_the_convolutional_one_are_vision_transformers() -> None:
    assert set(EXPERTS) - set(VITS) == {"convnext"}


@pytest.mark.parametrize("name", VITS)
@torch.no_grad()
def test_the_map_after_a_block_can_be_read_and_replaced(name: str) -> None:
    expert, pixels = build_with_pixels(name)
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
def test_a_replaced_map_is_seen_by_the_later_blocks_alone(name: str) -> None:
    expert, pixels = build_with_pixels(name)
    seen: list[Tensor] = []

    def read(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    expert(pixels, {1: read, 2: lambda x: read(x).roll(1, dims=-1)})
    expert(pixels, {1: lambda x: read(x).roll(1, dims=-1), 2: read})
    assert torch.equal(seen[0], seen[2])  # what comes after a block is not seen by it
    assert not torch.allclose(seen[1], seen[3])
