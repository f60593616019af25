"""Checkpoints of any library get the expert's own keys; what does not fit is refused and named."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from eaglebench.utils.errors import UserError
from eaglebench.weights.sources import read_checkpoint
from tests.helpers.upstream.cases import CASES
from tests.helpers.upstream.clip import build_clip


def test_weights_of_data_parallel_training_are_read(tmp_path: Path) -> None:
    case = CASES["clip: open_clip"](tmp_path / "clip")
    weights = read_checkpoint(case.checkpoint, "the test")
    case.expert.double().load_upstream({f"module.{key}": value for key, value in weights.items()})
    assert torch.equal(case.expert.network.embeddings.class_embedding, weights["visual.class_embedding"])


def test_missing_and_unexpected_keys_are_listed() -> None:
    expert = build_clip()
    weights = {key.replace("network", "vision_model"): value for key, value in expert.state_dict().items()}
    del weights["vision_model.pre_layrnorm.bias"]
    weights["vision_model.surplus"] = torch.zeros(1)
    with pytest.raises(
        UserError, match=r"1 missing \(network\.pre_layrnorm\.bias\); 1 unexpected \(vision_model\.surplus\)"
    ):
        expert.load_upstream(weights)


@pytest.mark.parametrize(
    ("name", "fields", "sentence"),
    [
        ("clip: transformers", {"hidden_act": "gelu"}, "made with hidden_act=gelu instead of quick_gelu: give"),
        ("clip: transformers", {"num_attention_heads": 4}, "made with num_attention_heads=4 instead of 2: give"),
        ("clip: transformers, whole and sharded", {"vision_config": {"hidden_act": "gelu"}}, "hidden_act=gelu instead"),
        ("pix2struct: transformers", {"dense_act_fn": "relu"}, "dense_act_fn=relu instead of gelu_new"),
        ("dinov2: transformers", {"layer_norm_eps": 1e-5}, "layer_norm_eps=1e-05 instead of 1e-06"),
    ],
)
def test_what_shapes_do_not_show_is_compared_with_the_config(
    name: str, fields: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    case = CASES[name](tmp_path / "checkpoint")
    file = case.checkpoint / "config.json"
    config = json.loads(file.read_text())
    for field, value in fields.items():
        config[field] = {**config[field], **value} if isinstance(value, dict) else value
    file.write_text(json.dumps(config))
    with pytest.raises(UserError, match=sentence):
        case.expert.double().load_checkpoint(case.checkpoint, "the test")


def test_the_activation_is_compared_with_open_clips_config(tmp_path: Path) -> None:
    case = CASES["clip: open_clip"](tmp_path / "checkpoint")
    config = case.checkpoint / "open_clip_config.json"
    config.write_text(json.dumps({"model_cfg": {"quick_gelu": True}}))
    case.expert.double().load_checkpoint(case.checkpoint, "the test")
    config.write_text(json.dumps({"model_cfg": {"embed_dim": 24}}))
    with pytest.raises(UserError, match="hidden_act=gelu instead of quick_gelu"):
        case.expert.load_checkpoint(case.checkpoint, "the test")


def test_the_config_of_another_model_is_not_compared(tmp_path: Path) -> None:
    case = CASES["clip: transformers"](tmp_path / "checkpoint")
    (case.checkpoint / "config.json").write_text(json.dumps({"model_type": "llava", "hidden_act": "silu"}))
    case.expert.double().load_checkpoint(case.checkpoint, "the test")


def test_an_unknown_format_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(
        UserError, match=r"in no format .* \(transformers CLIP, open_clip CLIP\): its keys are like a, b"
    ):
        build_clip().load_upstream({"a": torch.zeros(1), "b": torch.zeros(1)}, "the checkpoint")


def test_two_towers_of_one_kind_are_refused(tmp_path: Path) -> None:
    tower = {key.replace("network", "vision_model"): value for key, value in build_clip().state_dict().items()}
    twice = {
        f"model.vision_tower.vision_towers.{number}.vision_tower.{key}": value.clone()
        for number in range(2)
        for key, value in tower.items()
    }
    save_file(twice, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="2 towers"):
        build_clip().load_upstream(read_checkpoint(tmp_path, "the test"))
