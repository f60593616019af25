"""Finished stages are kept whole or not at all, trained by one process at a time, and listed with who uses them."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from eaglebench.stages.prune import ALL, UNUSED, chosen, entries, removed
from eaglebench.stages.store import MANIFEST, WEIGHTS, Artefact, Store
from eaglebench.utils.errors import UserError
from tests.conftest import Outcome

ARTEFACT = Artefact({"experts.sam.w": torch.arange(4.0)}, {"label": "pre_align/sam", "description": {"parents": {}}})


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
    with store.alone("sft", "k"):
        assert store.get("sft", "k") is None
    assert store.unfinished("sft", "k") is None


@pytest.mark.parametrize("damage", ["weights", "gone", "manifest", "no sum"])
def test_a_damaged_artefact_is_removed_and_told(damage: str, tmp_path: Path) -> None:
    told: list[str] = []
    store = Store(tmp_path, told.append)
    store.put("sft", "k", ARTEFACT)
    weights, manifest = tmp_path / "sft-k" / WEIGHTS, tmp_path / "sft-k" / MANIFEST
    if damage == "weights":
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    elif damage == "gone":
        weights.unlink()
    elif damage == "manifest":
        manifest.write_text("{half")
    else:
        manifest.write_text("{}")
    assert store.get("sft", "k") is None
    assert told == [f"sft: {tmp_path / 'sft-k'} is damaged; it is removed, as if it had not been trained"]
    assert not (tmp_path / "sft-k").exists()
    store.put("sft", "k", ARTEFACT)
    assert store.get("sft", "k") is not None


def test_what_cannot_be_read_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> str:
        raise OSError(5, "Input/output error")

    store = Store(tmp_path)
    store.put("sft", "k", ARTEFACT)
    with monkeypatch.context() as patch:
        patch.setattr("eaglebench.stages.store.file_digest", broken)
        with pytest.raises(UserError, match=r"sft-k of the store cannot be read.*Input/output error"):
            store.get("sft", "k")
    assert store.get("sft", "k") is not None


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"cannot be written.*give another folder, or store=none"),
        Store(tmp_path / "file" / "store").alone("sft", "k"),
    ):
        pass


def test_a_finished_artefact_needs_its_checkpoints_no_more(tmp_path: Path) -> None:
    store = Store(tmp_path)
    unfinished = store.unfinished("sft", "k")
    assert unfinished is not None
    unfinished.mkdir(parents=True)
    (unfinished / "step-3.ckpt").write_bytes(b"")
    store.put("sft", "k", ARTEFACT)
    assert not unfinished.exists()


def test_a_full_disk_leaves_the_checkpoints_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, weights: object) -> None:
        path.write_bytes(b"some of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eaglebench.stages.store.write_weights", full)
    store = Store(tmp_path)
    unfinished = store.unfinished("sft", "k")
    assert unfinished is not None
    unfinished.mkdir(parents=True)
    with pytest.raises(UserError, match=r"sft is trained and cannot be written.*make room"):
        store.put("sft", "k", ARTEFACT)
    assert unfinished.exists()
    assert store.get("sft", "k") is None
    assert [path.name for path in tmp_path.iterdir()] == [".unfinished"]


def hold(root: Path, held: Path) -> None:
    """Train for ever."""
    with Store(root).alone("sft", "k"):
        held.touch()
        time.sleep(600)


def finish(root: Path, told: Path) -> None:
    """Wait for the lock, and say what was told meanwhile."""
    with Store(root, lambda line: told.write_text(line)).alone("sft", "k"):
        pass


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def test_one_process_at_a_time_and_none_after_a_kill(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    owner = fork.Process(target=hold, args=(tmp_path, tmp_path / "held"))
    owner.start()
    wait_for(tmp_path / "held")
    waiting = fork.Process(target=finish, args=(tmp_path, tmp_path / "told"))
    waiting.start()
    wait_for(tmp_path / "told")
    assert waiting.is_alive()
    os.kill(owner.pid, signal.SIGKILL)
    waiting.join(30)
    owner.join(30)
    assert waiting.exitcode == 0
    assert (tmp_path / "told").read_text() == "sft: another process is training it; waiting for that"


@pytest.fixture
def filled(tmp_path: Path) -> tuple[Path, Path]:
    """A store of five artefacts, and the folder of a run that uses one."""
    store = Store(tmp_path / "store")
    store.put("pre_align/sam", "aaa", ARTEFACT)
    store.put("sft", "bbb", Artefact({}, {"description": {"parents": {"experts.sam": "aaa"}}}))
    store.put("blind", "ccc", Artefact({}, {}))
    unfinished = store.unfinished("sft", "ddd")
    assert unfinished is not None
    unfinished.mkdir(parents=True)
    (unfinished / "step-30.ckpt").write_bytes(b"x" * 2_000_000)
    (unfinished / MANIFEST).write_text(json.dumps({"description": {"parents": {"fusion": "eee"}}}))
    store.put("projector", "eee", Artefact({}, {}))
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    (run / MANIFEST).write_text(json.dumps({"stages": [{"key": "bbb"}]}))
    return tmp_path / "store", run


def test_artefacts_are_listed_with_their_users(filled: tuple[Path, Path]) -> None:
    root, run = filled
    listed = {entry.name: entry for entry in entries(root, [run])}
    assert {name: (entry.state, entry.used_by) for name, entry in listed.items()} == {
        "pre_align-sam-aaa": ("finished", ("sft-bbb",)),
        "sft-bbb": ("finished", ("mine",)),
        "blind-ccc": ("finished", ()),
        "projector-eee": ("finished", ("sft-ddd",)),
        "sft-ddd": ("unfinished, step 30", ()),
    }
    assert 2_000_000 < listed["sft-ddd"].bytes < 2_001_000


def test_words_choose_what_goes(filled: tuple[Path, Path]) -> None:
    root, run = filled
    listed = entries(root, [run])
    assert [entry.name for entry in chosen(listed, [UNUSED])] == ["blind-ccc"]
    assert [entry.name for entry in chosen(listed, ["unfinished"])] == ["sft-ddd"]
    assert [entry.name for entry in chosen(listed, ["sft-bbb"])] == ["sft-bbb"]
    assert len(chosen(listed, [ALL])) == 5
    with pytest.raises(UserError, match="prune names nothing-like-it"):
        chosen(listed, ["nothing-like-it"])


def test_what_a_crash_left_on_its_way_goes_with_what_is_unfinished(tmp_path: Path) -> None:
    aside, busy = tmp_path / ".sft-0123.77.123", tmp_path / ".sft-4567.78.456"
    for folder in (aside, busy):
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(b"half")
    day_before_yesterday = time.time() - 2 * 86_400
    os.utime(aside, (day_before_yesterday, day_before_yesterday))
    (entry,) = chosen(entries(tmp_path, []), ["unfinished"])
    assert (entry.folder, entry.bytes, entry.state) == (aside, 4, "left by a crash")
    assert chosen(entries(tmp_path, []), ["unused"]) == []
    assert removed(entry)
    assert not aside.exists()
    assert busy.exists()


def test_what_is_being_trained_is_not_removed(filled: tuple[Path, Path]) -> None:
    root, _ = filled
    (entry,) = (entry for entry in entries(root, []) if entry.name == "sft-ddd")
    with Store(root).alone("sft", "ddd"):
        assert not removed(entry)
    assert removed(entry)
    assert not entry.folder.exists()


def test_the_command_lists_and_prunes(filled: tuple[Path, Path], command: Callable[..., Outcome]) -> None:
    root, run = filled
    words = ["task=store", f"store={root}", f"report.runs={run.parent}/*"]
    listed = command(*words)
    assert listed.code == 0
    assert "sft-ddd" in listed.out
    assert "unfinished, step 30" in listed.out
    assert "5 in" in listed.out
    pruned = command(*words, "prune=unused")
    assert "removed blind-ccc (finished)" in pruned.out
    assert "removed sft-ddd (unfinished, step 30)" in command(*words, "prune=[sft-ddd]").out
    assert {entry.name for entry in entries(root, [])} == {"pre_align-sam-aaa", "sft-bbb", "projector-eee"}


def test_a_store_that_is_not_there_is_told(tmp_path: Path, command: Callable[..., Outcome]) -> None:
    told = command("task=store", f"store={tmp_path / 'none'}")
    assert told.code == 2
    assert "is no folder" in told.err
