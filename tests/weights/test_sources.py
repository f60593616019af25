"""Checkpoints are read from files, folders, shards and the hub, and from nowhere else."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from eaglebench.utils.errors import UserError
from eaglebench.weights.sources import read_checkpoint, read_config

WEIGHTS = {"a": torch.arange(3.0), "b": torch.ones(2, 2)}


def are_weights(read: dict[str, torch.Tensor]) -> bool:
    return read.keys() == WEIGHTS.keys() and all(torch.equal(read[key], WEIGHTS[key]) for key in read)


def write_shards(folder: Path, **weight_map: str) -> Path:
    """WEIGHTS in one file for each key, and an index that says so, changed by `weight_map`."""
    for key, tensor in WEIGHTS.items():
        save_file({key: tensor}, folder / f"{key}.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {key: f"{key}.safetensors" for key in WEIGHTS} | weight_map}))
    return index


@pytest.mark.parametrize("wrapper", [None, "ema_state", "module", "model", "state_dict"])
def test_training_codes_wrappers_are_taken_off(tmp_path: Path, wrapper: str | None) -> None:
    torch.save({wrapper: WEIGHTS, "iteration": 7} if wrapper else WEIGHTS, tmp_path / "any.pth")
    assert are_weights(read_checkpoint(tmp_path / "any.pth", "experts.clip"))
    assert are_weights(read_checkpoint(tmp_path, "experts.clip")), "the only file of a folder"


@pytest.mark.parametrize("name", ["model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin"])
def test_a_folder_is_known_by_the_usual_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "training_args.bin").write_bytes(b"something else")
    save_file(WEIGHTS, tmp_path / name) if name.endswith("safetensors") else torch.save(WEIGHTS, tmp_path / name)
    assert are_weights(read_checkpoint(tmp_path, "experts.clip"))


def test_shards_are_put_together(tmp_path: Path) -> None:
    index = write_shards(tmp_path)
    assert are_weights(read_checkpoint(tmp_path, "experts.clip"))
    assert are_weights(read_checkpoint(index, "experts.clip"))


def test_a_shard_outside_the_folder_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="points outside its folder"):
        read_checkpoint(write_shards(tmp_path, b="../b.safetensors"), "experts.clip")


def test_a_tensor_that_its_shard_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks 1 tensors \(c\)"):
        read_checkpoint(write_shards(tmp_path, c="b.safetensors"), "experts.clip")


def test_a_json_file_that_is_no_index_is_refused(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_repository_of_the_hub_is_read(hub: Path, name: str) -> None:
    save_file(WEIGHTS, hub / name) if name.endswith("safetensors") else torch.save(WEIGHTS, hub / name)
    assert are_weights(read_checkpoint("lab/vision", "experts.clip"))
    assert are_weights(read_checkpoint("lab/vision@main", "experts.clip"))


def test_shards_of_a_repository_are_read(hub: Path) -> None:
    write_shards(hub)
    assert are_weights(read_checkpoint("lab/vision", "experts.clip"))


def test_one_file_of_a_repository_is_read(hub: Path) -> None:
    (hub / "det").mkdir()
    torch.save({"model": WEIGHTS}, hub / "det" / "eva02.pth")
    assert are_weights(read_checkpoint("lab/vision/det/eva02.pth", "experts.eva02"))


def test_the_config_beside_weights_is_read(hub: Path, tmp_path: Path) -> None:
    (hub / "config.json").write_text('{"heads": 2}')
    assert read_config("lab/vision", "config.json") == read_config(hub, "config.json") == {"heads": 2}
    for file in (hub / "model.safetensors", hub / "model.safetensors.index.json", "lab/vision/model.safetensors"):
        assert read_config(file, "config.json") == {"heads": 2}, "of a file, the config beside it"
    for nothing in ("lab/other", "lab/vision/det/eva02.pth", hub / "det" / "eva02.pth", tmp_path):
        assert read_config(nothing, "config.json") == {}
    (hub / "config.json").write_text("[1")
    assert read_config(hub, "config.json") == {}


def test_a_name_that_the_hub_does_not_have_is_refused_with_what_to_give(hub: Path) -> None:
    for name in ("lab/vision", "lab/other"):
        with pytest.raises(
            UserError, match=rf"{name} of experts\.clip is no file or folder here, .* give a file, or owner/name"
        ):
            read_checkpoint(name, "experts.clip")
