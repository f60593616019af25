"""A disk that is full, read-only or failing, or a file where a folder should be, ends a command with one sentence."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eaglebench.__main__ import main
from eaglebench.runs import MANIFEST, SCORES
from eaglebench.utils.temporary import SUFFIX
from tests.conftest import Outcome
from tests.helpers.commands import run_eaglebench

LOOK = "look at that path, or give another, and run the same command again."
FOUR_STEPS = ["stages=[sft]", "stages.sft.steps=4", "evaluation.blind.steps=0", "checkpoint_every=2"]
ROOM = "make room, and run the same command again."


def check_sentence(outcome: Outcome, *parts: str) -> None:
    assert outcome.code == 2, outcome.out + outcome.err
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert part in line


IN_A_FILE = [  # a folder that cannot be made, because there is a file in its place
    (["fast=true", "hydra.run.dir=file/run"], "file/run cannot be read or written (Not a directory): " + LOOK),
    (["fast=true", "hydra.run.dir=file"], "file cannot be read or written (File exists): " + LOOK),
    (["fast=true", "hydra.run.dir=run", "data.cache_dir=file/data"], "file/data cannot be read or written"),
    (["fast=true", "hydra.run.dir=run", "store=file/store"], "store=file/store cannot be written"),
    (["task=report", "report.runs=RUN", "report.to=file/to"], "file/to/leaderboard.md cannot be read or written"),
    (["task=pretrain", "pretrain=llm", "fast=true", "pretrain.folder=file/zoo"], "file/zoo cannot be read or written"),
    (["task=sweep", "sweep=seeds.yaml", "fast=true"], "results/sweep-seeds"),
    (["task=select", "select.start=[clip]", "select.pool=[sam]", "fast=true"], "clip, which the search begins with"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "told"), IN_A_FILE, ids=[words[0] + " " + words[-1] for words, _ in IN_A_FILE])
def test_a_file_in_the_place_of_a_folder_is_named(
    words: list[str],
    told: str,
    command: Callable[..., Outcome],
    fast_store: list[str],
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("file", "results"):
        (tmp_path / name).touch()
    (tmp_path / "seeds.yaml").write_text("method: grid\nparameters: {seed: {values: [0]}}\n")
    shared = [word for word in fast_store if word.partition("=")[0] not in {other.partition("=")[0] for other in words}]
    of_trainings = shared if words[0].startswith("fast") else []
    check_sentence(command(*(word.replace("RUN", str(finished_run)) for word in words), *of_trainings), told)


@pytest.mark.parametrize(
    ("file", "number", "way_out"),
    [
        ("config.yaml", errno.ENOSPC, ROOM),  # full
        ("model.safetensors", errno.EDQUOT, ROOM),  # over quota
        ("predictions.jsonl", errno.EROFS, LOOK),  # read-only
        (SCORES, errno.EACCES, LOOK),  # no permission
        (MANIFEST, errno.EIO, LOOK),  # failing
    ],
)
def test_a_disk_that_fails_is_named_with_the_file(
    file: str,
    number: int,
    way_out: str,
    command: Callable[..., Outcome],
    fast_store: list[str],
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Room is asked for only where there is none."""
    refused = []

    def refuse(source: str, target: str | os.PathLike[str]) -> None:
        if Path(target).name == file:
            refused.append(target)
            raise OSError(number, os.strerror(number), str(source), None, str(target))
        replace(source, target)

    replace = os.replace
    monkeypatch.setattr(os, "replace", refuse)
    outcome = command(*fast_store, f"hydra.run.dir={tmp_path / 'run'}")
    check_sentence(outcome, f"{refused[0]} cannot be read or written ({os.strerror(number)}): {way_out}")
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(SUFFIX)]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with hardly any room."""
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # torch leaves a file open that it failed to write


@pytest.mark.parametrize("place", ["store", pytest.param("hydra.run.dir", marks=pytest.mark.slow), "data.cache_dir"])
def test_a_full_disk_ends_a_run_with_one_sentence_and_leaves_nothing_half_written(
    place: str, full_disk: Path, command: Callable[..., Outcome], fast_store: list[str], tmp_path: Path
) -> None:
    shared = [word for word in fast_store if not word.startswith(f"{place}=")]
    elsewhere = [] if place == "hydra.run.dir" else [f"hydra.run.dir={tmp_path / 'run'}"]
    outcome = command(*shared, *FOUR_STEPS, *elsewhere, f"{place}={full_disk / 'here'}")
    check_sentence(outcome, "No space left on device", "make room, and")
    assert not [path for path in full_disk.rglob("*") if path.name.endswith(SUFFIX) or path.name.startswith(".step")]


@pytest.mark.slow
def test_a_full_folder_for_temporary_files_hinders_no_run(
    full_disk: Path, fast_store: list[str], tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="No space left"):
        (full_disk / "filling").write_bytes(bytes(2**17))
    environment = {**os.environ, "TMPDIR": str(full_disk)}
    done = run_eaglebench(tmp_path, environment, *fast_store, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr


def test_another_error_of_the_operating_system_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a fault of eaglebench, and no user can mend it."""

    def fail(*_: object) -> None:
        raise OSError(errno.ECHILD, "No child processes")

    monkeypatch.setattr("eaglebench.__main__.prepare_arguments", fail)
    monkeypatch.setattr("sys.argv", ["eaglebench"])
    with pytest.raises(OSError, match="No child processes"):
        main()
