"""Odd and bad files of training and evaluation data: what each is read as, or the sentence that refuses it."""

import json
from pathlib import Path

import pytest

from eaglebench.data.llava import read_samples
from eaglebench.utils.errors import UserError
from tests.helpers.record_files import RECORD, make_image_folder, read, refuse

LINE = json.dumps(RECORD)
LATER = json.dumps(RECORD | {"id": "later"})
DEEP = "[" * 100_000
DIGITS = "1" * 10_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_image_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.json", f"[{LINE}, {LATER}]"),
        ("d.json", b"\xef\xbb\xbf" + f"[{LINE}, {LATER}]".encode()),  # a byte-order mark
        ("d.json", f"[{LINE}, {LATER}]".encode("utf-16")),
        ("d.json", f"[\r\n{LINE},\r\n{LATER}\r\n]\r\n"),
        ("d.JSON", f"[{LINE}, {LATER}]"),
        ("d.jsonl", f"{LINE}\n{LATER}\n"),
        ("d.jsonl", f"{LINE}\r\n{LATER}\r\n"),
        ("d.jsonl", f"{LINE}\r{LATER}\r"),
        ("d.jsonl", f"\n{LINE}\n\n  \n{LATER}"),  # empty lines, and no end of the last line
        ("d.jsonl", b"\xef\xbb\xbf" + f"{LINE}\n{LATER}".encode()),
        ("d.jsonl", f"{LINE}\n{LATER}\n".encode("utf-16")),
        ("d.jsonl", f"{LINE}\n{LATER}\n".encode("utf-32")),
        ("d.JSONL", f"{LINE}\n{LATER}\n"),
        ("d.ndjson", f"{LINE}\n{LATER}\n"),
    ],
)
def test_files_that_are_read_alike(folder: Path, name: str, content: str | bytes) -> None:
    assert [sample.id for sample in read(folder, name, content)] == ["x", "later"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.json", "", "must hold a list of records"),
        ("d.json", LINE, "must hold a list of records"),
        ("d.json", f'{{"data": [{LINE}]}}', "must hold a list of records"),
        ("d.json", f"[{LINE}", "the file ends after record 1, without ] (line 1"),
        ("d.json", f"[{LINE},\n{LINE[:50]}", "(line 2, column 50, in record 2)"),
        ("d.json", f"[\n{LINE}\n{LINE}\n]", "a comma is due after record 1 (line 3, column 1)"),
        ("d.json", f"[{LINE},]", "there is a comma after the last record, 1"),
        ("d.json", f"[{LINE}] [", "there is more text after the list"),
        ("d.json", f"[{LINE},\n{{'id': 1}}]", "(line 2, column 2, in record 2)"),
        ("d.json", f"[{LINE},\n{DEEP}", "record 2 cannot be read: it is nested too deeply (line 2"),
        ("d.json", b'[\n"caf\xe9"]', "it is not UTF-8 (byte 0xe9): save the file as UTF-8 (line 2, column 5)"),
        ("d.json", LINE.encode("utf-16-le"), "neither UTF-8 nor marked as UTF-16 by a byte-order mark"),
        ("d.json", f"[{LINE}]".encode("utf-16")[:-1], "is not text in utf-16"),
        ("d.json", b"\x1f\x8b\x08\x00rest of an archive", "neither UTF-8 nor marked"),
        ("d.jsonl", f"[{LINE},\n{LINE}]", "begins with [, as a JSON list does"),
        ("d.jsonl", "", "has no usable record"),
        ("d.jsonl", "\n \n", "has no usable record"),
    ],
)
def test_files_that_are_refused(folder: Path, name: str, content: str | bytes, message: str) -> None:
    assert message in refuse(folder, name, content)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{'id': 'x'}", "it is not JSON (Expecting property name enclosed in double quotes at column 2)"),
        (LINE[:40], "it is not JSON (Unterminated string starting at column 31)"),
        (f"{LINE} {LINE}", "it is not JSON (Extra data at column"),
        ("null", "it is not an object"),
        ('"text"', "it is not an object"),
        (LINE.replace('"x"', "NaN"), "it has NaN, which is no JSON value"),
        (LINE.replace('"two"', "-Infinity"), "it has -Infinity, which is no JSON value"),
        (LINE.replace('"two"', "1e999"), "it has the number 1e999, which is too large"),
        (LINE.replace('"x"', DIGITS), "it has a number of 10,000 digits"),
        (LINE.replace('"two"', f"0.{DIGITS}"), "it has a number of 10,002 digits"),
        (LINE.replace("two", r"\ud83d"), "it has half a surrogate pair in a text"),
        (LINE.replace('"id"', r'"\udc00"'), "it has half a surrogate pair in a text"),
        (LINE.replace("two", r"\u0000"), r"it has the character NUL (\u0000) in a text"),
        (LINE.replace("a.png", r"a\u0000.png"), r"it has the character NUL (\u0000) in a text"),
        (LINE.replace("two", "\0"), "it is not JSON (Invalid control character at column"),
        (LINE.replace('"id"', '"image"'), "it has the key 'image' twice"),
        (f'{{"id": {DEEP}', "it is nested too deeply"),
        (LINE.replace("two", "\udce9"), "it is not UTF-8 (byte 0xe9): save the file as UTF-8"),
    ],
)
def test_a_bad_line_is_named_by_its_own_number_and_may_be_skipped(folder: Path, line: str, reason: str) -> None:
    content = f"{LINE}\n\n{LINE}\r\n{line}\n{LATER}\n".encode(errors="surrogateescape")
    assert f"d.jsonl: 1 of 4 records cannot be used (line 4: {reason}" in refuse(folder, "d.jsonl", content)
    warnings: list[str] = []
    samples = read(folder, "d.jsonl", content, max_bad=1, warn=warnings.append)
    assert [sample.id for sample in samples] == ["x", "x", "later"]
    assert f"line 4: {reason}" in warnings[0]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("NaN", "it has NaN, which is no JSON value"),
        (DIGITS, "it has a number of 10,000 digits"),
        (r'"\ud83d"', "it has half a surrogate pair in a text"),
        (r'"\u0000"', r"it has the character NUL (\u0000) in a text"),
        ('{"a": 1, "a": 2}', "it has the key 'a' twice"),
    ],
)
def test_a_bad_record_of_a_list_is_named_by_its_position(folder: Path, value: str, reason: str) -> None:
    content = f'[{LINE}, {{"id": {value}}}, {LATER}]'
    assert f"d.json: 1 of 3 records cannot be used (record 2: {reason}" in refuse(folder, "d.json", content)
    assert len(read(folder, "d.json", content, max_bad=1, warn=lambda text: None)) == 2


