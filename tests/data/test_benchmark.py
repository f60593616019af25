"""The file format of benchmarks."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eaglebench.data.benchmark import read_benchmark
from eaglebench.utils.errors import UserError


def written(folder: Path, *records: Any) -> Path:
    """A benchmark file with these lines, beside an image a.png."""
    Image.new("RGB", (2, 2)).save(folder / "a.png")
    path = folder / "mine.jsonl"
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))
    return path


def test_a_question_with_several_answers(tmp_path: Path) -> None:
    record = {"id": 7, "image": "a.png", "question": " What? ", "answers": ["cat", "a cat", ""], "category": "animals"}
    (sample,) = read_benchmark(written(tmp_path, record), "mine", "\nBe short.")
    (turn,) = sample.turns
    assert (sample.id, sample.image) == ("7", (tmp_path / "a.png").resolve())
    assert (turn.question, turn.answer, turn.family) == ("What?\nBe short.", "cat", "mine")
    assert turn.references == ("cat", "a cat", "")
    assert turn.meta == {"category": "animals", "image": "a.png"}


def test_options_stand_in_the_question_and_the_right_text_is_a_reference(tmp_path: Path) -> None:
    record = {"id": "x", "question": "Which?", "answers": ["B"], "choices": ["a cat", "a dog"]}
    (sample,) = read_benchmark(written(tmp_path, record), "mine", "\nGive the letter.", "\nBe short.")
    (turn,) = sample.turns
    assert sample.image is None
    assert turn.question == "Which?\nA. a cat\nB. a dog\nGive the letter."
    assert turn.references == ("B", "a dog")
    assert turn.meta["choices"] == ["a cat", "a dog"]


def test_an_option_whose_text_is_a_letter_is_known_by_its_own_letter_alone(tmp_path: Path) -> None:
    record = {"id": "x", "question": "Which label?", "answers": ["A"], "choices": ["C", "B", "A"]}
    (sample,) = read_benchmark(written(tmp_path, record), "mine")
    assert sample.turns[0].references == ("A",)


def test_questions_without_options_may_have_a_suffix_of_their_own(tmp_path: Path) -> None:
    path = written(tmp_path, {"id": "x", "question": "Which?", "answers": ["B"]})
    assert read_benchmark(path, "mine", "\nletter", "\nshort")[0].turns[0].question == "Which?\nshort"


def test_a_limit_and_empty_lines(tmp_path: Path) -> None:
    records = [{"id": number, "question": "q", "answers": ["a"]} for number in range(3)]
    path = written(tmp_path, records[0], "", records[1], records[2])
    assert [sample.id for sample in read_benchmark(path, "mine")] == ["0", "1", "2"]
    assert [sample.id for sample in read_benchmark(path, "mine", limit=2)] == ["0", "1"]


def test_separators_of_lines_within_a_text_are_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"id": 1, "question": "a\u2028b", "answers": ["ü"]}, ensure_ascii=False) + "\n")
    assert read_benchmark(path, "mine")[0].turns[0].question == "a\u2028b"


SOUND = {"id": "x", "question": "q", "answers": ["a"]}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "it is not JSON"),
        ("[]", "it is not an object"),
        (SOUND | {"answer": "a"}, "unknown field 'answer'"),
        ({"question": "q", "answers": ["a"]}, "its id is missing"),
        (SOUND | {"question": " "}, "its question is missing, empty"),
        (SOUND | {"answers": "a"}, "its answers are not a list"),
        (SOUND | {"answers": [1.5]}, "its answers are not a list"),
        (SOUND | {"answers": [""]}, "it has no answer"),
        (SOUND | {"choices": ["p", "q"]}, "'a' is none of the letters A, B"),
        (SOUND | {"answers": ["C"], "choices": ["p", "q"]}, "'C' is none of the letters A, B"),
        (SOUND | {"answers": ["A"], "choices": ["p", ""]}, "one of its choices is empty"),
        (SOUND | {"image": "b.png"}, r"b.png' does not exist"),
        (SOUND | {"image": 3}, "the number 3 as its image: a file name is due"),
        (SOUND | {"category": 3}, "its category is not a string"),
        (SOUND | {"id": "first"}, "its id 'first' is that of line 1 too"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: Any, reason: str) -> None:
    path = written(tmp_path, SOUND | {"id": "first"}, line)
    with pytest.raises(UserError, match=rf"mine.jsonl line 2: .*{reason}.*; correct that line\."):
        read_benchmark(path, "mine")


def test_a_file_that_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="task=convert makes one"):
        read_benchmark(tmp_path / "no.jsonl", "mine")
    with pytest.raises(UserError, match="has no question"):
        read_benchmark(written(tmp_path, ""), "mine")


def test_a_broken_image_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, SOUND, SOUND | {"id": "y", "image": "broken.png"})
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"mine.jsonl line 2: .*broken"):
        read_benchmark(path, "mine", checked=tmp_path / "checked")
