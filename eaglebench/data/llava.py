"""LLaVA's JSON and JSONL: the format of all training and evaluation data; `llava_record` describes a record."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from eaglebench.data.image_checks import find_broken
from eaglebench.data.image_folder import BadImageName, ImageFolder, MissingImage
from eaglebench.data.json_records import read_records
from eaglebench.data.llava_record import BadRecord, describe_record, parse_record
from eaglebench.data.open_image import MAX_PIXELS, open_image
from eaglebench.data.sample import Sample
from eaglebench.data.unreadable import UnreadableImage
from eaglebench.utils.errors import UserError
from eaglebench.utils.quoting import list_first

NAMED = 5  # bad records that an error lists

Question = tuple[str, str | None, int, str]  # id, family, turn, text


class BadEntry(NamedTuple):
    """A record that cannot be used: how messages name it, why, and whether its image is missing."""

    name: str
    reason: str
    missing: bool = False


def read_samples(
    path: str | Path,
    image_root: str | Path | None = None,
    *,
    max_bad: int = 0,
    limit: int | None = None,
    distinct: bool = False,
    checked: Path | None = None,
    max_pixels: int = MAX_PIXELS,
    warn: Callable[[str], None] = print,
    root_field: str = "data.image_root",
) -> list[Sample]:
    """Read the usable samples of a LLaVA file, in its order.

    Args:
        path: a `.jsonl` or `.ndjson` file with one record a line, or any other with a JSON list.
        image_root: folder that image names are relative to; None: the file's own folder.
        max_bad: number of unusable records that may be skipped; a warning lists them.
        limit: read at most this many records; the rest of the file is not read.
        distinct: a question that the file has twice, under one id, is a bad record; so it is in an evaluation.
        checked: folder that caches which images can be decoded (see `find_broken`). None: images are not checked.
        max_pixels: most pixels of an image.
        warn: called with a message about skipped records.
        root_field: the field of the configuration that gives `image_root`, for messages.

    Raises:
        UserError: the file is missing or unreadable, has no usable record, or more than `max_bad` unusable ones.
    """
    path = Path(path)
    root = Path(image_root) if image_root is not None else path.parent
    if image_root is not None and not root.is_dir():
        raise UserError(f"image_root {root} is not a folder: set {root_field} to the folder that holds the images.")
    folder = ImageFolder(root)
    samples: dict[str, Sample] = {}  # by the name of the record
    bad: list[BadEntry] = []
    count = 0
    asked: dict[Question, str] = {}
    for entry in islice(read_records(path), limit):
        name = describe_record(entry.value, entry.place)
        try:
            if entry.error is not None:
                raise BadRecord(entry.error)
            sample = parse_record(entry.value, count, folder)
            if distinct:
                check_distinct(sample, name, asked)
            samples[name] = sample
        except (BadRecord, BadImageName) as reason:
            bad.append(BadEntry(name, str(reason), isinstance(reason, MissingImage)))
        count += 1
    any_image = any(sample.image is not None for sample in samples.values())
    if checked is not None:
        broken = find_broken_images(samples.values(), checked, max_pixels)
        bad += [BadEntry(name, broken[one.image]) for name, one in samples.items() if one.image in broken]
        samples = {name: sample for name, sample in samples.items() if sample.image not in broken}
    if bad:
        summary = f"{path.name}: {len(bad)} of {count} records cannot be used ({name_reasons(bad)})"
        remedy = f"correct them, or skip up to that many with data.max_bad={len(bad)}"
        if any(entry.missing for entry in bad) and not any_image:  # then the folder is wrong, not the records
            remedy = f"no image that it names is in {folder.path}: set {root_field} to the folder that holds them"
        if len(bad) > max_bad:
            raise UserError(f"{summary}; {remedy}.")
        warn(f"{summary}; skipped, as data.max_bad={max_bad} allows.")
    if not samples:
        raise UserError(f"{path} has no usable record.")
    return list(samples.values())


def name_reasons(bad: Sequence[BadEntry]) -> str:
    """The first bad records with their reasons, and the number of others."""
    return list_first([f"{entry.name}: {entry.reason}" for entry in bad], NAMED, "; ")


def check_distinct(sample: Sample, name: str, asked: dict[Question, str]) -> None:
    """Check that no earlier sample of the same id asks the same, and add the questions of this one to `asked`.

    Raises:
        BadRecord: one does; it would be scored twice, and no comparison of runs could tell them apart.
    """
    questions = [(sample.id, turn.family, index, turn.question) for index, turn in enumerate(sample.turns)]
    for question in questions:
        if question in asked:
            raise BadRecord(f"it asks what {asked[question]} asks, under the same id")
    asked.update(dict.fromkeys(questions, name))


def find_broken_images(samples: Iterable[Sample], checked: Path, max_pixels: int = MAX_PIXELS) -> dict[Path, str]:
    """The reason for each image of the samples that cannot be decoded or is too large.

    Args:
        samples: the samples.
        checked: the cache of `find_broken`.
        max_pixels: most pixels of an image.
    """
    images = (sample.image for sample in samples if sample.image is not None)
    return find_broken(images, checked, partial(find_decode_error, max_pixels=max_pixels), f"at most {max_pixels}")


def find_decode_error(path: Path, max_pixels: int) -> str | None:
    """The reason why an image cannot be decoded to its last pixel, or is too large; None if it can be used."""
    try:
        open_image(path, max_pixels)
    except UnreadableImage as error:
        return f"its image {path} cannot be used ({error})"
    return None


def hash_samples(samples: Iterable[Sample]) -> str:
    """Hash samples with the sizes and times of their images: everything that training on them depends on."""
    state = hashlib.sha256()
    for sample in samples:
        # Samples without a system text hash as they did before there was one: keys of finished stages hold.
        system = () if sample.system is None else (sample.system,)
        state.update(repr((sample.id, sample.turns, *system)).encode())
        if sample.image is not None:
            stat = sample.image.stat()
            state.update(f"{sample.image.name}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
    return state.hexdigest()[:16]