@pytest.mark.parametrize("text", [r"\ud83d\ude42", "🙂", "\u2028", "\x85", r"\\u0000", r"\\ud83d"])
def test_text_that_only_looks_bad_is_read(folder: Path, text: str) -> None:
    (sample,) = read(folder, "d.jsonl", LINE.replace("two", f"a{text}b"))
    assert sample.turns[0].answer == json.loads(f'"a{text}b"')


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 39])
def test_a_list_is_read_alike_however_its_chunks_fall(folder: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("eaglebench.data.json_records.CHUNK", size)
    records = [RECORD | {"id": text, "extra": [1.5, True, None, -12]} for text in ("\n", '"\\', "ü🙂", "")]
    for content in (json.dumps(records), json.dumps(records, indent=1), json.dumps(records, ensure_ascii=False)):
        assert [sample.id for sample in read(folder, "d.json", content)] == ["\n", '"\\', "ü🙂", ""]
    assert "(line 3, column 3, in record 2)" in refuse(folder, "d.json", f"[{LINE},\n{LATER[:-1]},\n  :}}]")


@pytest.mark.parametrize("name", ["", "none.json", "a" * 300, "a.png/d.json"])
def test_a_path_that_is_no_file(folder: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"is a folder\.|does not exist\.|cannot be read \(File name too long\)\."):
        read_samples(folder / name)
