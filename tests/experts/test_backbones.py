"""Any backbone of timm, open_clip or transformers by its name computes what its library computes, at its own side and others."""

import json
from pathlib import Path

import open_clip
import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

from eaglebench.config.build import build_workshop
from eaglebench.config.schema import validate
from eaglebench.experts.backbones import repeated_blocks
from eaglebench.experts.base import VisionExpert
from eaglebench.experts.hf import Hf
from eaglebench.experts.open_clip import OpenClip, known
from eaglebench.experts.timm import Timm
from eaglebench.utils.errors import UserError
from tests.conftest import composed
from tests.helpers.upstream.cases import randomised, square


def agrees(expert: VisionExpert, expected: Tensor, pixels: Tensor) -> None:
    with torch.no_grad():
        given = expert.eval().double()(pixels)
    assert given.shape == (len(pixels), expert.channels, expert.grid, expert.grid)
    assert (given - expected).abs().max() < 1e-6 * expected.abs().max()


@pytest.mark.parametrize(
    ("backbone", "side"),
    [
        ("vit_tiny_patch16_224", 224),
        ("vit_tiny_patch16_224", 96),
        ("convnext_atto", 64),
        ("vit_small_patch16_dinov3", 64),
    ],
)
def test_timm(backbone: str, side: int, tmp_path: Path) -> None:
    whole = randomised(timm.create_model(backbone, pretrained=False))
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    expert = Timm(backbone, image_size=side).double()
    expert.load_checkpoint(tmp_path, "the test")
    pixels = torch.randn(1, 3, side, side, dtype=torch.float64)
    if hasattr(whole, "set_input_size"):
        whole.set_input_size(img_size=(side, side))
    with torch.no_grad():
        features = whole.forward_features(pixels)
    expected = features if features.ndim == 4 else square(features[:, whole.num_prefix_tokens :])
    agrees(expert, expected, pixels)
    assert expert.mean.flatten().tolist() == pytest.approx(whole.pretrained_cfg["mean"])
    assert len(expert.blocks()) > 1


def test_timm_reads_its_own_weights_again() -> None:
    first, second = Timm("convnext_atto", 64), Timm("convnext_atto", 64)
    second.load_upstream(first.state_dict())
    assert all(torch.equal(value, first.state_dict()[key]) for key, value in second.state_dict().items())


TEXT = {"context_length": 8, "vocab_size": 40, "width": 16, "heads": 2, "layers": 1}
TOWERS = {
    "vit": {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32},
    "timm": {"timm_model_name": "convnext_atto", "timm_model_pretrained": False, "timm_pool": "avg", "image_size": 64},
}


@pytest.mark.parametrize(("tower", "side"), [("vit", 32), ("vit", 48), ("timm", 64)])
def test_open_clip(tower: str, side: int, tmp_path: Path) -> None:
    config = tmp_path / f"small-{tower}.json"
    config.write_text(json.dumps({"embed_dim": 24, "vision_cfg": TOWERS[tower], "text_cfg": TEXT}))
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
    agrees(expert, seen[0] if tower == "timm" else square(seen[0][:, 1:]), pixels)


def test_open_clips_tags_fix_statistics_and_activation() -> None:
    siglip = known("ViT-B-16-SigLIP", "webli")
    assert list(siglip["mean"]) == [0.5] * 3
    assert known("ViT-L-14", "openai")["quick_gelu"]
    with pytest.raises(UserError, match=r"has no weights best of ViT-L-14: choose from openai"):
        known("ViT-L-14", "best")


def test_the_blocks_of_every_stage_are_found() -> None:
    network = timm.create_model("resnet50", pretrained=False)
    assert len(repeated_blocks(network)) == 3 + 4 + 6 + 3


def hf_folder(folder: Path, model: transformers.PreTrainedModel) -> Path:
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {"image_processor_type": "CLIPImageProcessor", "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
        )
    )
    return folder


VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


@pytest.mark.parametrize("side", [32, 48])
@pytest.mark.parametrize("name", ["siglip", "dinov2", "clip"])
def test_transformers(name: str, side: int, tmp_path: Path) -> None:
    if name == "siglip":
        whole = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**VISION))
    elif name == "dinov2":
        whole = transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**VISION))
    else:  # the vision part of a model of images and text
        text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        whole = transformers.CLIPModel(
            transformers.CLIPConfig(vision_config=VISION, text_config=text | {"vocab_size": 40})
        )
    folder = hf_folder(tmp_path, randomised(whole))
    expert = Hf(str(folder), image_size=side).double()
    expert.load_checkpoint(folder, "the test")
    vision = getattr(whole, "vision_model", whole)
    pixels = torch.randn(1, 3, side, side, dtype=torch.float64)
    with torch.no_grad():
        options = {} if name == "dinov2" else {"interpolate_pos_encoding": True}
        hidden = vision(pixels, **options).last_hidden_state
    agrees(expert, square(hidden[:, -((side // 8) ** 2) :]), pixels)
    assert expert.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])


def test_a_run_is_made_of_them_by_name() -> None:
    cfg = composed("experts=[timm]", "experts.timm.backbone=convnext_atto", "experts.timm.checkpoint=none")
    validate(cfg)
    expert = build_workshop(cfg).expert("timm")
    assert (expert.image_size, expert.grid, expert.channels) == (224, 7, 320)


@pytest.mark.parametrize("name", ["timm", "open_clip", "hf"])
def test_a_backbone_must_be_named(name: str) -> None:
    with pytest.raises(UserError, match=rf"experts\.{name}\.backbone is not set"):
        validate(composed(f"experts=[{name}]"))


def test_an_unknown_backbone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"perhaps one of .*convnext"):
        Timm("convnext_gigantic")
    with pytest.raises(UserError, match=r"open_clip cannot build ViT-X"):
        OpenClip("ViT-X")
    with pytest.raises(UserError, match=r"transformers has no config"):
        Hf(str(tmp_path))


def test_a_backbone_without_a_square_grid_is_refused(tmp_path: Path) -> None:
    folder = hf_folder(
        tmp_path,
        transformers.SwinModel(transformers.SwinConfig(image_size=64, embed_dim=8, depths=[1, 1], num_heads=[1, 1])),
    )
    with pytest.raises(UserError, match="no square grid"):
        Hf(str(folder))
