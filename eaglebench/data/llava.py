"""LLaVA's JSON and JSONL: the format of all training and evaluation data.

A record is
`{"id", "image", "conversations": [{"from": "human", "value": "<image>\\n..."}, {"from": "gpt", "value": "..."}]}`.
A text-only record has no `image`. A `gpt` turn may have `"family"`, the name of the group that its answer is scored in.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from eaglebench.data.image_errors import UNREADABLE
from eaglebench.data.sample import Sample, Turn
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_text

IMAGE_TAG = "<image>"
ROLES = {"human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt"}
NAMED = 5  # bad records that an error lists


class BadRecord(Exception):
    """The reason why a record cannot be used."""


def read_samples(
    path: str | Path,
    image_root: str | Path | None = None,
    *,
    max_bad: int = 0,
    limit: int | None = None,
    checked: Path | None = None,
    warn: Callable[[str], None] = print,
) -> list[Sample]:
    """Read the usable samples of a LLaVA file, in its order.

    Args:
        path: a `.json` file with a list, or a `.jsonl` file with one record a line.
        image_root: folder that image names are relative to; None: the file's own folder.
        max_bad: number of unusable records that may be skipped; a warning lists them.
        limit: read at most this many records.
        checked: folder that caches which images can be decoded, so that each data set is checked once. None: images are
            not checked.
        warn: called with a message about skipped records.

    Raises:
        UserError: the file is missing or unreadable, has no usable record, or more than `max_bad` unusable ones.
    """
    path = Path(path)
    records = read_records(path)[:limit]
    root = Path(image_root) if image_root is not None else path.parent
    if not root.is_dir():
        raise UserError(f"image_root {root} is not a folder: set data.image_root to the folder that holds the images.")
    samples, bad = [], []
    for position, record in enumerate(records):
        try:
            samples.append(parse_record(record, position, root.resolve()))
        except BadRecord as reason:
            bad.append((record_id(record, position), str(reason)))
    if checked is not None:
        broken = find_broken_images(samples, checked)
        bad += [(sample.id, broken[sample.image]) for sample in samples if sample.image in broken]
        samples = [sample for sample in samples if sample.image not in broken]
    if bad:
        named = "; ".join(f"{identity}: {reason}" for identity, reason in bad[:NAMED])
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        summary = f"{path.name}: {len(bad)} of {len(records)} records cannot be used ({named}{more})"
        if len(bad) > max_bad:
            raise UserError(f"{summary}; correct them, or skip up to that many with data.max_bad={len(bad)}.")
        warn(f"{summary}; skipped, as data.max_bad={max_bad} allows.")
    if not samples:
        raise UserError(f"{path} has no usable record.")
    return samples


def read_records(path: Path) -> list[Any]:
    """Read the raw records of a `.json` or `.jsonl` file.

    Raises:
        UserError: the file is missing, or not a list of records in valid JSON.
    """
    if not path.is_file():
        raise UserError(f"the data file {path} does not exist.")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            # Not splitlines(): JSON strings may contain the other line separators that it splits at.
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        records = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(records, list):
        raise UserError(f"{path} must hold a list of records (or be a .jsonl file with one a line).")
    return records


def record_id(record: Any, position: int) -> str:
    """The record's own id, or its position in the file, such as "record 3"."""
    return str(record["id"]) if isinstance(record, dict) and "id" in record else f"record {position + 1}"


def parse_record(record: Any, position: int, root: Path) -> Sample:
    """Parse one record.

    Args:
        record: the record.
        position: its index in the file.
        root: folder that image names are relative to.

    Raises:
        BadRecord: the record cannot be used.
    """
    if not isinstance(record, dict):
        raise BadRecord("it is not an object")
    conversation = record.get("conversations")
    if not isinstance(conversation, list) or not conversation:
        raise BadRecord("it has no conversations")
    if len(conversation) % 2:
        raise BadRecord("its last question has no answer")
    turns = []
    for index in range(0, len(conversation), 2):
        question = turn_value(conversation[index], "human", index)
        answer = turn_value(conversation[index + 1], "gpt", index + 1)
        if not answer.strip():
            raise BadRecord(f"turn {index + 2} has an empty answer")
        family = conversation[index + 1].get("family")
        if family is not None and not isinstance(family, str):
            raise BadRecord(f"turn {index + 2} has a family that is not a string")
        turns.append(Turn(question, answer.strip(), family))
    return Sample(record_id(record, position), image_path(record, turns, root), strip_tags(turns))


