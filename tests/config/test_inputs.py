"""A run is known by what its data files hold, too."""

import hashlib
import os
from pathlib import Path

import pytest

from eaglebench.config.inputs import input_fingerprints
from tests.conftest import composed


def test_every_file_that_a_run_reads_is_named_with_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train.json", "val.json", "sft.json", "gqa.jsonl"):
        Path(name).write_text(name)
    cfg = composed(
        *("data=llava_json", "data.train=train.json", "data.val=val.json", "stages.sft.data=sft.json"),
        *("evaluation=eagle11", "evaluation.benchmarks.gqa=gqa.jsonl", "evaluation.benchmarks.seed=missing.jsonl"),
    )
    expected = {
        name: hashlib.sha256(name.encode()).hexdigest() for name in ("train.json", "val.json", "sft.json", "gqa.jsonl")
    }
    assert input_fingerprints(cfg) == expected
    Path("val.json").write_text("other questions")
    assert input_fingerprints(cfg) != expected


def test_weights_are_known_by_their_sizes_and_times(tmp_path: Path) -> None:
    (tmp_path / "sam").mkdir()
    weights = tmp_path / "sam" / "model.safetensors"
    weights.write_bytes(b"1")
    cfg = composed(f"experts.sam.checkpoint={tmp_path}/sam")
    before = input_fingerprints(cfg)
    assert [*before] == [f"{tmp_path}/sam"]
    os.utime(weights, (0, 0))
    assert input_fingerprints(cfg) != before


def test_a_synthetic_world_has_no_files() -> None:
    assert input_fingerprints(composed()) == {}
