"""Temporary files and folders: what a dead process left is removed, what a living one writes is left alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eaglebench.utils.files import write_text
from eaglebench.utils.temporary import clear_leftovers, list_leftovers, remove_folder, temporary_file, temporary_folder

PROGRAM = """
import os, signal, sys
from pathlib import Path
from eaglebench.utils.temporary import temporary_file, temporary_folder
with temporary_{kind}(Path(sys.argv[1]) / "target") as temporary:
    (temporary if {is_file} else temporary / "part").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def die_while_writing(kind: str, folder: Path) -> Path:
    """What a process that was killed while it wrote has left."""
    program = PROGRAM.format(kind=kind, is_file=kind == "file")
    assert subprocess.run([sys.executable, "-c", program, folder]).returncode == -9
    (left,) = list_leftovers(folder)
    return left


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_next_process_that_writes_there_removes_what_a_killed_one_left(kind: str, tmp_path: Path) -> None:
    die_while_writing(kind, tmp_path)
    write_text(tmp_path / "other", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_living_process_keeps_what_it_writes(kind: str, tmp_path: Path) -> None:
    left = die_while_writing(kind, tmp_path)
    with temporary_file(tmp_path / "a") as file, temporary_folder(tmp_path / "b") as folder:
        for path in (file, folder.parent):
            os.utime(path, (0, 0))  # the clock plays no part
        clear_leftovers(tmp_path)
        assert file.exists() and folder.exists()
        assert not left.exists()
        file.write_text("whole")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "whole"}


def test_files_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    for name in (".a.part", ".hidden", "x.eaglebench-part", ".a.12345.tmp"):
        (tmp_path / name).touch()
    clear_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_name_as_long_as_a_name_can_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127)
    write_text(path, "whole")
    assert path.read_text() == "whole"


def test_a_folder_is_removed_as_a_whole_whatever_it_is(tmp_path: Path) -> None:
    (tmp_path / "folder" / "in").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("link", "file", "folder", "nothing"):
        remove_folder(tmp_path / name)
    assert not list(tmp_path.iterdir())
