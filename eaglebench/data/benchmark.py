"""The file format of benchmarks: JSONL, one question a line.

A line is `{"id", "image", "question", "answers", "choices", "category"}`:
- `image` is relative to the file, wherever that leads; null or missing for a question without an image.
- `answers` are all accepted answers, some of which may be empty; with `choices`, the letters A, B, ... of options. A
  whole number is its digits.
- `choices` are the texts of the options; they may be missing.
- `category` may be missing.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any

from eaglebench.data.file_problems import MISSING, find_file_problem
from eaglebench.data.image_folder import BadImageName, ImageFolder
from eaglebench.data.json_records import read_lines
from eaglebench.data.llava import find_broken_images
from eaglebench.data.llava_record import BadRecord, image_name, read_as_text
from eaglebench.data.open_image import MAX_PIXELS
from eaglebench.data.sample import Sample, Turn
from eaglebench.utils.errors import UserError
from eaglebench.utils.quoting import quote

FIELDS = {"id", "image", "question", "answers", "choices", "category"}


def read_benchmark(
    path: str | Path,
    name: str,
    suffix: str = "",
    open_suffix: str | None = None,
    *,
    limit: int | None = None,
    checked: Path | None = None,
    max_pixels: int = MAX_PIXELS,
) -> list[Sample]:
    """Read a benchmark file. Each question becomes a sample of one turn, whose family is the benchmark.

    Args:
        path: the file.
        name: name of the benchmark.
        suffix: text appended to every question, after its options.
        open_suffix: text appended instead to questions without options; None: `suffix`.
        limit: read at most this many questions.
        checked: folder that caches which images can be decoded; None: images are not checked.
        max_pixels: most pixels of an image.

    Raises:
        UserError: the file is missing or empty, or a line cannot be used; the message names the line. No line is
            skipped, since a benchmark counts as a whole.
    """
    path = Path(path)
    if find_file_problem(path) == MISSING:
        raise UserError(f"the benchmark file {path} does not exist: task=convert makes one.")
    folder = ImageFolder(path.parent, bounded=False)
    open_suffix = suffix if open_suffix is None else open_suffix
    samples: list[Sample] = []
    places: dict[str, str] = {}  # by id
    for entry in islice(read_lines(path), limit):
        try:
            if entry.error is not None:
                raise BadRecord(entry.error)
            sample = parse_question(entry.value, name, folder, suffix, open_suffix)
            if sample.id in places:
                raise BadRecord(f"its id {quote(sample.id)} is that of {places[sample.id]} too")
        except (BadRecord, BadImageName) as reason:
            raise UserError(f"{path} {entry.place}: {reason}; correct that line.") from None
        places[sample.id] = entry.place
        samples.append(sample)
    if not samples:
        raise UserError(f"{path} has no question: it must hold one a line.")
    broken = find_broken_images(samples, checked, max_pixels) if checked is not None else {}
    for sample in samples:
        if sample.image in broken:
            raise UserError(f"{path} {places[sample.id]}: {broken[sample.image]}; replace the image.")
    return samples


def parse_question(record: Any, name: str, folder: ImageFolder, suffix: str, open_suffix: str) -> Sample:
    """Parse the record of one line.

    Args:
        record: the record.
        name: name of the benchmark.
        folder: folder that image names are relative to.
        suffix, open_suffix: text appended to a question with options, and without.

    Raises:
        BadRecord: the line cannot be used.
        BadImageName: its image cannot be used.
    """
    if not isinstance(record, dict):
        raise BadRecord("it is not an object")
    if unknown := sorted(set(record) - FIELDS):
        raise BadRecord(f"it has the unknown field {quote(unknown[0])} (known: {', '.join(sorted(FIELDS))})")
    if not isinstance(record.get("id"), (str, int)) or isinstance(record["id"], bool):
        raise BadRecord("its id is missing, or not a string")
    if not isinstance(record.get("question"), str) or not record["question"].strip():
        raise BadRecord("its question is missing, empty or not a string")
    answers, choices = read_strings(record, "answers"), read_strings(record, "choices")
    if not any(answers):
        raise BadRecord("it has no answer")
    if len(choices) > len(LETTERS):
        raise BadRecord(f"it has {len(choices)} choices, and there are {len(LETTERS)} letters")
    if not all(choices):
        raise BadRecord("one of its choices is empty")
    if record.get("category") is not None and not isinstance(record["category"], str):
        raise BadRecord("its category is not a string")
    image = image_name(record)
    meta = {"category": record.get("category"), "image": image}
    if choices:
        meta["choices"] = choices
        answers = add_option_texts(answers, choices)
    question = "\n".join([record["question"].strip(), *format_options(choices)])
    question += suffix if choices else open_suffix
    turn = Turn(question, next(filter(None, answers)), name, tuple(answers), meta)
    return Sample(str(record["id"]), None if image is None else folder.find(image).resolve(), (turn,))


def read_strings(record: dict[str, Any], key: str) -> list[str]:
    """The texts of a list field, without surrounding whitespace; empty if the field is missing.

    Raises:
        BadRecord: the field is not a list of texts and whole numbers.
    """
    value = record.get(key)
    if value is None:
        return []
    texts = [read_as_text(one) for one in value] if isinstance(value, list) else [None]
    found = [text.strip() for text in texts if text is not None]
    if len(found) < len(texts):
        raise BadRecord(f"its {key} are not a list of strings")
    return found


def add_option_texts(answers: list[str], choices: list[str]) -> list[str]:
    """The letters of the right options, followed by their texts.

    A text that is itself a letter, such as a label in a diagram, is left out: it would match the option of that letter.

    Raises:
        BadRecord: an answer is not the letter of an option.
    """
    letters = LETTERS[: len(choices)]
    for answer in answers:
        if len(answer) != 1 or answer not in letters:
            raise BadRecord(f"its answer {quote(answer)} is none of the letters {', '.join(letters)} of its choices")
    right = [choices[letters.index(answer)] for answer in answers]
    return answers + [text for text in right if text.upper() not in list(letters)]


def format_options(choices: Iterable[str]) -> list[str]:
    """One line per option, such as "A. a cat"."""
    return [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
