"""Every expert reads the files that people have, and then computes what upstream computes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from eaglebench.experts.sam import Sam
from eaglebench.experts.sam_vary import SamVary
from eaglebench.utils.errors import UserError
from eaglebench.weights.sources import read_checkpoint
from tests.helpers.upstream.cases import CASES, Case, clip, eagle, sam_arguments, sam_segment_anything

RELATIVE = {torch.float64: 1e-6, torch.float32: 1e-4}


@pytest.fixture(autouse=True)
def fused_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream's attention must not stand in for ours because maps are small here."""
    monkeypatch.setattr("eaglebench.experts.sam.FEW", 0)


def check(case: Case) -> None:
    """Upstream in float64 against the expert in either precision."""
    case.expert.eval().double().load_checkpoint(case.checkpoint, "the test")
    side = case.expert.image_size
    pixels = torch.randn(2, 3, side, side, dtype=torch.float64)
    with torch.no_grad():
        expected = case.upstream(pixels)
        for dtype, tolerance in RELATIVE.items():
            given = case.expert.to(dtype)(pixels.to(dtype))
            assert given.shape == expected.shape
            assert (given - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_upstream_computes(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    check(CASES[name](tmp_path / "checkpoint"))


@pytest.mark.parametrize("name", ["clip", "convnext", "eva02", "pix2struct"])
def test_a_tower_is_found_in_a_released_eagle_model(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    check(eagle(tmp_path / "eagle")[name])


def test_sam_vary_begins_with_the_weights_of_sam(tmp_path: Path) -> None:
    case = sam_segment_anything(tmp_path / "sam", 64)
    expert = SamVary(channels=32, **sam_arguments(64)).double()
    first = expert.reduce[0].weight.clone()
    expert.load_upstream(read_checkpoint(case.checkpoint, "the test"))
    assert torch.equal(expert.reduce[0].weight, first)
    assert torch.equal(expert.network.neck[0].weight, case.upstream.neck[0].weight)


def test_weights_of_a_parallel_training_are_read(tmp_path: Path) -> None:
    case = CASES["clip: open_clip"](tmp_path / "clip")
    weights = read_checkpoint(case.checkpoint, "the test")
    case.expert.double().load_upstream({f"module.{key}": value for key, value in weights.items()})
    assert torch.equal(case.expert.network.embeddings.class_embedding, weights["visual.class_embedding"])


def test_a_short_neck_says_what_reads_it(tmp_path: Path) -> None:
    case = CASES["sam: Eagle's short neck"](tmp_path / "sam")
    expert = Sam(unshuffle=1, **sam_arguments(96))
    with pytest.raises(UserError, match=r"add compat=eagle_release, or experts\.sam\.neck=short"):
        expert.load_upstream(read_checkpoint(case.checkpoint, "the test"))


def test_what_is_missing_or_too_much_is_listed() -> None:
    expert = clip()
    weights = {key.replace("network", "vision_model"): value for key, value in expert.state_dict().items()}
    del weights["vision_model.pre_layrnorm.bias"]
    weights["vision_model.surplus"] = torch.zeros(1)
    with pytest.raises(
        UserError, match=r"1 missing \(network\.pre_layrnorm\.bias\); 1 unexpected \(vision_model\.surplus\)"
    ):
        expert.load_upstream(weights)


@pytest.mark.parametrize(
    ("name", "number", "sentence"),
    [
        ("clip: transformers", {"hidden_act": "gelu"}, "made with hidden_act=gelu instead of quick_gelu: give"),
        ("clip: transformers", {"num_attention_heads": 4}, "made with num_attention_heads=4 instead of 2: give"),
        ("clip: transformers, whole and sharded", {"vision_config": {"hidden_act": "gelu"}}, "hidden_act=gelu instead"),
        ("pix2struct: transformers", {"dense_act_fn": "relu"}, "dense_act_fn=relu instead of gelu_new"),
        ("dinov2: transformers", {"layer_norm_eps": 1e-5}, "layer_norm_eps=1e-05 instead of 1e-06"),
    ],
)
def test_what_shapes_do_not_show_is_read_from_the_config(
    name: str, number: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    case = CASES[name](tmp_path / "checkpoint")
    config = case.checkpoint / "config.json"
    told = json.loads(config.read_text())
    for field, value in number.items():
        told[field] = {**told[field], **value} if isinstance(value, dict) else value
    config.write_text(json.dumps(told))
    with pytest.raises(UserError, match=sentence):
        case.expert.double().load_checkpoint(case.checkpoint, "the test")


def test_open_clips_config_tells_the_activation(tmp_path: Path) -> None:
    case = CASES["clip: open_clip"](tmp_path / "checkpoint")
    config = case.checkpoint / "open_clip_config.json"
    config.write_text(json.dumps({"model_cfg": {"quick_gelu": True}}))
    case.expert.double().load_checkpoint(case.checkpoint, "the test")
    config.write_text(json.dumps({"model_cfg": {"embed_dim": 24}}))
    with pytest.raises(UserError, match="hidden_act=gelu instead of quick_gelu"):
        case.expert.load_checkpoint(case.checkpoint, "the test")


def test_the_config_of_another_model_says_nothing(tmp_path: Path) -> None:
    case = CASES["clip: transformers"](tmp_path / "checkpoint")
    (case.checkpoint / "config.json").write_text(json.dumps({"model_type": "llava", "hidden_act": "silu"}))
    case.expert.double().load_checkpoint(case.checkpoint, "the test")


def test_an_unknown_layout_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(
        UserError, match=r"in no layout .* \(transformers CLIP, open_clip CLIP\): its keys are like a, b"
    ):
        clip().load_upstream({"a": torch.zeros(1), "b": torch.zeros(1)}, "the checkpoint")


def test_two_towers_of_one_kind_are_refused(tmp_path: Path) -> None:
    tower = {key.replace("network", "vision_model"): value for key, value in clip().state_dict().items()}
    twice = {
        f"model.vision_tower.vision_towers.{number}.vision_tower.{key}": value.clone()
        for number in range(2)
        for key, value in tower.items()
    }
    save_file(twice, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="2 towers"):
        clip().load_upstream(read_checkpoint(tmp_path, "the test"))
