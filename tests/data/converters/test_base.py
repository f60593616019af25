"""Finding the files of a source, and writing benchmark files."""

import json
from pathlib import Path

import pytest

from eaglebench.data.converters.base import LazyImage, Record, Source, write_records
from eaglebench.utils.errors import UserError


def test_a_source_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unpack the benchmark"):
        Source(tmp_path / "no")


def test_a_file_is_found_wherever_it_lies_and_must_be_the_only_one(tmp_path: Path) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/val_1.json").write_text("[1]")
    assert Source(tmp_path).json("val_*.json") == [1]
    with pytest.raises(UserError, match=r"has no file test\.json"):
        Source(tmp_path).file("test.json")
    (tmp_path / "val_2.json").write_text("[")
    with pytest.raises(UserError, match="has 2 files"):
        Source(tmp_path).file("val_*.json")
    with pytest.raises(UserError, match=r"val_2\.json is not valid JSON"):
        Source(tmp_path).json("val_2.json")


def test_an_image_is_found_by_its_name_or_by_as_much_of_its_path_as_it_takes(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    source = Source(tmp_path)
    assert source.image("2.png") == source.image("other/2.png") == tmp_path / "b/2.png"
    assert source.image("a/1.png") == tmp_path / "a/1.png"
    with pytest.raises(UserError, match=r"has 2 images '1\.png'"):
        source.image("1.png")
    with pytest.raises(UserError, match=r"has no images '3\.png'"):
        source.image("3.png")


def test_images_are_named_relative_to_the_file_and_pictures_are_written_beside_it(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    picture = LazyImage("2.png", lambda: b"content")
    records = [
        Record("1", tmp_path / "1.png", "q", ["a"]),
        Record("2", picture, "q", ["B"], "x", ["p", "q"]),
        Record("3", None, "q", ["a"]),
    ]
    assert write_records(records, tmp_path / "out/bench.jsonl") == 3
    assert [json.loads(line) for line in (tmp_path / "out/bench.jsonl").read_text().splitlines()] == [
        {"id": "1", "image": "../1.png", "question": "q", "answers": ["a"]},
        {"id": "2", "image": "bench/2.png", "question": "q", "answers": ["B"], "choices": ["p", "q"], "category": "x"},
        {"id": "3", "question": "q", "answers": ["a"]},
    ]
    assert (tmp_path / "out/bench/2.png").read_bytes() == b"content"
