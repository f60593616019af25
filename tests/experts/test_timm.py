"""Any timm backbone by its name computes what timm computes, at its own side and others."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from eaglebench.experts.timm import Timm
from eaglebench.utils.errors import UserError
from tests.helpers.experts import assert_agrees, build_expert
from tests.helpers.upstream.base import randomise, to_square

CONVNEXT = ("experts.timm.backbone=convnext_atto", "experts.timm.checkpoint=none")


@pytest.mark.parametrize(
    ("backbone", "side"),
    [
        ("vit_tiny_patch16_224", 224),
        ("vit_tiny_patch16_224", 96),
        ("convnext_atto", 64),
        pytest.param("vit_small_patch16_dinov3", 64, marks=pytest.mark.slow),
    ],
)
def test_it_computes_what_timm_computes(backbone: str, side: int, tmp_path: Path) -> None:
    whole = randomise(timm.create_model(backbone, pretrained=False))
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    expert = Timm(backbone, image_size=side).double()
    expert.load_checkpoint(tmp_path, "the test")
    pixels = torch.randn(1, 3, side, side, dtype=torch.float64)
    if hasattr(whole, "set_input_size"):
        whole.set_input_size(img_size=(side, side))
    with torch.no_grad():
        features = whole.forward_features(pixels)
    expected = features if features.ndim == 4 else to_square(features[:, whole.num_prefix_tokens :])
    assert_agrees(expert, expected, pixels)
    assert expert.mean.flatten().tolist() == pytest.approx(whole.pretrained_cfg["mean"])
    assert len(expert.blocks()) > 1


def test_it_reads_its_own_weights_again() -> None:
    first, second = Timm("convnext_atto", 64), Timm("convnext_atto", 64)
    second.load_upstream(first.state_dict())
    assert all(torch.equal(value, first.state_dict()[key]) for key, value in second.state_dict().items())


@torch.no_grad()
def test_its_levels_are_those_of_its_strides() -> None:
    torch.manual_seed(0)
    expert = build_expert("timm", *CONVNEXT, "experts.timm.image_size=64").eval()
    pixels = torch.randn(2, 3, 64, 64)
    assert expert.levels == [(40, 16), (80, 8), (160, 4), (320, 2)]
    maps = expert.forward_levels(pixels)
    assert [tuple(level.shape[1:]) for level in maps] == [(c, side, side) for c, side in expert.levels]
    torch.testing.assert_close(maps[-1], expert(pixels))


def test_a_run_builds_it_by_name() -> None:
    expert = build_expert("timm", *CONVNEXT)
    assert (expert.image_size, expert.grid, expert.channels) == (224, 7, 320)


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(UserError, match=r"perhaps one of .*convnext"):
        Timm("convnext_gigantic")


Weights = dict[str, Tensor]
HEADS: dict[str, Callable[[Weights], Weights]] = {
    "a head of other classes": lambda weights: {
        key: tensor[:7] if key.startswith("head.") and "norm" not in key else tensor for key, tensor in weights.items()
    },
    "no head": lambda weights: {key: tensor for key, tensor in weights.items() if not key.startswith("head.")},
    "no head under a wrapper": lambda weights: {f"module.{key}": weights[key] for key in weights if "head" not in key},
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", ["vit_tiny_patch16_224", "convnext_atto"])
def test_a_head_of_timm_plays_no_part(backbone: str, head: str, tmp_path: Path) -> None:
    whole = randomise(timm.create_model(backbone))
    save_file(HEADS[head](whole.state_dict()), tmp_path / "model.safetensors")
    expert = Timm(backbone)
    expert.load_checkpoint(tmp_path, "the test")
    own = whole.float().state_dict()
    assert all(torch.equal(tensor, own[key]) for key, tensor in expert.network.state_dict().items())


def test_a_body_of_timm_that_lacks_a_weight_is_refused(tmp_path: Path) -> None:
    weights = timm.create_model("convnext_atto").state_dict()
    del weights["stages.0.blocks.1.norm.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"1 missing \(stages.0.blocks.1.norm.weight\)"):
        Timm("convnext_atto").load_checkpoint(tmp_path, "the test")
