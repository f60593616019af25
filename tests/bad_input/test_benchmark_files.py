"""Odd and bad benchmark files, and releases that a converter cannot trust: what each is read as, or what refuses it."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from PIL import Image
from pyarrow import Table, parquet

from eaglebench.config.compose import Command
from eaglebench.config.schema_tasks import ConvertConfig
from eaglebench.data.benchmark import read_benchmark
from eaglebench.data.converters.base import LazyImage, Record, Source, name_file, write_records
from eaglebench.tasks.convert import convert
from eaglebench.utils.errors import UserError
from tests.helpers.releases import ReleaseFolder, encode_png

SOUND = {"id": "x", "question": "q", "answers": ["a"]}
LINE = json.dumps(SOUND)
LATER = json.dumps(SOUND | {"id": "later"})
DEEP = "[" * 100_000


@pytest.fixture
def release(tmp_path: Path) -> ReleaseFolder:
    """The release of a benchmark, empty at first."""
    return ReleaseFolder(tmp_path)


def written(folder: Path, content: str | bytes) -> Path:
    """A benchmark file with this content, beside an image a.png."""
    Image.new("RGB", (2, 2)).save(folder / "a.png")
    path = folder / "mine.jsonl"
    path.write_bytes(content.encode(errors="surrogateescape") if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        f"\n{LINE}\n \n{LATER}",
        f"{LINE}\r\n{LATER}\r\n",
        f"{LINE}\r{LATER}\r",
        b"\xef\xbb\xbf" + f"{LINE}\n{LATER}\n".encode(),
        f"{LINE}\n{LATER}\n".encode("utf-16"),
    ],
)
def test_files_that_are_read_alike(tmp_path: Path, content: str | bytes) -> None:
    assert [sample.id for sample in read_benchmark(written(tmp_path, content), "mine")] == ["x", "later"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (LINE[:14], "it is not JSON (Unterminated string starting at column"),
        (f"{LINE} {LINE}", "it is not JSON (Extra data at column"),
        (LINE.replace('"q"', "NaN"), "it has NaN, which is no JSON value"),
        (LINE.replace('"a"', "1" * 10_000), "it has a number of 10,000 digits"),
        (LINE.replace('"q"', r'"\ud83d"'), "it has half a surrogate pair in a text"),
        (LINE.replace('"q"', r'"\u0000"'), r"it has the character NUL (\u0000) in a text"),
        (LINE.replace('"q"', '"caf\udce9"'), "it is not UTF-8 (byte 0xe9): save the file as UTF-8"),
        (LINE.replace('"question"', '"id"'), "it has the key 'id' twice"),
        (f'{{"id": {DEEP}', "it is nested too deeply"),
        (SOUND | {"a\nb": 1}, r"it has the unknown field 'a\nb' (known: answers"),
        (SOUND | {"id": True}, "its id is missing, or not a string"),
        (SOUND | {"answers": "a"}, "its answers are not a list of strings"),
        (SOUND | {"answers": [1.5]}, "its answers are not a list of strings"),
        (SOUND | {"choices": "ab"}, "its choices are not a list of strings"),
        (SOUND | {"choices": 0}, "its choices are not a list of strings"),
        (SOUND | {"answers": ["A"], "choices": ["c"] * 27}, "it has 27 choices, and there are 26 letters"),
        (SOUND | {"answers": ["b" * 5_000], "choices": ["c"]}, "is none of the letters A of its choices"),
        (SOUND | {"image": ["a.png", "a.png"]}, "it has 2 images: a record may have one"),
        (SOUND | {"image": {"path": "a.png"}}, "it has an object as its image: a file name is due"),
        (SOUND | {"image": "b.png"}, "its image 'b.png' does not exist in"),
        (SOUND | {"image": "b" * 5_000}, "cannot be read (File name too long)"),
        (SOUND | {"image": "."}, "its image '.' is a folder"),
        (SOUND | {"id": "first"}, "its id 'first' is that of line 2 too"),
    ],
)
def test_a_bad_line_is_named_by_its_own_number(tmp_path: Path, line: Any, reason: str) -> None:
    first, bad = json.dumps(SOUND | {"id": "first"}), line if isinstance(line, str) else json.dumps(line)
    with pytest.raises(UserError) as caught:
        read_benchmark(written(tmp_path, f"\n{first}\r\n\r\n{bad}\n"), "mine")
    message = str(caught.value)
    assert "mine.jsonl line 4: it" in message
    assert reason in message
    assert "\n" not in message
    assert len(message.replace(str(tmp_path), "")) < 300


def test_a_json_list_is_no_benchmark_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"begins with \[, as a JSON list does: it must have one record a line"):
        read_benchmark(written(tmp_path, f"[{LINE}]"), "mine")


@pytest.mark.parametrize(
    ("changes", "image", "answer"),
    [
        ({"image": "a.png"}, "a.png", "a"),
        ({"image": ["a.png"]}, "a.png", "a"),
        ({"image": ""}, None, "a"),
        ({"image": []}, None, "a"),
        ({"answers": [2]}, None, "2"),
    ],
)
def test_lines_that_are_read(tmp_path: Path, changes: dict[str, Any], image: str | None, answer: str) -> None:
    (sample,) = read_benchmark(written(tmp_path, json.dumps(SOUND | changes)), "mine")
    assert sample.image == (None if image is None else tmp_path.resolve() / image)
    assert sample.turns[0].answer == answer


NAMES = {
    "validation_Art_1.png": "validation_Art_1.png",
    "241.jpg": "241.jpg",
    "../../out.png": "_out-",
    "/etc/cron.d/x.png": "_etc_cron_d_x-",
    "..png": "_-",
    ".hidden.png": "_hidden-",
    "a/b.png": "a_b-",
    "a b.png": "a_b-",
    "a\0b.png": "a_b-",
    "\ud83d.png": "_-",
    "": "-",
    "..": "_-",
    "a" * 5_000: "a" * 40 + "-",
    "a." + "b/" * 500: "a_b",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_file_is_a_plain_one(name: str) -> None:
    made = name_file(name)
    assert made.startswith(NAMES[name])
    assert made.isascii() and made.isprintable() and not made.startswith(".") and "/" not in made
    assert len(made) <= 100


def test_names_that_are_made_plain_stay_different() -> None:
    assert len({name_file(name) for name in ("a/b.png", "a b.png", "a_b.png", "a//b.png", "A/b.png")}) == 5


def parquet_row(identity: str) -> dict[str, Any]:
    """A row of MMMU with this id and one image."""
    images = dict.fromkeys(f"image_{place}" for place in range(2, 8))
    image = {"bytes": encode_png(), "path": None}
    return {"id": identity, "question": "q", "options": "[]", "answer": "a", "image_1": image, **images}


def write_mmmu(release: ReleaseFolder, identity: str) -> None:
    release.folder.mkdir()
    parquet.write_table(Table.from_pylist([parquet_row(identity)]), release.folder / "validation-0.parquet")


def write_mmbench(release: ReleaseFolder, identity: str) -> None:
    image = base64.b64encode(encode_png()).decode()
    columns = ("index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image")
    row = (identity, "q", "", "a", "b", "", "", "A", "c", image)
    release.write("mmbench_dev_en.tsv", "\ufeff" + "\t".join(columns) + "\n" + "\t".join(row) + "\n")


@pytest.mark.parametrize("identity", ["../../../validation_outside_1", "/tmp/validation_outside_1", "v" * 5_000])
@pytest.mark.parametrize(("name", "write"), [("mmmu", write_mmmu), ("mmbench", write_mmbench)])
def test_converters_write_beside_their_file_alone(
    release: ReleaseFolder, name: str, write: Callable[[ReleaseFolder, str], None], identity: str
) -> None:
    write(release, identity)
    (sample,) = release.convert(name)
    assert sample.image is not None
    assert sample.image.parent == (release.to.parent / release.to.stem).resolve()
    assert {path.name for path in release.folder.parent.iterdir()} == {"source", "out"}


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    for target in ("there.png", "nowhere.png"):
        (tmp_path / "bench/a.png").unlink(missing_ok=True)
        (tmp_path / "bench/a.png").symlink_to(tmp_path / target)
        with pytest.raises(UserError, match="is a link that leads elsewhere"):
            write_records([Record("1", LazyImage("a.png", lambda: b"x"), "q", ["a"])], tmp_path / "bench.jsonl")
        assert not (tmp_path / target).exists()


def test_a_source_is_read_through_no_link_that_leads_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "secret.png").write_bytes(encode_png())
    (source / "1.png").symlink_to(tmp_path / "secret.png")
    (source / "2.png").write_bytes(encode_png())
    (source / "3.png").symlink_to(source / "2.png")
    (tmp_path / "link").symlink_to(source)
    for folder in (source, tmp_path / "link"):
        assert Source(folder).image("3.png") == folder / "3.png"
        with pytest.raises(UserError, match=r"1\.png is a link that leads outside .*: put the file itself there"):
            Source(folder).image("1.png")
        with pytest.raises(UserError, match="leads outside"):
            Source(folder).files("*.png")
    with pytest.raises(UserError, match=r"has no images '\.\./secret\.png'"):
        Source(source).image("../secret.png")


@pytest.mark.parametrize(
    ("benchmark", "name", "content", "reason"),
    [
        ("gqa", "testdev_balanced_questions.json", "[]", "AttributeError"),
        ("gqa", "testdev_balanced_questions.json", "null", "AttributeError"),
        ("gqa", "testdev_balanced_questions.json", '{"1": {}}', "KeyError: 'imageId'"),
        ("gqa", "testdev_balanced_questions.json", '{"1": {}, "1": {}}', "it has the key '1' twice"),
        ("gqa", "testdev_balanced_questions.json", DEEP, "it is nested too deeply"),
        ("gqa", "testdev_balanced_questions.json", '{"1": NaN}', "it has NaN, which is no JSON value"),
        ("gqa", "testdev_balanced_questions.json", "caf\udce9", "is not text in utf-8"),
        ("realworldqa", "annotations.jsonl", "\n{}\n", "KeyError: 'image'"),
        ("realworldqa", "annotations.jsonl", f"\n\n{DEEP[:3]}x\n", "begins with [, as a JSON list does"),
        ("realworldqa", "annotations.jsonl", '\n\n{"image": NaN}\n', "annotations.jsonl line 3: it has NaN"),
        ("realworldqa", "annotations.jsonl", '\n\n{"image"\n', "annotations.jsonl line 3: it is not JSON"),
        ("mmvp", "Questions.csv", "Index,Question\n1,q,too many\n", "line 2: it has other columns than the first line"),
        ("mmvp", "Questions.csv", "Index,Question\n1\n", "line 2: it has other columns than the first line"),
        ("mmvp", "Questions.csv", "Index,Question\none,q\n", "ValueError: invalid literal for int()"),
        ("mmvp", "Questions.csv", "Index,Question\n1,caf\udce9\n", "is not text in utf-8"),
        ("mmbench", "x_dev_en.tsv", "index\tquestion\n1\tq\n", "KeyError: 'image'"),
        ("mmmu", "validation-1.parquet", "no parquet", "ArrowInvalid"),
        ("mme", "count/7.txt", "one\u2028line\n", "must hold two lines of question, tab and answer"),
    ],
)
def test_a_release_that_is_not_what_its_makers_publish(
    release: ReleaseFolder, benchmark: str, name: str, content: str, reason: str
) -> None:
    release.write(name, content.encode(errors="surrogateescape"))
    release.images("count/7.jpg")
    settings = ConvertConfig(benchmark=benchmark, source=str(release.folder), to=str(release.to))
    with pytest.raises(UserError) as caught:
        convert(cast(Command, SimpleNamespace(config=SimpleNamespace(convert=settings))))
    assert reason in str(caught.value)
    assert not release.to.exists()
