"""Any vision backbone of transformers computes what transformers computes, at its own side and others."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from eaglebench.experts.hf import Hf
from eaglebench.utils.errors import UserError
from tests.helpers.experts import assert_agrees
from tests.helpers.upstream.base import randomise, to_square

VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def save_backbone(folder: Path, model: transformers.PreTrainedModel) -> Path:
    """A folder as on the hub: the model, and an image processor beside it."""
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {"image_processor_type": "CLIPImageProcessor", "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
        )
    )
    return folder


@pytest.mark.parametrize("side", [32, 48])
@pytest.mark.parametrize("name", ["siglip", "dinov2", "clip"])
def test_it_computes_what_transformers_computes(name: str, side: int, tmp_path: Path) -> None:
    if name == "siglip":
        whole = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**VISION))
    elif name == "dinov2":
        whole = transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**VISION))
    else:  # the vision part of a vision-language model
        text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        whole = transformers.CLIPModel(
            transformers.CLIPConfig(vision_config=VISION, text_config=text | {"vocab_size": 40})
        )
    folder = save_backbone(tmp_path, randomise(whole))
    expert = Hf(str(folder), image_size=side).double()
    expert.load_checkpoint(folder, "the test")
    vision = getattr(whole, "vision_model", whole)
    pixels = torch.randn(1, 3, side, side, dtype=torch.float64)
    with torch.no_grad():
        options = {} if name == "dinov2" else {"interpolate_pos_encoding": True}
        hidden = vision(pixels, **options).last_hidden_state
    assert_agrees(expert, to_square(hidden[:, -((side // 8) ** 2) :]), pixels)
    assert expert.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])


def test_a_checkpoint_of_a_classifier_has_no_pooler_and_another_head(tmp_path: Path) -> None:
    """Neither plays a part in the map."""
    whole = randomise(transformers.ViTForImageClassification(transformers.ViTConfig(**VISION)))
    folder = save_backbone(tmp_path, whole)
    expert = Hf(str(folder)).double()
    expert.load_checkpoint(folder, "the test")
    pixels = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        hidden = whole.vit(pixels).last_hidden_state
    assert_agrees(expert, to_square(hidden[:, 1:]), pixels)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda weights: weights | {"encoder.layers.2.mlp.fc1.bias": torch.ones(64)}, "1 unexpected .*layers.2"),
        (lambda weights: {key: weights[key] for key in weights if "patch_emb" not in key}, "1 missing .*patch_emb"),
        (
            lambda weights: weights | {"post_layernorm.bias": torch.ones(32) * torch.nan},
            "1 not finite .*post_layernorm",
        ),
        (lambda weights: weights | {"post_layernorm.bias": torch.ones(32).int()}, "1 not of floating point .*int32"),
    ],
)
def test_weights_that_do_not_fit_stop_with_their_names(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], sentence: str, tmp_path: Path
) -> None:
    folder = save_backbone(tmp_path, transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**VISION)))
    expert = Hf(str(folder))
    # Cloned, because the file that they are mapped from is written over.
    weights = {key: tensor.clone() for key, tensor in load_file(folder / "model.safetensors").items()}
    prefix = "vision_model." if any(key.startswith("vision_model.") for key in weights) else ""
    bare = change({key.removeprefix(prefix): tensor for key, tensor in weights.items()})
    save_file({prefix + key: tensor for key, tensor in bare.items()}, folder / "model.safetensors")
    for where in (folder, folder / "model.safetensors"):
        with pytest.raises(UserError, match=f"the checkpoint .* of experts.hf does not fit: {sentence}"):
            expert.load_checkpoint(where, "experts.hf")


def test_wrappers_are_taken_off(tmp_path: Path) -> None:
    folder = save_backbone(tmp_path, randomise(transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**VISION))))
    first, second = Hf(str(folder)), Hf(str(folder))
    first.load_checkpoint(folder, "the test")
    # Cloned, because the file that they are mapped from is written over.
    weights = {key: tensor.clone() for key, tensor in load_file(folder / "model.safetensors").items()}
    save_file({f"module._orig_mod.{key}": tensor for key, tensor in weights.items()}, folder / "model.safetensors")
    for where in (folder, folder / "model.safetensors"):
        randomise(second)
        second.load_checkpoint(where, "the test")
        assert all(torch.equal(tensor, first.state_dict()[key]) for key, tensor in second.state_dict().items())


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"transformers has no config"):
        Hf(str(tmp_path))


def test_a_backbone_without_a_square_grid_is_refused(tmp_path: Path) -> None:
    folder = save_backbone(
        tmp_path,
        transformers.SwinModel(transformers.SwinConfig(image_size=64, embed_dim=8, depths=[1, 1], num_heads=[1, 1])),
    )
    with pytest.raises(UserError, match="no square grid"):
        Hf(str(folder))
