"""The file format of benchmarks: JSONL, one question a line.

A line is `{"id", "image", "question", "answers", "choices", "category"}`:
- `image` is relative to the file; null or missing for a question without an image.
- `answers` are all accepted answers, some of which may be empty; with `choices`, the letters A, B, ... of options.
- `choices` are the texts of the options; they may be missing.
- `category` may be missing.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eaglebench.data.llava import find_broken_images
from eaglebench.data.sample import Sample, Turn
from eaglebench.utils.errors import UserError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FIELDS = {"id", "image", "question", "answers", "choices", "category"}


class BadLine(Exception):
    """The reason why a line cannot be used."""


def read_benchmark(
    path: str | Path,
    name: str,
    suffix: str = "",
    open_suffix: str | None = None,
    *,
    limit: int | None = None,
    checked: Path | None = None,
) -> list[Sample]:
    """Read a benchmark file. Each question becomes a sample of one turn, whose family is the benchmark.

    Args:
        path: the file.
        name: name of the benchmark.
        suffix: text appended to every question, after its options.
        open_suffix: text appended instead to questions without options; None: `suffix`.
        limit: read at most this many questions.
        checked: folder that caches which images can be decoded; None: images are not checked.

    Raises:
        UserError: the file is missing or empty, or a line cannot be used; the message names the line. No line is
            skipped, since a benchmark counts as a whole.
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
                raise UserError(f"{path} line {number}: {reason}; correct that line.") from None
            lines[sample.id] = number
            samples.append(sample)
    if not samples:
        raise UserError(f"{path} has no question: it must hold one a line.")
    broken = find_broken_images(samples, checked) if checked is not None else {}
    for sample in samples:
        if sample.image in broken:
            raise UserError(f"{path} line {lines[sample.id]}: {broken[sample.image]}; replace the image.")
    return samples


def parse_line(line: str, name: str, root: Path, suffix: str, open_suffix: str) -> Sample:
    """Parse one line of a benchmark file.

    Args:
        line: the line.
        name: name of the benchmark.
        root: folder that image names are relative to.
        suffix, open_suffix: text appended to a question with options, and without.

    Raises:
        BadLine: the line cannot be used.
    """
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadLine(f"it is not JSON ({error})") from error
    if not isinstance(record, dict):
        raise BadLine("it is not an object")
    if unknown := sorted(set(record) - FIELDS):
        raise BadLine(f"it has the unknown field {unknown[0]} (known: {', '.join(sorted(FIELDS))})")
    if not isinstance(record.get("id"), (str, int)):
        raise BadLine("its id is missing, or not a string")
    if not isinstance(record.get("question"), str) or not record["question"].strip():
        raise BadLine("its question is missing, empty or not a string")
    answers, choices = read_strings(record, "answers"), read_strings(record, "choices")
    if not any(answers):
        raise BadLine("it has no answer")
    if not all(choices):
        raise BadLine("one of its choices is empty")
    if record.get("category") is not None and not isinstance(record["category"], str):
        raise BadLine("its category is not a string")
    meta = {"category": record.get("category"), "image": record.get("image")}
    if choices:
        meta["choices"] = choices
        answers = add_option_texts(answers, choices)
    question = "\n".join([record["question"].strip(), *format_options(choices)])
    question += suffix if choices else open_suffix
    turn = Turn(question, next(filter(None, answers)), name, tuple(answers), meta)
    return Sample(str(record["id"]), find_image(record, root), (turn,))


def read_strings(record: dict[str, Any], key: str) -> list[str]:
    """The strings of a list field, without surrounding whitespace; empty if the field is missing.

    Raises:
        BadLine: the field is not a list of strings.
    """
    value = record.get(key) or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise BadLine(f"its {key} are not a list of strings")
    return [text.strip() for text in value]


def add_option_texts(answers: list[str], choices: list[str]) -> list[str]:
    """The letters of the right options, followed by their texts.

    A text that is itself a letter, such as a label in a diagram, is left out: it would match the option of that letter.

    Raises:
        BadLine: an answer is not the letter of an option.
    """
    letters = LETTERS[: len(choices)]
    for answer in answers:
        if len(answer) != 1 or answer not in letters:
            raise BadLine(f"its answer {answer!r} is none of the letters {', '.join(letters)} of its choices")
    right = [choices[letters.index(answer)] for answer in answers]
    return answers + [text for text in right if text.upper() not in list(letters)]


def format_options(choices: Iterable[str]) -> list[str]:
    """One line per option, such as "A. a cat"."""
    return [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]


def find_image(record: dict[str, Any], root: Path) -> Path | None:
    """The file of a line's image; None if it has none.

    Raises:
        BadLine: the image does not exist.
    """
    name = record.get("image")
    if name is None:
        return None
    if not isinstance(name, str):
        raise BadLine("its image is not a file name")
    path = (root / name).resolve()
    if not path.is_file():
        raise BadLine(f"its image {path} does not exist")
    return path
