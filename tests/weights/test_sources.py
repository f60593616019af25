"""Checkpoints are found wherever people have them, and nothing outside is touched."""

import json
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from eaglebench.config.build import fingerprint
from eaglebench.utils.errors import UserError
from eaglebench.weights.hub import is_hub_name, read_cached_commit
from eaglebench.weights.sources import read_checkpoint, read_config

WEIGHTS = {"a": torch.arange(3.0), "b": torch.ones(2, 2)}


def same(given: dict[str, torch.Tensor]) -> bool:
    return given.keys() == WEIGHTS.keys() and all(torch.equal(given[key], WEIGHTS[key]) for key in given)


def sharded(folder: Path, **places: str) -> Path:
    """WEIGHTS in one file for each key, and an index that says so, changed by `places`."""
    for key, tensor in WEIGHTS.items():
        save_file({key: tensor}, folder / f"{key}.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {key: f"{key}.safetensors" for key in WEIGHTS} | places}))
    return index


@pytest.mark.parametrize("wrapper", [None, "ema_state", "module", "model", "state_dict"])
def test_training_codes_wrappers_are_taken_off(tmp_path: Path, wrapper: str | None) -> None:
    torch.save({wrapper: WEIGHTS, "iteration": 7} if wrapper else WEIGHTS, tmp_path / "any.pth")
    assert same(read_checkpoint(tmp_path / "any.pth", "experts.clip"))
    assert same(read_checkpoint(tmp_path, "experts.clip")), "the only file of a folder"


@pytest.mark.parametrize("name", ["model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin"])
def test_a_folder_is_known_by_the_usual_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "training_args.bin").write_bytes(b"something else")
    save_file(WEIGHTS, tmp_path / name) if name.endswith("safetensors") else torch.save(WEIGHTS, tmp_path / name)
    assert same(read_checkpoint(tmp_path, "experts.clip"))


def test_shards_are_put_together(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    assert same(read_checkpoint(tmp_path, "experts.clip"))
    assert same(read_checkpoint(index, "experts.clip"))


def test_a_shard_outside_the_folder_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="points outside its folder"):
        read_checkpoint(sharded(tmp_path, b="../b.safetensors"), "experts.clip")


def test_a_tensor_that_its_shard_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks 1 tensors \(c\)"):
        read_checkpoint(sharded(tmp_path, c="b.safetensors"), "experts.clip")


def test_what_is_no_index_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="is not an index"):
        read_checkpoint(tmp_path / "config.json", "experts.clip")


def test_a_folder_without_or_with_too_many_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no weights: give one file"):
        read_checkpoint(tmp_path, "experts.clip")
    for name in "ab":
        torch.save(WEIGHTS, tmp_path / f"{name}.pth")
    with pytest.raises(UserError, match="2 weight files: give one file"):
        read_checkpoint(tmp_path, "experts.clip")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The snapshot of `lab/vision` in the hub's own cache, as a download leaves it, without a network."""
    cached = tmp_path / "models--lab--vision"
    snapshot = cached / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    (snapshot / "config.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return snapshot


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_repository_of_the_hub_is_read(hub: Path, name: str) -> None:
    save_file(WEIGHTS, hub / name) if name.endswith("safetensors") else torch.save(WEIGHTS, hub / name)
    assert same(read_checkpoint("lab/vision", "experts.clip"))
    assert same(read_checkpoint("lab/vision@main", "experts.clip"))


def test_weights_of_the_hub_are_known_by_their_commit(hub: Path) -> None:
    """For the keys of finished stages: another commit under the same name is another checkpoint."""
    name = Path("lab/vision")
    before = fingerprint({"name": "clip", "activation_checkpointing": True}, "checkpoint", name)
    assert before == {"name": "clip", "checkpoint": [f"lab/vision {'0' * 40}"]}
    (hub.parents[1] / "refs" / "main").write_text("1" * 40)
    assert fingerprint({"name": "clip"}, "checkpoint", name)["checkpoint"] == [f"lab/vision {'1' * 40}"]
    assert read_cached_commit("lab/never-read") is None


def test_shards_of_a_repository_are_read(hub: Path) -> None:
    sharded(hub)
    assert same(read_checkpoint("lab/vision", "experts.clip"))


def test_one_file_of_a_repository_is_read(hub: Path) -> None:
    (hub / "det").mkdir()
    torch.save({"model": WEIGHTS}, hub / "det" / "eva02.pth")
    assert same(read_checkpoint("lab/vision/det/eva02.pth", "experts.eva02"))


def test_the_config_beside_weights_is_read(hub: Path, tmp_path: Path) -> None:
    (hub / "config.json").write_text('{"heads": 2}')
    assert read_config("lab/vision", "config.json") == read_config(hub, "config.json") == {"heads": 2}
    assert read_config("lab/vision/det/eva02.pth", "config.json") == {}, "of one file, nothing is known"
    for nothing in ("lab/other", hub / "model.safetensors", tmp_path):
        assert read_config(nothing, "config.json") == {}
    (hub / "config.json").write_text("[1")
    assert read_config(hub, "config.json") == {}


def test_what_the_hub_does_not_have_is_said_with_the_way_out(hub: Path) -> None:
    for name in ("lab/vision", "lab/other"):
        with pytest.raises(
            UserError, match=rf"{name} of experts\.clip is no file or folder here, .* give a file, or owner/name"
        ):
            read_checkpoint(name, "experts.clip")


@pytest.mark.parametrize(
    ("value", "hub"),
    [
        ("openai/clip-vit-large-patch14-336", True),
        ("lab/vision@v2", True),
        ("weights/clip.pth", False),
        ("clip", False),
    ],
)
def test_what_can_be_a_name_on_the_hub(value: str, hub: bool) -> None:
    assert is_hub_name(value) == hub
