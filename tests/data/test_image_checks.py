"""Checking images: each once, until it changes; what is known survives crashes and other processes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eaglebench.data import image_checks
from eaglebench.data.image_checks import FolderResults, find_broken
from eaglebench.data.llava import read_samples
from eaglebench.utils.errors import UserError
from tests.conftest import turns, write_records


class CountingCheck:
    """Calls images broken whose content says so, and counts its calls."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, image: Path) -> str | None:
        self.names.append(image.name)
        return f"{image.name} is broken" if image.read_bytes() == b"broken" else None

    def pop(self) -> list[str]:
        names, self.names = sorted(self.names), []
        return names


@pytest.fixture
def images(tmp_path: Path) -> Callable[..., list[Path]]:
    """Writes image files with their names as their contents, and returns their paths."""

    def write(*names: str) -> list[Path]:
        for path in (paths := [tmp_path / "images" / name for name in names]):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(path.name.partition(".")[0].encode())
        return paths

    return write


def test_an_image_is_checked_again_when_it_changes(images: Callable[..., list[Path]], tmp_path: Path) -> None:
    check = CountingCheck()
    paths = images("a.png", "broken.png", "sub/c.png")
    broken = {paths[1]: "broken.png is broken"}
    assert find_broken(paths, tmp_path / "checked", check) == broken
    assert check.pop() == ["a.png", "broken.png", "c.png"]
    assert find_broken(paths, tmp_path / "checked", check) == broken
    assert check.pop() == []
    assert find_broken([*paths, *images("d.png")], tmp_path / "checked", check) == broken  # one more
    assert check.pop() == ["d.png"]
    assert find_broken(paths[:1], tmp_path / "checked", check) == {}  # fewer
    paths[1].write_bytes(b"mended")
    os.utime(paths[0], (0, 0))
    assert find_broken(paths, tmp_path / "checked", check) == {}
    assert check.pop() == ["a.png", "broken.png"]


def test_a_record_more_checks_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    monkeypatch.setattr("eaglebench.data.llava.find_decode_error", lambda path, max_pixels: names.append(path.name))
    record = {"id": "a", "image": "a.png", "conversations": turns("<image>", "x")}
    read_samples(write_records(tmp_path, [record]), checked=tmp_path / "checked")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    path = tmp_path / "more.json"
    path.write_text(json.dumps([record, record | {"image": "b.png"}]))
    read_samples(path, checked=tmp_path / "checked")
    assert names == ["a.png", "b.png"]


def test_an_image_that_is_gone_is_for_the_check_to_say(tmp_path: Path) -> None:
    assert find_broken([tmp_path / "a.png"], tmp_path / "checked", lambda image: "it is gone") == {
        tmp_path / "a.png": "it is gone"
    }


def test_an_interrupted_check_goes_on_where_it_stopped(
    images: Callable[..., list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_checks, "BATCH", 2)
    paths = images("a.png", "b.png", "c.png", "d.png")
    check = CountingCheck()

    def interrupted(image: Path) -> str | None:
        if image.name == "d.png":
            raise KeyboardInterrupt
        return check(image)

    with pytest.raises(KeyboardInterrupt):
        find_broken(paths, tmp_path / "checked", interrupted)
    check.pop()
    assert find_broken(paths, tmp_path / "checked", check) == {}
    assert check.pop() == ["c.png", "d.png"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"images": []}', '{"images": {"a.png": 3}}', '{"images": {"a.png": [1, 2]}}', "\0\xff"]
)
def test_damaged_results_are_found_again(images: Callable[..., list[Path]], tmp_path: Path, content: str) -> None:
    paths, check = images("a.png"), CountingCheck()
    find_broken(paths, tmp_path / "checked", check)
    (results,) = (tmp_path / "checked").glob("*.json")
    results.write_text(content)
    for _ in range(2):
        assert find_broken(paths, tmp_path / "checked", check) == {}
    assert check.pop() == ["a.png", "a.png"]  # once before, and once after


def test_what_two_processes_find_at_once_is_all_kept(tmp_path: Path) -> None:
    first, second = (FolderResults(tmp_path, tmp_path / "checked") for _ in range(2))
    first.remember({"a.png": ((1, 2), "")})
    second.remember({"b.png": ((3, 4), "it is broken")})
    third = FolderResults(tmp_path, tmp_path / "checked")
    assert third.find("a.png", (1, 2)) == ""
    assert third.find("b.png", (3, 4)) == "it is broken"
    assert third.find("b.png", (3, 5)) is None


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from eaglebench.data.image_checks import FolderResults\n"
        "for number in range(50):\n"
        "    FolderResults(Path('x'), Path(sys.argv[1])).remember({f'{sys.argv[2]}-{number}': ((1, 2), '')})\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in "ab"]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(FolderResults(Path("x"), tmp_path).read()) == 100


def test_a_cache_that_cannot_be_written_is_named(images: Callable[..., list[Path]], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"data\.cache_dir"):
        find_broken(images("a.png"), tmp_path / "file" / "checked", CountingCheck())
