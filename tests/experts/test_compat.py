"""compat=eagle_release: what NVIDIA's released code does where it differs from the paper."""

import pytest
import torch
import torch.nn.functional as F

from eaglebench.config.build import build_factory
from eaglebench.config.compose import compose_command
from eaglebench.experts.pixel_statistics import CLIP_MEAN, CLIP_STD
from eaglebench.fusion.grid import to_grid
from eaglebench.utils.errors import UserError
from tests.conftest import EXPERTS, composed
from tests.helpers.experts import build_expert

X5 = ("clip", "convnext", "sam", "eva02", "pix2struct")  # in the order of the release's config


@pytest.mark.parametrize("name", [name for name in EXPERTS if name != "pix2struct"])
def test_pixels_have_clips_statistics_and_aligned_corners(name: str) -> None:
    expert = build_expert(name, "compat=eagle_release", f"experts.{name}.checkpoint=none")
    images = torch.randint(0, 256, (2, 3, 100, 100), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    normalised = (images / 255 - mean) / std
    expected = F.interpolate(normalised, (expert.image_size,) * 2, mode="bilinear", align_corners=True)
    torch.testing.assert_close(expert.preprocess(images), expected, atol=1e-4, rtol=1e-4)


def test_pix2structs_pixels_stay_its_own() -> None:
    ours, released = (build_expert("pix2struct", *overrides) for overrides in ((), ("compat=eagle_release",)))
    images = torch.randint(0, 256, (1, 3, 100, 100), dtype=torch.uint8)
    assert torch.equal(ours.preprocess(images), released.preprocess(images))


def test_a_full_eagle_x5_is_the_released_one() -> None:
    """Sides, channels and parameters of the released model, on the meta device."""
    none = [f"experts.{name}.checkpoint=none" for name in X5]
    cfg = composed("size=full", "compat=eagle_release", f"experts=[{','.join(X5)}]", *none, "data.train=x.json")
    factory = build_factory(cfg)
    with torch.device("meta"):
        experts = {name: factory.build_expert(name) for name in X5}
        shapes = {name: (expert.channels, expert.grid) for name, expert in experts.items()}
        fusion = factory.make_fusion(experts=shapes, width=4096)
    assert (experts["clip"].image_size, experts["clip"].grid) == (336, 24)
    assert sum(expert.channels for expert in experts.values()) == 7680
    assert fusion.align_corners
    counts = {
        name: sum(p.numel() for p in module.parameters()) for name, module in {**experts, "fusion": fusion}.items()
    }
    assert counts["clip"] == 303_507_456 - 2 * 1024  # less the final norm
    assert counts["sam"] == 307_687_936
    assert counts["fusion"] == 48_242_688


def test_maps_are_resized_with_aligned_corners() -> None:
    features = torch.randn(2, 3, 6, 6)
    expected = F.interpolate(features, (4, 4), mode="bilinear", align_corners=True)
    torch.testing.assert_close(to_grid(features, 4, align_corners=True), expected)
    assert torch.equal(to_grid(features, 4, align_corners=True)[..., 0, 0], features[..., 0, 0])


def test_an_unknown_compatibility_is_refused() -> None:
    with pytest.raises(UserError, match="compat=eagle_2 must be eagle_release or null"):
        compose_command(["compat=eagle_2"])
