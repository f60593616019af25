"""The config beside weights says what their shapes do not; `tests/bad_input/test_weight_settings.py` has every case."""

import json
from pathlib import Path

import pytest

from eaglebench.experts.clip import Clip
from eaglebench.utils.errors import UserError
from tests.helpers.upstream.base import SMALL
from tests.helpers.upstream.cases import CASES


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


def test_fields_that_transformers_leaves_out_have_its_defaults(tmp_path: Path) -> None:
    """OpenAI's activation is transformers' default, so that many configs do not name it."""
    case = CASES["clip: transformers"](tmp_path / "checkpoint")
    config = json.loads((case.checkpoint / "config.json").read_text())
    config.pop("hidden_act", None)
    (case.checkpoint / "config.json").write_text(json.dumps(config))
    case.expert.double().load_checkpoint(case.checkpoint, "the test")
    other = Clip(image_size=32, patch_size=8, mlp_ratio=2, hidden_act="gelu", **SMALL).double()
    with pytest.raises(UserError, match="hidden_act=quick_gelu instead of gelu"):
        other.load_checkpoint(case.checkpoint, "the test")


@pytest.mark.parametrize("file", ["", "/model.safetensors", "/tower/model.safetensors"])
def test_the_config_beside_a_file_of_the_hub_is_compared(file: str, hub: Path) -> None:
    case = CASES["clip: transformers"](hub / "tower" if "tower" in file else hub)
    config = case.checkpoint / "config.json"
    case.expert.double().load_checkpoint(f"lab/vision{file}", "the test")
    config.write_text(json.dumps({**json.loads(config.read_text()), "hidden_act": "gelu"}))
    with pytest.raises(UserError, match="hidden_act=gelu instead of quick_gelu"):
        case.expert.load_checkpoint(f"lab/vision{file}", "the test")
