"""Weights that fit, and that were made with another activation, other heads or another epsilon: what a user is told."""

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file
from timm.models._hub import save_config_for_hf

from eaglebench.experts.hf import Hf
from eaglebench.experts.open_clip import OpenClip
from eaglebench.experts.timm import PRETRAINED, Timm
from eaglebench.utils.errors import UserError
from eaglebench.weights.sources import read_checkpoint
from tests.experts.test_hf import VISION, save_backbone
from tests.helpers.upstream.base import OPEN_CLIP_TEXT_TOWER
from tests.helpers.upstream.cases import CASES

SETTINGS = [
    ("clip: transformers", {"hidden_act": "gelu"}, "hidden_act=gelu instead of quick_gelu"),
    ("clip: transformers", {"num_attention_heads": 4}, "num_attention_heads=4 instead of 2"),
    ("clip: transformers", {"layer_norm_eps": 1e-6}, "layer_norm_eps=1e-06 instead of 1e-05"),
    ("clip: transformers, whole and sharded", {"vision_config": {"hidden_act": "gelu"}}, "hidden_act=gelu instead"),
    ("dinov2: transformers", {"layer_norm_eps": 1e-5}, "layer_norm_eps=1e-05 instead of 1e-06"),
    ("dinov2: transformers", {"hidden_act": "relu"}, "hidden_act=relu instead of gelu"),
    ("pix2struct: transformers", {"dense_act_fn": "relu"}, "dense_act_fn=relu instead of gelu_new"),
    ("pix2struct: transformers, whole", {"vision_config": {"num_attention_heads": 4}}, "num_attention_heads=4 instead"),
    ("sam: transformers", {"vision_config": {"hidden_act": "relu"}}, "hidden_act=relu instead of gelu"),
    ("sam: transformers", {"vision_config": {"layer_norm_eps": 1e-5}}, "layer_norm_eps=1e-05 instead of 1e-06"),
    ("sam: transformers", {"vision_config": {"num_attention_heads": 4}}, "num_attention_heads=4 instead of 2"),
    ("sam: transformers", {"vision_config": {"window_size": 2}}, "window_size=2 instead of 3"),
    (
        "sam: transformers",
        {"vision_config": {"global_attn_indexes": [0]}},
        r"global_attn_indexes=\[0\] instead of \[1\]",
    ),
    ("sam_vary: transformers GOT", {"vision_config": {"hidden_act": "relu"}}, "hidden_act=relu instead of gelu"),
]
OPEN_CLIP_CONFIG, TIMM_CONFIG = "open_clip_config.json", "config.json"
OTHER_SETTINGS = [
    ("clip: open_clip", OPEN_CLIP_CONFIG, {"model_cfg": {}}, "hidden_act=gelu instead of quick_gelu"),
    (
        "clip: open_clip",
        OPEN_CLIP_CONFIG,
        {"model_cfg": {"quick_gelu": True, "vision_cfg": {"width": 32, "head_width": 8}}},
        "num_attention_heads=4 instead of 2",
    ),
    (
        "clip: open_clip",
        OPEN_CLIP_CONFIG,
        {
            "model_cfg": {
                "quick_gelu": True,
                "vision_cfg": {"width": 32, "head_width": 16, "norm_kwargs": {"eps": 1e-6}},
            }
        },
        "layer_norm_eps=1e-06 instead of 1e-05",
    ),
    ("convnext: timm", TIMM_CONFIG, {"architecture": "convnext_atto"}, r"norm_eps=\[1e-06\] instead of \[1e-05\]"),
    (
        "convnext: timm",
        TIMM_CONFIG,
        {"architecture": "convnext_atto", "model_args": {"norm_eps": 1e-5, "act_layer": "relu"}},
        r"activation=\['ReLU'\] instead of \['GELU'\]",
    ),
    (
        "convnext: timm",
        OPEN_CLIP_CONFIG,
        {"model_cfg": {"vision_cfg": {"timm_model_name": "convnext_atto"}}},
        r"norm_eps=\[1e-06\] instead of \[1e-05\]",
    ),
]


