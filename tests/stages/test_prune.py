"""The artefacts of a store are listed with who uses them, and removed unless they are being trained."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from eaglebench.stages.artefact_files import MANIFEST
from eaglebench.stages.prune import ALL, UNUSED, list_entries, remove_entry, select_entries
from eaglebench.stages.store import Artefact, Store
from eaglebench.utils.errors import UserError
from tests.conftest import Outcome

ARTEFACT = Artefact({"experts.sam.w": torch.arange(4.0)}, {"label": "pre_align/sam", "description": {"parents": {}}})


def test_pruning_needs_neither_torch_nor_lightning() -> None:
    """They take seconds to import."""
    program = "import sys, eaglebench.stages.prune; sys.exit(bool({'torch', 'lightning'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.fixture
def filled(tmp_path: Path) -> tuple[Path, Path]:
    """A store of five artefacts, and the folder of a run that uses one."""
    store = Store(tmp_path / "store")
    store.put("pre_align/sam", "aaa", ARTEFACT)
    store.put("sft", "bbb", Artefact({}, {"description": {"parents": {"experts.sam": "aaa"}}}))
    store.put("blind", "ccc", Artefact({}, {}))
    checkpoint_folder = store.checkpoint_folder("sft", "ddd")
    assert checkpoint_folder is not None
    checkpoint_folder.mkdir(parents=True)
    (checkpoint_folder / "step-30.ckpt").write_bytes(b"x" * 2_000_000)
    (checkpoint_folder / MANIFEST).write_text(json.dumps({"description": {"parents": {"fusion": "eee"}}}))
    store.put("projector", "eee", Artefact({}, {}))
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    (run / MANIFEST).write_text(json.dumps({"stages": [{"key": "bbb"}]}))
    return tmp_path / "store", run


def test_artefacts_are_listed_with_their_users(filled: tuple[Path, Path]) -> None:
    root, run = filled
    listed = {entry.name: entry for entry in list_entries(root, [run])}
    assert {name: (entry.state, entry.used_by) for name, entry in listed.items()} == {
        "pre_align-sam-aaa": ("finished", ("sft-bbb",)),
        "sft-bbb": ("finished", ("mine",)),
        "blind-ccc": ("finished", ()),
        "projector-eee": ("finished", ("sft-ddd",)),
        "sft-ddd": ("unfinished, step 30", ()),
    }
    assert 2_000_000 < listed["sft-ddd"].bytes < 2_001_000


def test_names_and_selectors_choose_what_is_removed(filled: tuple[Path, Path]) -> None:
    root, run = filled
    listed = list_entries(root, [run])
    assert [entry.name for entry in select_entries(listed, [UNUSED])] == ["blind-ccc"]
    assert [entry.name for entry in select_entries(listed, ["unfinished"])] == ["sft-ddd"]
    assert [entry.name for entry in select_entries(listed, ["sft-bbb"])] == ["sft-bbb"]
    assert len(select_entries(listed, [ALL])) == 5
    with pytest.raises(UserError, match="prune names nothing-like-it"):
        select_entries(listed, ["nothing-like-it"])


def test_what_a_crash_left_on_its_way_goes_with_what_is_unfinished(tmp_path: Path) -> None:
    aside, busy = tmp_path / ".sft-0123.77.123", tmp_path / ".sft-4567.78.456"
    for folder in (aside, busy):
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(b"half")
    day_before_yesterday = time.time() - 2 * 86_400
    os.utime(aside, (day_before_yesterday, day_before_yesterday))
    (entry,) = select_entries(list_entries(tmp_path, []), ["unfinished"])
    assert (entry.folder, entry.bytes, entry.state) == (aside, 4, "left by a crash")
    assert select_entries(list_entries(tmp_path, []), ["unused"]) == []
    assert remove_entry(entry)
    assert not aside.exists()
    assert busy.exists()


def test_what_is_being_trained_is_not_removed(filled: tuple[Path, Path]) -> None:
    root, _ = filled
    (entry,) = (entry for entry in list_entries(root, []) if entry.name == "sft-ddd")
    with Store(root).exclusive("sft", "ddd"):
        assert not remove_entry(entry)
    assert remove_entry(entry)
    assert not entry.folder.exists()


def test_the_command_lists_and_prunes(filled: tuple[Path, Path], command: Callable[..., Outcome]) -> None:
    root, run = filled
    overrides = ["task=store", f"store={root}", f"runs={run.parent}/*"]
    listed = command(*overrides)
    assert listed.code == 0
    assert "sft-ddd" in listed.out
    assert "unfinished, step 30" in listed.out
    assert "5 in" in listed.out
    pruned = command(*overrides, "prune=unused")
    assert "removed blind-ccc (finished)" in pruned.out
    assert "removed sft-ddd (unfinished, step 30)" in command(*overrides, "prune=[sft-ddd]").out
    assert {entry.name for entry in list_entries(root, [])} == {"pre_align-sam-aaa", "sft-bbb", "projector-eee"}


def test_a_store_that_is_not_there_is_refused(tmp_path: Path, command: Callable[..., Outcome]) -> None:
    outcome = command("task=store", f"store={tmp_path / 'none'}")
    assert outcome.code == 2
    assert "is no folder" in outcome.err