def turn_value(turn: Any, expected: str, index: int) -> str:
    """The text of the turn at `index`, whose role must be `expected`.

    Raises:
        BadRecord: the turn has another role, or no text.
    """
    if not isinstance(turn, dict):
        raise BadRecord(f"turn {index + 1} is not an object")
    role = ROLES.get(str(turn.get("from")))
    if role is None:
        raise BadRecord(f"turn {index + 1} has the unknown role {turn.get('from')!r} (known: {', '.join(ROLES)})")
    if role != expected:
        raise BadRecord(f"turn {index + 1} is spoken by {role!r} where {expected!r} is due")
    value = turn.get("value")
    if not isinstance(value, str):
        raise BadRecord(f"turn {index + 1} has no 'value'")
    return value


def image_path(record: dict[str, Any], turns: list[Turn], root: Path) -> Path | None:
    """The file of a record's image; None if it has none.

    Raises:
        BadRecord: the image does not exist inside `root`, or `<image>` is not exactly once in the first question.
    """
    tags = [turn.question.count(IMAGE_TAG) for turn in turns]
    name = record.get("image")
    if name is None:
        if any(tags):
            raise BadRecord("it says <image> but names no image")
        return None
    if not isinstance(name, str):
        raise BadRecord("its image is not one file name")
    if tags[0] != 1 or sum(tags) != 1:
        raise BadRecord("its first question must say <image> exactly once, and no later one")
    path = Path(os.path.normpath(root / name))
    if not path.is_relative_to(root):
        raise BadRecord(f"its image {name} lies outside {root}")
    if not path.is_file():
        raise BadRecord(f"its image {path} does not exist")
    return path


def strip_tags(turns: list[Turn]) -> tuple[Turn, ...]:
    """Remove image tags from the turns: the chat template puts the image first, wherever the question had the tag."""
    return tuple(Turn(turn.question.replace(IMAGE_TAG, "").strip(), turn.answer, turn.family) for turn in turns)


def find_broken_images(samples: Iterable[Sample], checked: Path) -> dict[Path, str]:
    """Find the images of samples that cannot be decoded.

    Args:
        samples: the samples.
        checked: folder that caches results; they hold as long as the files keep their sizes and times.

    Returns:
        The reason for each broken image.
    """
    images = sorted({sample.image for sample in samples if sample.image is not None})
    state = hashlib.sha256()
    for image in images:
        stat = image.stat()
        state.update(f"{image}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    cached = checked / f"images-{state.hexdigest()[:16]}.json"
    if cached.is_file():
        return {Path(image): reason for image, reason in json.loads(cached.read_text()).items()}
    with ThreadPoolExecutor() as pool:
        found = zip(images, pool.map(find_decode_error, images), strict=True)
        broken = {image: reason for image, reason in found if reason is not None}
    write_text(cached, json.dumps({str(image): reason for image, reason in broken.items()}, indent=1))
    return broken


def find_decode_error(path: Path) -> str | None:
    """The reason why an image cannot be decoded to its last pixel; None if it can."""
    try:
        with Image.open(path) as image:
            image.convert("RGB")
    except UNREADABLE as error:
        return f"its image {path} is broken ({error})"
    return None


def hash_samples(samples: Iterable[Sample]) -> str:
    """Hash samples with the sizes and times of their images: everything that training on them depends on."""
    state = hashlib.sha256()
    for sample in samples:
        state.update(repr((sample.id, sample.turns)).encode())
        if sample.image is not None:
            stat = sample.image.stat()
            state.update(f"{sample.image.name}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
    return state.hexdigest()[:16]
