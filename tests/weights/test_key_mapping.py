"""Checkpoints of any library get the expert's own keys; what does not fit is refused and named."""

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
