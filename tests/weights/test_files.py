"""Weights are read whole and safely, or not at all."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from eaglebench.utils.errors import UserError
from eaglebench.weights.files import load_weights, write_weights


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_what_was_saved_is_loaded(tmp_path: Path, suffix: str) -> None:
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    path = tmp_path / f"weights.{suffix}"
    if suffix == "safetensors":
        write_weights(path, source.state_dict())
    else:
        torch.save(source.state_dict(), path)
    load_weights(target, path, "experts.clip")
    assert torch.equal(target.weight, source.weight)
    assert torch.equal(target.bias, source.bias)


def test_every_kind_of_misfit_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(5, 3), "other": torch.zeros(1)}, path)
    with pytest.raises(
        UserError,
        match=r"1 missing \(bias\); 1 unexpected \(other\); 1 wrongly shaped \(weight \(5, 3\) for \(2, 3\)\)",
    ):
        load_weights(nn.Linear(3, 2), path, "experts.clip")


def test_a_pickled_object_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    touched = tmp_path / "touched"

    class Payload:
        def __reduce__(self):
            return (Path.touch, (touched,))

    torch.save({"weight": Payload()}, path)
    with pytest.raises(UserError, match="more than tensors"):
        load_weights(nn.Linear(3, 2), path, "experts.clip")
    assert not touched.exists()


@pytest.mark.parametrize("content", [b"", b"nothing like tensors", pickle.dumps([1, 2])])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    for suffix in ("safetensors", "pth"):
        path = tmp_path / f"weights.{suffix}"
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"of experts\.sam"):
            load_weights(nn.Linear(3, 2), path, "experts.sam")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_weights(nn.Linear(3, 2), tmp_path / "none.safetensors", "experts.sam")
