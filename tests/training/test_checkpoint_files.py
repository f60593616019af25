"""Corrupt checkpoints are told from intact ones."""

from pathlib import Path

import pytest

from eaglebench.training.checkpoint_files import commit, is_intact


@pytest.mark.parametrize("damage", ["nothing", "a bit", "a missing file", "missing checksums"])
def test_a_checkpoint_in_a_folder_is_verified_by_the_checksums_of_its_files(damage: str, tmp_path: Path) -> None:
    part, checkpoint = tmp_path / ".step-3.fsdp", tmp_path / "step-3.fsdp"
    (part / "shards").mkdir(parents=True)
    (part / "shards/0.distcp").write_bytes(bytes(100))
    (part / ".metadata").write_bytes(b"here")
    commit(part, checkpoint)
    if damage == "a bit":
        (checkpoint / "shards/0.distcp").write_bytes(bytes(99) + b"\1")
    if damage == "a missing file":
        (checkpoint / ".metadata").unlink()
    if damage == "missing checksums":
        (checkpoint / "checksums.json").unlink()
    assert is_intact(checkpoint) == (damage == "nothing")
