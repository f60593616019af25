"""Finished stages are kept whole or not at all, and trained by one process at a time."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from eaglebench.stages.store import Store
from eaglebench.utils.errors import UserError
from tests.helpers.artefacts import make_artefact

ARTEFACT = make_artefact(label="pre_align/sam")


def test_what_is_put_is_got(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.get("pre_align/sam", "k") is None
    store.put("pre_align/sam", "k", ARTEFACT)
    found = store.get("pre_align/sam", "k")
    assert found is not None
    assert torch.equal(found.weights["experts.sam.w"], torch.arange(4.0))
    assert found.manifest["label"] == "pre_align/sam"
    assert store.get("pre_align/sam", "other") is None


def test_without_a_root_nothing_is_kept() -> None:
    store = Store(None)
    store.put("sft", "k", ARTEFACT)
    with store.exclusive("sft", "k"):
        assert store.get("sft", "k") is None
    assert store.checkpoint_folder("sft", "k") is None


def test_what_cannot_be_read_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> str:
        raise OSError(5, "Input/output error")

    store = Store(tmp_path)
    store.put("sft", "k", ARTEFACT)
    with monkeypatch.context() as patch:
        patch.setattr("eaglebench.stages.store.hash_file", broken)
        with pytest.raises(UserError, match=r"sft-k of the store cannot be read.*Input/output error"):
            store.get("sft", "k")
    assert store.get("sft", "k") is not None


def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"cannot be written.*give another folder, or store=none"),
        Store(tmp_path / "file" / "store").exclusive("sft", "k"),
    ):
        pass


def test_a_finished_artefact_needs_its_checkpoints_no_more(tmp_path: Path) -> None:
    store = Store(tmp_path)
    checkpoint_folder = store.checkpoint_folder("sft", "k")
    assert checkpoint_folder is not None
    checkpoint_folder.mkdir(parents=True)
    (checkpoint_folder / "step-3.ckpt").write_bytes(b"")
    store.put("sft", "k", ARTEFACT)
    assert not checkpoint_folder.exists()


def test_a_full_disk_leaves_the_checkpoints_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, weights: object) -> None:
        path.write_bytes(b"some of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eaglebench.stages.store.write_weights", full)
    store = Store(tmp_path)
    checkpoint_folder = store.checkpoint_folder("sft", "k")
    assert checkpoint_folder is not None
    checkpoint_folder.mkdir(parents=True)
    with pytest.raises(UserError, match=r"sft is trained and cannot be written.*make room"):
        store.put("sft", "k", ARTEFACT)
    assert checkpoint_folder.exists()
    assert store.get("sft", "k") is None
    assert [path.name for path in tmp_path.iterdir()] == [".unfinished"]


def test_what_a_crash_left_beside_a_finished_artefact_is_removed(tmp_path: Path) -> None:
    """As between the rename of the artefact and the removal of its checkpoints."""
    store = Store(tmp_path)
    store.put("sft", "k", ARTEFACT)
    checkpoint_folder = store.checkpoint_folder("sft", "k")
    assert checkpoint_folder is not None
    (checkpoint_folder / "step-3.ckpt").mkdir(parents=True)
    lock = checkpoint_folder.with_name("sft-k.lock")
    lock.touch()
    with store.exclusive("sft", "k"):  # another process may still be at it
        assert Store(tmp_path).get("sft", "k") is not None
        assert checkpoint_folder.exists()
    assert store.get("sft", "k") is not None
    assert not list(checkpoint_folder.parent.iterdir())


def hold(root: Path, held: Path) -> None:
    """Train for ever."""
    with Store(root).exclusive("sft", "k"):
        held.touch()
        time.sleep(600)


def finish(root: Path, logged: Path) -> None:
    """Wait for the lock, and say what was logged meanwhile."""
    with Store(root, lambda line: logged.write_text(line)).exclusive("sft", "k"):
        pass


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def test_one_process_at_a_time_and_none_after_a_kill(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    owner = fork.Process(target=hold, args=(tmp_path, tmp_path / "held"))
    owner.start()
    wait_for(tmp_path / "held")
    waiting = fork.Process(target=finish, args=(tmp_path, tmp_path / "logged"))
    waiting.start()
    wait_for(tmp_path / "logged")
    assert waiting.is_alive()
    os.kill(owner.pid, signal.SIGKILL)
    waiting.join(30)
    owner.join(30)
    assert waiting.exitcode == 0
    assert (tmp_path / "logged").read_text() == "sft: another process is training it; waiting for that process"
