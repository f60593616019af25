"""What a run finds damaged on disk is set aside or left out, in one line, and made again: it never blocks the run."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from eaglebench.data.synthetic.engine import World, render_world
from eaglebench.stages.artefact_files import DAMAGED, MANIFEST, WEIGHTS
from eaglebench.stages.prune import list_entries
from eaglebench.stages.store import Store
from eaglebench.training.checkpoint_files import CHECKSUMS, NAME, STATE, commit, make_room
from eaglebench.training.checkpointing import CheckpointCallback
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import read_json_object, write_json
from tests.helpers.artefacts import make_artefact

Damage = Callable[[Path], None]


def flip_a_bit(path: Path, where: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(where * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("no folder")


def set_field(path: Path, **fields: Any) -> None:
    write_json(path, {**(read_json_object(path) or {}), **fields})


def drop_field(path: Path, field: str) -> None:
    write_json(path, {name: value for name, value in (read_json_object(path) or {}).items() if name != field})


ARTEFACTS: list[tuple[str, Damage, str]] = [
    ("a bit of the weights", lambda at: flip_a_bit(at / WEIGHTS), "wrong checksum of weights.safetensors"),
    ("a bit of their header", lambda at: flip_a_bit(at / WEIGHTS, 0.0), "wrong checksum of weights.safetensors"),
    ("half of the weights", lambda at: os.truncate(at / WEIGHTS, 40), "wrong checksum of weights.safetensors"),
    ("no weights", lambda at: (at / WEIGHTS).unlink(), "no file weights.safetensors"),
    ("a folder for weights", lambda at: replace_by_a_folder(at / WEIGHTS), "no file weights.safetensors"),
    ("no manifest", lambda at: (at / MANIFEST).unlink(), "no file manifest.json"),
    ("a folder for a manifest", lambda at: replace_by_a_folder(at / MANIFEST), "no file manifest.json"),
    ("an empty manifest", lambda at: os.truncate(at / MANIFEST, 0), "manifest.json: Invalid JSON"),
    ("half a manifest", lambda at: os.truncate(at / MANIFEST, 60), "manifest.json: Invalid JSON"),
    ("no text", lambda at: (at / MANIFEST).write_bytes(b"\xff\xfe\x00{"), "manifest.json: Invalid JSON"),
    ("brackets", lambda at: (at / MANIFEST).write_text("[" * 100_000), "manifest.json: Invalid JSON"),
    ("a list", lambda at: (at / MANIFEST).write_text("[1]"), "manifest.json: Input should be an object"),
    ("null", lambda at: (at / MANIFEST).write_text("null"), "manifest.json: Input should be an object"),
    ("no losses", lambda at: drop_field(at / MANIFEST, "losses"), "manifest.json: losses: Field required"),
    ("losses null", lambda at: set_field(at / MANIFEST, losses=None), "losses: Input should be a valid array"),
    ("losses text", lambda at: set_field(at / MANIFEST, losses=["1"]), "losses.0: Input should be a valid number"),
    ("no curves", lambda at: drop_field(at / MANIFEST, "curves"), "manifest.json: curves: Field required"),
    ("curves odd", lambda at: set_field(at / MANIFEST, curves=[[1]]), "manifest.json: curves.0.1: Field required"),
    ("no steps", lambda at: drop_field(at / MANIFEST, "steps"), "manifest.json: steps: Field required"),
    ("steps text", lambda at: set_field(at / MANIFEST, steps="2"), "steps: Input should be a valid integer"),
    ("no sum", lambda at: drop_field(at / MANIFEST, "sha256"), "manifest.json: sha256: Field required"),
    ("another sum", lambda at: set_field(at / MANIFEST, sha256="0"), "wrong checksum of weights.safetensors"),
    ("parents odd", lambda at: set_field(at / MANIFEST, description=[]), "description: Input should be an object"),
    ("an empty folder", lambda at: [path.unlink() for path in at.iterdir()], "no file manifest.json"),  # type: ignore[arg-type, return-value]
    ("a file for it all", replace_by_a_file, "no file manifest.json"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "reason"), [each[1:] for each in ARTEFACTS], ids=[each[0] for each in ARTEFACTS])
def test_a_damaged_artefact_is_set_aside_and_trained_again(damage: Damage, reason: str, tmp_path: Path) -> None:
    logged: list[str] = []
    store, artefact = Store(tmp_path, logged.append), make_artefact()
    store.put("sft", "k", artefact)
    damage(tmp_path / "sft-k")
    assert store.get("sft", "k") is None
    (line,) = logged
    assert line.startswith(f"sft: {tmp_path / 'sft-k'} is corrupt (") and reason in line
    assert line.endswith(f"): it is set aside as {tmp_path / DAMAGED / 'sft-k'}, and trained again")
    assert (tmp_path / DAMAGED / "sft-k").exists()
    store.put("sft", "k", artefact)
    assert store.get("sft", "k") is not None


@pytest.mark.parametrize("damage", [each[1] for each in ARTEFACTS], ids=[each[0] for each in ARTEFACTS])
def test_a_store_with_a_damaged_artefact_is_listed(damage: Damage, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.put("sft", "k", make_artefact())
    damage(tmp_path / "store" / "sft-k")
    run = tmp_path / "run"
    for stages in (None, 1, [1], [{}], [{"key": None}], [{"key": ["k"]}]):
        write_json(run / MANIFEST, {"stages": stages})
        assert all(entry.name == "sft-k" for entry in list_entries(tmp_path / "store", [run]))


def test_what_lies_in_the_place_of_the_checkpoints_is_removed(tmp_path: Path) -> None:
    logged: list[str] = []
    store = Store(tmp_path, logged.append)
    folder = store.checkpoint_folder("sft", "k")
    assert folder is not None
    folder.parent.mkdir()
    folder.write_text("no folder")
    with store.exclusive("sft", "k"):
        assert not folder.exists()
    assert logged == [f"sft: {folder} is no folder of checkpoints, and is removed"]


@pytest.mark.parametrize("place", ["store", "store/.unfinished", "store/.unfinished/sft-k.lock/"])
def test_a_store_with_something_in_the_place_of_its_folders_is_refused(place: str, tmp_path: Path) -> None:
    blocked = tmp_path / place
    blocked.parent.mkdir(parents=True, exist_ok=True)
    if place.endswith("/"):
        blocked.mkdir()
    else:
        blocked.write_text("no folder")
    store = Store(tmp_path / "store")
    refusal = r"store=.* cannot be written .*: give another folder, or store=none"
    with pytest.raises(UserError, match=refusal), store.exclusive("sft", "k"):
        pass


def write_checkpoint(folder: Path, step: int) -> Path:
    """A checkpoint of 100 numbers."""
    target = folder / NAME.format(step, "ckpt")
    make_room(folder / f".{target.name}")
    torch.save({"weights": torch.arange(100.0)}, folder / f".{target.name}" / STATE)
    commit(folder / f".{target.name}", target)
    return target


def replace_by(path: Path, content: bytes) -> None:
    shutil.rmtree(path)
    path.write_bytes(content)


def replace_by_a_link(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to(path.parent / "nowhere")


CHECKPOINTS: list[tuple[str, Damage]] = [
    ("a bit of the archive's directory", lambda at: flip_a_bit(at / STATE, 0.99)),
    ("a bit of its weights", lambda at: flip_a_bit(at / STATE, 0.5)),
    ("a bit of its first bytes", lambda at: flip_a_bit(at / STATE, 0.0)),
    ("half of it", lambda at: os.truncate(at / STATE, 200)),
    ("nothing in it", lambda at: os.truncate(at / STATE, 0)),
    ("no file in it", lambda at: (at / STATE).unlink()),
    ("a folder in it", lambda at: replace_by_a_folder(at / STATE)),
    ("no checksums", lambda at: (at / CHECKSUMS).unlink()),
    ("a bit of the checksums", lambda at: flip_a_bit(at / CHECKSUMS)),
    ("checksums that are no object", lambda at: (at / CHECKSUMS).write_text("[]")),
    ("checksums of nothing", lambda at: [replace_by_a_folder(at / STATE), (at / CHECKSUMS).write_text("{}")]),  # type: ignore[arg-type, func-returns-value, return-value]
    ("a pickle", lambda at: replace_by(at, pickle.dumps({"state_dict": {}}))),
    ("an empty file", lambda at: replace_by(at, b"")),
    ("an empty folder", lambda at: [shutil.rmtree(at), at.mkdir()]),  # type: ignore[arg-type, func-returns-value, return-value]
    ("a link to nowhere", replace_by_a_link),
]  # fmt: skip


@pytest.mark.parametrize("damage", [each[1] for each in CHECKPOINTS], ids=[each[0] for each in CHECKPOINTS])
def test_instead_of_a_damaged_checkpoint_the_one_before_is_resumed(damage: Damage, tmp_path: Path) -> None:
    logged: list[str] = []
    before, last = write_checkpoint(tmp_path, 3), write_checkpoint(tmp_path, 6)
    damage(last)
    callback = CheckpointCallback(tmp_path, 3, None, logged.append)  # type: ignore[arg-type]
    assert callback.find_newest_intact() == before
    assert logged == [f"{last} is corrupt (wrong checksum), and not used: the one of step 3 is"]
    assert not os.path.lexists(last)
    damage(before)
    assert callback.find_newest_intact() is None
    assert logged[1:] == [f"{before} is corrupt (wrong checksum), and not used: this stage starts anew"]


@pytest.mark.parametrize(
    "stray", ["step-x.single", "step-.ckpt", "step-9", "notes.txt", "step-9.ckpt.bak", ".step-9.x"]
)
def test_a_stray_file_beside_the_checkpoints_is_left_alone(stray: str, tmp_path: Path) -> None:
    last = write_checkpoint(tmp_path, 3)
    (tmp_path / stray).write_text("mine")
    assert CheckpointCallback(tmp_path, 3, None, print).find_newest_intact() == last  # type: ignore[arg-type]
    assert (tmp_path / stray).exists()


def test_a_file_with_the_name_of_a_later_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    last = write_checkpoint(tmp_path, 3)
    (tmp_path / "step-9.single").write_bytes((last / STATE).read_bytes())
    logged: list[str] = []
    assert CheckpointCallback(tmp_path, 3, None, logged.append).find_newest_intact() == last  # type: ignore[arg-type]
    assert logged == [f"{tmp_path / 'step-9.single'} is corrupt (wrong checksum), and not used: the one of step 3 is"]


WORLD = World(train_images=2, val_questions=1, canvas=64, mixture={"shapes": 1.0}, seed=0)


@pytest.mark.parametrize("damage", [lambda at: (at / "val.json").unlink(), replace_by_a_file], ids=["val.json", "file"])
def test_a_damaged_rendering_is_replaced(damage: Damage, tmp_path: Path) -> None:
    logged: list[str] = []
    folder = render_world(WORLD, tmp_path, 1, logged.append)
    damage(folder)
    assert render_world(WORLD, tmp_path, 1, logged.append) == folder
    assert logged[2:] == [f"{folder} is incomplete, and is replaced"]
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}
    assert (folder / "val.json").is_file()
