"""The contract of every expert, at the tiny size."""

import pytest
import torch
from torch import Tensor, nn

from eaglebench.experts.base import VisionExpert, tokens_to_map
from eaglebench.experts.clip import Clip
from eaglebench.experts.sam import Sam
from eaglebench.utils.errors import UserError
from tests.conftest import EXPERTS
from tests.helpers.experts import build_expert


def build_untrained(name: str) -> VisionExpert:
    return build_expert(name, f"experts.{name}.checkpoint=none")


def randomise(module: nn.Module) -> None:
    """Give every parameter a value, zero-initialised ones too."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.1)


@pytest.mark.parametrize("name", EXPERTS)
def test_uint8_images_of_any_side_become_the_promised_map(name: str) -> None:
    expert = build_untrained(name)
    for side, batch in ((expert.image_size, 1), (50, 3)):
        images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
        pixels = expert.preprocess(images)
        assert pixels.shape == (batch, 3, expert.image_size, expert.image_size)
        features = expert(pixels)
        assert features.shape == (batch, expert.channels, expert.grid, expert.grid)
        assert features.dtype == torch.float32
        assert torch.isfinite(features).all()


@pytest.mark.parametrize("name", EXPERTS)
def test_gradient_reaches_every_parameter(name: str) -> None:
    expert = build_untrained(name)
    randomise(expert)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    (expert(expert.preprocess(images)) * torch.randn(1, expert.channels, expert.grid, expert.grid)).sum().backward()
    # CLIP's class token reaches the patches through attention; no parameter of any expert may be idle.
    assert [
        key for key, parameter in expert.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ] == []


@pytest.mark.parametrize("name", EXPERTS)
def test_each_sample_is_encoded_on_its_own(name: str) -> None:
    expert = build_untrained(name).eval()
    pixels = expert.preprocess(torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8))
    with torch.no_grad():
        torch.testing.assert_close(expert(pixels)[1:2], expert(pixels[1:2]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", EXPERTS)
def test_a_change_of_the_image_changes_the_map_in_the_same_place(name: str) -> None:
    """A change in the bottom left of the image changes the bottom left of the map most: rows are rows."""
    expert = build_untrained(name).eval()
    images = torch.full((1, 3, 128, 128), 128, dtype=torch.uint8)
    changed = images.clone()
    changed[:, :, 96:, :32] = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        difference = (expert(expert.preprocess(changed)) - expert(expert.preprocess(images))).abs().sum(1)[0]
    assert divmod(int(difference.argmax()), expert.grid) == (expert.grid - 1, 0)


@pytest.mark.parametrize("name", EXPERTS)
def test_blocks_are_parts_of_the_expert(name: str) -> None:
    expert = build_untrained(name)
    assert expert.blocks()
    own = set(expert.modules())
    assert all(block in own for block in expert.blocks())


@pytest.mark.parametrize("name", EXPERTS)
@torch.no_grad()
def test_the_last_level_is_the_native_map(name: str) -> None:
    expert, pixels = build_with_pixels(name, f"experts.{name}.unshuffle=1")
    maps = expert.forward_levels(pixels)
    assert [tuple(level.shape) for level in maps] == [(2, channels, side, side) for channels, side in expert.levels]
    torch.testing.assert_close(maps[-1], expert(pixels))
    sides = [side for _, side in expert.levels]
    assert sides == sorted(sides, reverse=True)
    assert len(sides) == {"convnext": 4, "sam_vary": 3}.get(name, 1)


@torch.no_grad()
def test_levels_are_not_unshuffled() -> None:
    expert, pixels = build_with_pixels("sam", "experts.sam.unshuffle=2")
    (native,) = expert.forward_levels(pixels)
    torch.testing.assert_close(nn.functional.pixel_unshuffle(native, 2), expert(pixels))


def build_with_pixels(name: str, *overrides: str) -> tuple[VisionExpert, Tensor]:
    torch.manual_seed(0)
    expert = build_expert(name, *overrides).eval()
    return expert, torch.randn(2, 3, expert.image_size, expert.image_size)


def test_preprocessing_normalises_with_the_experts_own_statistics() -> None:
    clip = Clip(image_size=16, patch_size=8, width=32, depth=1, heads=1)
    white = clip.preprocess(torch.full((1, 3, 16, 16), 255, dtype=torch.uint8))
    expected = (1 - torch.tensor([0.48145466, 0.4578275, 0.40821073])) / torch.tensor(
        [0.26862954, 0.26130258, 0.27577711]
    )
    torch.testing.assert_close(white[0, :, 3, 5], expected)


def test_shrinking_is_antialiased() -> None:
    """A one-pixel checkerboard becomes grey, not black or white."""
    clip = Clip(image_size=16, patch_size=8, width=32, depth=1, heads=1)
    board = ((torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255).to(torch.uint8).expand(1, 3, 64, 64)
    assert (clip.resize_images(board) - 0.5).abs().max() < 0.05


def test_unshuffling_trades_cells_for_channels_in_torchs_order() -> None:
    arguments = {
        "image_size": 64,
        "patch_size": 16,
        "width": 32,
        "depth": 1,
        "heads": 1,
        "window": 2,
        "global_blocks": (),
    }
    torch.manual_seed(0)
    plain = Sam(**arguments, neck_channels=8, unshuffle=1)
    torch.manual_seed(0)
    folded = Sam(**arguments, neck_channels=8, unshuffle=2)
    pixels = torch.randn(1, 3, 64, 64)
    assert (folded.channels, folded.grid) == (32, 2)
    before, after = plain(pixels), folded(pixels)
    for channel, dy, dx, y, x in ((0, 0, 0, 0, 0), (3, 1, 0, 0, 1), (7, 0, 1, 1, 0)):
        assert after[0, channel * 4 + dy * 2 + dx, y, x] == before[0, channel, 2 * y + dy, 2 * x + dx]


@pytest.mark.parametrize("size", [50, 4])
def test_a_size_that_does_not_fit_is_refused_with_the_nearest_that_do(size: int) -> None:
    with pytest.raises(UserError, match="nearest that fit are"):
        Clip(image_size=size, patch_size=8, width=32, depth=1, heads=1)


def test_tokens_that_are_not_a_square_are_refused() -> None:
    with pytest.raises(ValueError, match="class token"):
        tokens_to_map(torch.zeros(1, 17, 4))
