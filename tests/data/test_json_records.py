"""Reading JSON record by record: no more of a file than is asked for."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from eaglebench.data.json_records import CHUNK, Entry, read_json, read_records
from eaglebench.data.llava import read_samples
from eaglebench.utils.errors import UserError
from tests.conftest import turns

RECORDS = 200_000
LIMIT = 10
COUNTERS = Path("/proc/self/io")  # of this process, on Linux

needs_counters = pytest.mark.skipif(not COUNTERS.exists(), reason="the system does not count what is read")


def count_bytes_read() -> int:
    """Bytes that this process has read so far, from files and elsewhere."""
    return int(COUNTERS.read_text().split()[1])


@pytest.fixture(scope="module", params=["json", "pretty.json", "jsonl"])
def large_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Many records, in a file whose second half is damaged: who parses it will know."""
    path = tmp_path_factory.mktemp("large") / f"data.{request.param}"
    record = {"conversations": turns("how many are there", "seven")}
    line = json.dumps(record, indent=1 if request.param == "pretty.json" else None)
    half = [line] * (RECORDS // 2)
    if request.param == "jsonl":
        path.write_text("\n".join(half) + "\n{damaged\n" + "\n".join(half))
    else:
        path.write_text("[" + ",".join(half) + ",damaged," + ",".join(half) + "]")
    yield path
    path.unlink()


@needs_counters
def test_a_limit_reads_the_beginning_of_the_file_alone(large_file: Path) -> None:
    before = count_bytes_read()
    samples = read_samples(large_file, limit=LIMIT)
    read = count_bytes_read() - before
    assert len(samples) == LIMIT
    assert read < 2 * CHUNK < large_file.stat().st_size / 100


@needs_counters
def test_records_are_read_as_they_are_asked_for(large_file: Path) -> None:
    before = count_bytes_read()
    assert sum(entry.error is None for entry in islice(read_records(large_file), RECORDS // 4)) == RECORDS // 4
    assert large_file.stat().st_size / 5 < count_bytes_read() - before < large_file.stat().st_size / 3


def test_what_is_wrong_beyond_the_limit_is_not_seen(tmp_path: Path) -> None:
    line = json.dumps({"conversations": turns("how many", "seven")})
    (tmp_path / "a.json").write_text(f"[{line}, {line}, damaged]")
    (tmp_path / "a.jsonl").write_text(f"{line}\n{line}\ndamaged\n")
    for name, reason in (("a.json", "in record 3"), ("a.jsonl", "line 3: it is not JSON")):
        assert len(read_samples(tmp_path / name, limit=2)) == 2
        with pytest.raises(UserError, match=reason):
            read_samples(tmp_path / name)


def test_entries_name_their_places(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[1, "x", {"a": [null]}]')
    (tmp_path / "a.jsonl").write_text('1\n\n"x"\n{"a": [null]}')
    values = (1, "x", {"a": [None]})
    assert list(read_records(tmp_path / "a.json")) == [Entry(f"record {n}", v) for n, v in enumerate(values, 1)]
    assert list(read_records(tmp_path / "a.jsonl")) == [
        Entry(f"line {n}", v) for n, v in zip((1, 3, 4), values, strict=True)
    ]


@pytest.mark.parametrize("text", ["[]", " {} ", "3", "-1.5e3", '"x"', "null", '\n[1, {"a": "\\u00fc"}]\n'])
def test_a_whole_file_has_any_json_value(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert read_json(tmp_path / "a.json") == json.loads(text)