@pytest.mark.parametrize("given", ["folder", "file"])
@pytest.mark.parametrize(("name", "fields", "sentence"), SETTINGS)
def test_the_config_beside_weights_is_compared(
    name: str, fields: dict[str, Any], sentence: str, given: str, tmp_path: Path
) -> None:
    """For a folder, and for the file or the index in it."""
    case = CASES[name](tmp_path / "checkpoint")
    config = json.loads((case.checkpoint / "config.json").read_text())
    for field, value in fields.items():
        config[field] = {**config[field], **value} if isinstance(value, dict) else value
    (case.checkpoint / "config.json").write_text(json.dumps(config))
    files = sorted(case.checkpoint.glob("*.index.json")) or sorted(case.checkpoint.glob("*.safetensors"))
    with pytest.raises(UserError, match=f"was made with {sentence}.*: give the expert the same"):
        case.expert.double().load_checkpoint(case.checkpoint if given == "folder" else files[0], "the test")


@pytest.mark.parametrize(("name", "file", "config", "sentence"), OTHER_SETTINGS)
def test_the_configs_of_timm_and_open_clip_are_compared(
    name: str, file: str, config: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    case = CASES[name](tmp_path / "checkpoint")
    folder = case.checkpoint if case.checkpoint.is_dir() else case.checkpoint.parent
    (folder / file).write_text(json.dumps(config))
    for where in (folder, next(path for path in folder.iterdir() if path.suffix != ".json")):
        with pytest.raises(UserError, match=f"was made with {sentence}"):
            case.expert.double().load_checkpoint(where, "the test")


@pytest.mark.parametrize(
    ("key", "shape", "sentence"),
    [
        ("blocks.0.attn.rope.freqs_cos", (16, 8), "heads=4 instead of 2"),
        ("rope_win.freqs_cos", (9, 16), "window=3 instead of 4"),
    ],
)
def test_the_rotary_tables_of_eva02_are_compared(
    key: str, shape: tuple[int, int], sentence: str, tmp_path: Path
) -> None:
    """Its releases have no config; the tables, which are computed anew, show heads and windows."""
    case = CASES["eva02: detection"](tmp_path / "checkpoint")
    weights = read_checkpoint(case.checkpoint, "the test") | {f"backbone.net.{key}": torch.zeros(shape)}
    torch.save(weights, tmp_path / "other.pth")
    case.expert.load_checkpoint(case.checkpoint, "the test")
    with pytest.raises(UserError, match=f"was made with {sentence}"):
        case.expert.load_checkpoint(tmp_path / "other.pth", "the test")


@pytest.mark.parametrize("given", ["folder", "file"])
def test_any_backbone_of_transformers_compares_the_config_of_its_checkpoint(given: str, tmp_path: Path) -> None:
    """The backbone fixes the activation, and the checkpoint is another folder."""
    for name, activation in (("backbone", "gelu"), ("checkpoint", "quick_gelu")):
        config = transformers.CLIPVisionConfig(**VISION, hidden_act=activation)
        save_backbone(tmp_path / name, transformers.CLIPVisionModel(config))
    where = tmp_path / "checkpoint" / ("model.safetensors" if given == "file" else "")
    with pytest.raises(UserError, match="hidden_act=quick_gelu instead of gelu"):
        Hf(str(tmp_path / "backbone")).load_checkpoint(where, "the test")


TIMM = "vit_tiny_patch16_224"
TIMM_CONFIGS = [
    (
        {"architecture": TIMM, "model_args": {"act_layer": "quick_gelu"}},
        r"activation=\['QuickGELU'\] instead of .*GELU",
    ),
    ({"architecture": TIMM, "model_args": {"num_heads": 6}}, r"heads=\[6\] instead of \[3\]"),
    ({"architecture": TIMM, "pretrained_cfg": {"mean": [0.5, 0.5, 0.4]}}, r"mean=\[0.5, 0.5, 0.4\] instead of \["),
    ({"architecture": TIMM, "mean": [0.5, 0.5, 0.4]}, r"mean=\[0.5, 0.5, 0.4\] instead"),  # of older versions
]


@pytest.fixture(scope="module")
def timm_model() -> torch.nn.Module:
    return timm.create_model(TIMM)


@pytest.mark.parametrize(("config", "sentence"), TIMM_CONFIGS)
def test_the_config_that_timm_writes_is_compared(
    config: dict[str, Any], sentence: str, timm_model: torch.nn.Module, tmp_path: Path
) -> None:
    save_file(timm_model.state_dict(), tmp_path / "model.safetensors")
    expert = Timm(TIMM)
    save_config_for_hf(timm_model, str(tmp_path / TIMM_CONFIG))
    expert.load_checkpoint(tmp_path, "the test")
    (tmp_path / TIMM_CONFIG).write_text(json.dumps(config))
    for where in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(UserError, match=f"was made with {sentence}"):
            expert.load_checkpoint(where, "the test")


def test_an_architecture_that_timm_does_not_have_is_refused(timm_model: torch.nn.Module, tmp_path: Path) -> None:
    save_file(timm_model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / TIMM_CONFIG).write_text(json.dumps({"architecture": "vit_colossal"}))
    with pytest.raises(UserError, match=r"timm cannot build vit_colossal, which the config.json beside .* names"):
        Timm(TIMM).load_checkpoint(tmp_path, "the test")


def test_names_of_timm_that_hide_the_activation_are_refused() -> None:
    """`vit_base_patch32_clip_224.openai` builds GELU; OpenAI trained with QuickGELU."""
    with torch.device("meta"):
        expert = Timm("vit_base_patch32_clip_224.openai")
    with pytest.raises(UserError, match=r"give experts.timm.backbone=vit_base_patch32_clip_quickgelu_224.openai"):
        expert.load_checkpoint(PRETRAINED, "experts.timm")


def test_every_name_of_timm_with_another_activation_is_known() -> None:
    """The same weights, under the name that builds QuickGELU: all of them carry the note that is looked for."""
    hidden = [name for name in timm.list_pretrained("*_clip_quickgelu_*")]
    plain = [name.replace("_quickgelu", "") for name in hidden]
    both = [name for name in plain if timm.is_model_pretrained(name)]
    assert len(both) > 5
    for name in both:
        notes = timm.get_pretrained_cfg(name).notes or ()
        assert any("QuickGELU" in note for note in notes), name


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"quick_gelu": True}, "quick_gelu=True instead of False"),
        ({"vision_cfg": {"head_width": 8}}, "head_width=8 instead of 16"),
        (
            {"vision_cfg": {"head_width": 16, "norm_kwargs": {"eps": 1e-6}}},
            "norm_kwargs={'eps': 1e-06} instead of None",
        ),
    ],
)
def test_any_tower_of_open_clip_compares_the_config_of_its_checkpoint(
    config: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    vision = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32}
    known = tmp_path / "small-settings.json"
    known.write_text(json.dumps({"embed_dim": 24, "vision_cfg": vision, "text_cfg": OPEN_CLIP_TEXT_TOWER}))
    open_clip.add_model_config(known)
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    torch.save(open_clip.create_model("small-settings").state_dict(), folder / "open_clip_pytorch_model.bin")
    expert = OpenClip("small-settings")
    (folder / OPEN_CLIP_CONFIG).write_text(json.dumps({"model_cfg": {"vision_cfg": vision}}))
    expert.load_checkpoint(folder, "the test")
    (folder / OPEN_CLIP_CONFIG).write_text(json.dumps({"model_cfg": {"vision_cfg": vision} | config}))
    with pytest.raises(UserError, match=f"was made with {sentence}"):
        expert.load_checkpoint(folder / "open_clip_pytorch_model.bin", "the test")
