"""The artefacts of a store are listed with who uses them, and removed unless they are being trained."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from eaglebench.stages.artefact_files import DAMAGED, MANIFEST, set_aside
from eaglebench.stages.prune import ALL, UNUSED, list_entries, remove_entry, select_entries
from eaglebench.stages.store import Store
from eaglebench.utils.errors import UserError
from eaglebench.utils.temporary import temporary_folder
from tests.conftest import Outcome
from tests.helpers.artefacts import make_artefact


def test_pruning_needs_neither_torch_nor_lightning() -> None:
    """They take seconds to import."""
    program = "import sys, eaglebench.stages.prune; sys.exit(bool({'torch', 'lightning'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.fixture
def filled(tmp_path: Path) -> tuple[Path, Path]:
    """A store of five artefacts, and the folder of a run that uses one."""
    store = Store(tmp_path / "store")
    store.put("pre_align/sam", "aaa", make_artefact())
    store.put("sft", "bbb", make_artefact({"experts.sam": "aaa"}))
    store.put("blind", "ccc", make_artefact())
    checkpoint_folder = store.checkpoint_folder("sft", "ddd")
    assert checkpoint_folder is not None
    checkpoint_folder.mkdir(parents=True)
    (checkpoint_folder / "step-30.ckpt").write_bytes(b"x" * 2_000_000)
    (checkpoint_folder / MANIFEST).write_text(json.dumps({"description": {"parents": {"fusion": "eee"}}}))
    store.put("projector", "eee", make_artefact())
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


def test_what_a_dead_process_left_on_its_way_is_removed_and_not_what_a_living_one_writes(tmp_path: Path) -> None:
    """Whatever the clock says: a process holds a lock on what it writes."""
    program = """
import os, sys
from pathlib import Path
from eaglebench.utils.temporary import temporary_folder
with temporary_folder(Path(sys.argv[1]) / "sft-0123") as folder:
    (folder / "weights.safetensors").write_bytes(b"half")
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", program, tmp_path]).returncode == 9
    (left,) = tmp_path.iterdir()
    with temporary_folder(tmp_path / "sft-4567") as busy:
        assert list_entries(tmp_path, []) == []
        assert busy.is_dir()
        assert not left.exists()


def test_what_was_set_aside_is_corrupt_and_goes_with_what_is_unfinished(filled: tuple[Path, Path]) -> None:
    root, run = filled
    set_aside(root / "sft-bbb")
    (entry,) = (entry for entry in list_entries(root, [run]) if entry.name == "sft-bbb")
    assert (entry.folder, entry.state) == (root / DAMAGED / "sft-bbb", "corrupt")
    assert entry in select_entries(list_entries(root, [run]), ["unfinished"])
    assert remove_entry(entry)
    assert not entry.folder.exists()


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
    for path in root.rglob("*"):
        os.utime(path, (time.time() + 3600,) * 2)  # written before the clock jumped back
    assert " 0 s " in command(*overrides).out
    pruned = command(*overrides, "prune=unused")
    assert "removed blind-ccc (finished)" in pruned.out
    assert "removed sft-ddd (unfinished, step 30)" in command(*overrides, "prune=[sft-ddd]").out
    assert {entry.name for entry in list_entries(root, [])} == {"pre_align-sam-aaa", "sft-bbb", "projector-eee"}


def test_a_store_that_is_not_there_is_refused(tmp_path: Path, command: Callable[..., Outcome]) -> None:
    outcome = command("task=store", f"store={tmp_path / 'none'}")
    assert outcome.code == 2
    assert "is no folder" in outcome.err
