"""Tiles: each encoded as an image of its own, and stitched where it was."""

import pytest
import torch

from eaglebench.config.compose import compose_command
from eaglebench.experts.clip import Clip
from eaglebench.experts.tiled import Tiled
from eaglebench.model.adapt import cast_weights
from eaglebench.utils.errors import UserError
from tests.conftest import EXPERTS, composed
from tests.helpers.experts import build_expert


def small() -> Clip:
    return Clip(image_size=32, patch_size=8, width=16, depth=1, heads=2).eval()


@pytest.mark.parametrize("global_view", [False, True])
def test_each_tile_is_where_it_was(global_view: bool) -> None:
    expert = small()
    tiled = Tiled(expert, 3, global_view)
    pixels = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        whole = tiled(pixels)
        assert whole.shape == (2, tiled.channels, 12, 12)
        for row in range(3):
            for column in range(3):
                tile = pixels[:, :, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
                part = whole[:, :16, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
                torch.testing.assert_close(part, expert(tile), atol=1e-5, rtol=1e-5)


def test_the_global_view_comes_after_the_tiles_on_the_channels() -> None:
    expert = small()
    plain, viewed = Tiled(expert, 2), Tiled(expert, 2, global_view=True)
    assert viewed.channels == 2 * plain.channels
    flat = torch.full((1, 3, 64, 64), 0.5)
    with torch.no_grad():
        overview = viewed(flat)[:, 16:]
        # A flat image shrinks to a flat image: its map, stretched.
        native = torch.nn.functional.interpolate(expert(flat[:, :, :32, :32]), (8, 8), mode="bilinear")
    torch.testing.assert_close(overview, native, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", EXPERTS)
def test_every_expert_can_be_tiled(name: str) -> None:
    side = composed(f"experts=[{name}]").experts[name].native_size
    # With the weights of its native side.
    expert = build_expert(name, f"experts.{name}.high_res=tile", f"experts.{name}.image_size={2 * side}")
    images = torch.randint(0, 256, (1, 3, 100, 100), dtype=torch.uint8)
    assert expert(expert.preprocess(images)).shape == (1, expert.channels, expert.grid, expert.grid)
    one = build_expert(name)
    assert (expert.channels, expert.grid) == (one.channels, 2 * one.grid)
    assert len(expert.blocks()) == len(one.blocks())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_tiles_and_the_whole_in_half_precision(dtype: str) -> None:
    tiled = Tiled(small(), 2, global_view=True)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        expected = tiled(tiled.preprocess(images))
        cast_weights(tiled.networks(), dtype)
        assert tiled.expert.mean.dtype == torch.float32
        given = tiled(tiled.preprocess(images))
    assert given.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(given.flatten(), expected.flatten(), dim=0) > 0.99


def test_a_full_size_expert_in_tiles_needs_its_weights_too() -> None:
    with pytest.raises(UserError, match=r"experts\.clip\.checkpoint is not set"):
        compose_command(
            [
                "size=full",
                "experts=[clip]",
                "experts.clip.high_res=tile",
                "experts.clip.image_size=672",
                "data.train=x",
            ]
        )


def test_a_size_that_is_no_whole_number_of_tiles_is_refused() -> None:
    with pytest.raises(UserError, match=r"native side \(high_res=tile\) of 64: the nearest that fit are 64 and 128"):
        compose_command(["experts=[clip]", "experts.clip.high_res=tile", "experts.clip.image_size=96"])
