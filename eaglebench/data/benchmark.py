"""The file format of benchmarks: JSONL, one question a line.

A line is `{"id", "image", "question", "answers", "choices", "category"}`. `image` is relative to the file, and null or missing
for a question about none. `answers` are all that count, some of which may be empty. With `choices`, the texts of the options, they are
the letters A, B, ... `choices` and `category` may be missing.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eaglebench.data.llava import broken_images
from eaglebench.data.sample import Sample, Turn
from eaglebench.utils.errors import UserError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FIELDS = {"id", "image", "question", "answers", "choices", "category"}


class BadLine(Exception):
    """Why one line cannot be used."""


def read_benchmark(
    path: str | Path,
    name: str,
    suffix: str = "",
    open_suffix: str | None = None,
    *,
    limit: int | None = None,
    checked: Path | None = None,
) -> list[Sample]:
    """The questions of a benchmark file, each a sample of one turn of the family `name`.

    Args:
        suffix: stands after every question and its options.
        open_suffix: instead, after a question without options; None for the same.
        limit: read at most this many.
        checked: a folder that remembers which images were found to decode; None takes them as sound.

    Raises:
        UserError: the file is missing or empty, or a line cannot be used; names the line. None may be left out of a benchmark.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"the benchmark file {path} does not exist: task=convert makes one.")
    samples: list[Sample] = []
    lines: dict[str, int] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            if len(samples) == limit:
                break
            try:
                sample = parse_line(line, name, path.parent, suffix, suffix if open_suffix is None else open_suffix)
                if sample.id in lines:
                    raise BadLine(f"its id {sample.id} is that of line {lines[sample.id]} too")
            except BadLine as reason:
                raise UserError(f"{path} line {number}: {reason}; mend that line.") from None
            lines[sample.id] = number
            samples.append(sample)
    if not samples:
        raise UserError(f"{path} has no question: it must hold one a line.")
    broken = broken_images(samples, checked) if checked is not None else {}
    for sample in samples:
        if sample.image in broken:
            raise UserError(f"{path} line {lines[sample.id]}: {broken[sample.image]}; put a sound image there.")
    return samples


def parse_line(line: str, name: str, root: Path, suffix: str, open_suffix: str) -> Sample:
    """The sample of one line; BadLine says why there is none."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadLine(f"it is not JSON ({error})") from error
    if not isinstance(record, dict):
        raise BadLine("it is not an object")
    if unknown := sorted(set(record) - FIELDS):
        raise BadLine(f"it has the unknown field {unknown[0]} (known: {', '.join(sorted(FIELDS))})")
    if not isinstance(record.get("id"), (str, int)):
        raise BadLine("its id is missing, or no text")
    if not isinstance(record.get("question"), str) or not record["question"].strip():
        raise BadLine("its question is missing, empty or no text")
    answers, choices = texts(record, "answers"), texts(record, "choices")
    if not any(answers):
        raise BadLine("it has no answer")
    if not all(choices):
        raise BadLine("one of its choices is empty")
    if record.get("category") is not None and not isinstance(record["category"], str):
        raise BadLine("its category is no text")
    meta = {"category": record.get("category"), "image": record.get("image")}
    if choices:
        meta["choices"] = choices
        answers = with_texts(answers, choices)
    question = "\n".join([record["question"].strip(), *options(choices)]) + (suffix if choices else open_suffix)
    turn = Turn(question, next(filter(None, answers)), name, tuple(answers), meta)
    return Sample(str(record["id"]), image_of(record, root), (turn,))


def texts(record: dict[str, Any], key: str) -> list[str]:
    """A field that is a list of texts, or missing."""
    value = record.get(key) or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise BadLine(f"its {key} are no list of texts")
    return [text.strip() for text in value]


def with_texts(answers: list[str], choices: list[str]) -> list[str]:
    """The letters of the right options, and then their texts, those that are letters aside."""
    letters = LETTERS[: len(choices)]
    for answer in answers:
        if len(answer) != 1 or answer not in letters:
            raise BadLine(f"its answer {answer!r} is none of the letters {', '.join(letters)} of its choices")
    right = [choices[letters.index(answer)] for answer in answers]
    # An option whose text is a letter, as of a label in a diagram, would be taken for the option of that letter.
    return answers + [text for text in right if text.upper() not in list(letters)]


def options(choices: Iterable[str]) -> list[str]:
    """The options as lines, each after its letter."""
    return [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]


def image_of(record: dict[str, Any], root: Path) -> Path | None:
    """The image of a line, which must exist."""
    name = record.get("image")
    if name is None:
        return None
    if not isinstance(name, str):
        raise BadLine("its image is no file name")
    path = (root / name).resolve()
    if not path.is_file():
        raise BadLine(f"its image {path} does not exist")
    return path
