"""Files are written as a whole, or not at all."""

import errno
import os
from pathlib import Path

import pytest

from eaglebench.utils.files import read_json_object, write_bytes, write_json, write_jsonl, write_text


def test_folders_are_made_and_anyone_may_read(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_text(path, "grün")
    assert path.read_bytes() == "grün".encode()
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match=r"disk full: '.*/a.txt'$"):  # it names the file, and not its temporary name
        write_bytes(path, b"new")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"name": "grün", "list": [1, None]})
    assert read_json_object(path) == {"name": "grün", "list": [1, None]}
    write_jsonl(path, [{"a": 1}, {"b": "ü"}])
    assert path.read_text() == '{"a": 1}\n{"b": "ü"}\n'


@pytest.mark.parametrize("content", [None, "", "[1]", '{"a": ', "\x00"])
def test_a_file_without_an_object_reads_as_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    assert read_json_object(path) is None
