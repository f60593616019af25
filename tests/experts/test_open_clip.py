"""The image tower of any open_clip model by its name computes what open_clip computes, at its own side and others."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from torch import Tensor

from eaglebench.experts.open_clip import OpenClip, read_tag_config
from eaglebench.utils.errors import UserError
from tests.helpers.experts import assert_agrees
from tests.helpers.upstream.base import OPEN_CLIP_TEXT_TOWER, to_square

TOWERS = {
    "vit": {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32},
    "timm": {"timm_model_name": "convnext_atto", "timm_model_pretrained": False, "timm_pool": "avg", "image_size": 64},
}


@pytest.mark.parametrize(("tower", "side"), [("vit", 32), ("vit", 48), ("timm", 64)])
def test_it_computes_what_open_clip_computes(tower: str, side: int, tmp_path: Path) -> None:
    config = tmp_path / f"small-{tower}.json"
    config.write_text(json.dumps({"embed_dim": 24, "vision_cfg": TOWERS[tower], "text_cfg": OPEN_CLIP_TEXT_TOWER}))
    open_clip.add_model_config(config)
    whole = open_clip.create_model(f"small-{tower}")
    for parameter in whole.parameters():
        torch.nn.init.normal_(parameter, std=0.25)
    torch.save(whole.state_dict(), tmp_path / "weights.pt")
    expert = OpenClip(f"small-{tower}", image_size=side)
    expert.load_checkpoint(tmp_path / "weights.pt", "the test")
    pixels = torch.randn(1, 3, side, side, dtype=torch.float64)
    reference = open_clip.create_model(f"small-{tower}", pretrained=str(tmp_path / "weights.pt"), force_image_size=side)
    visual = reference.double().eval().visual
    seen: list[Tensor] = []
    last = visual.trunk.stages if tower == "timm" else visual.transformer
    last.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        visual(pixels)
    assert_agrees(expert, seen[0] if tower == "timm" else to_square(seen[0][:, 1:]), pixels)


def test_a_tag_decides_statistics_and_activation() -> None:
    siglip = read_tag_config("ViT-B-16-SigLIP", "webli")
    assert list(siglip["mean"]) == [0.5] * 3
    assert read_tag_config("ViT-L-14", "openai")["quick_gelu"]
    with pytest.raises(UserError, match=r"has no weights best of ViT-L-14: choose from openai"):
        read_tag_config("ViT-L-14", "best")


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UserError, match=r"open_clip cannot build ViT-X"):
        OpenClip("ViT-X")
