"""What the converters share: records, the files of a source folder, and writing benchmark files."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any

from eaglebench.data.image_folder import find_bounds
from eaglebench.data.json_records import read_json, read_lines
from eaglebench.data.text_files import read_table
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_bytes, write_jsonl
from eaglebench.utils.hashing import hash_json
from eaglebench.utils.quoting import quote

PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")  # of a file: no folder, not hidden, not too long
HASH_LENGTH = 8  # hex digits


@dataclass(frozen=True)
class LazyImage:
    """An image that is not a file of the source, and that is written beside the benchmark file.

    Attributes:
        name: name of the file to write, often made of an id of the source; `name_file` makes it a plain one.
        content: returns the bytes of the file; only called if the file does not exist yet.
    """

    name: str
    content: Callable[[], bytes]


@dataclass(frozen=True)
class Record:
    """One question of a benchmark; the fields are those of a line (see `eaglebench.data.benchmark`).

    Attributes:
        id: unique within the benchmark.
        image: a file of the source, or an image to write; None without an image.
        question: text of the question, without its options.
        answers: accepted answers; with `choices`, letters of options.
        category: group that official scores are computed over; None if there is none.
        choices: texts of the options.
    """

    id: str
    image: Path | LazyImage | None
    question: str
    answers: Sequence[str]
    category: str | None = None
    choices: Sequence[str] = ()


class Source:
    """A folder with the official release of a benchmark, unpacked; files may be in any folder below it.

    Names in the release only choose among the files that are there, and no file is read through a link that leads out.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"convert.source={folder} is not a folder: unpack the benchmark into one.")
        self.folder = folder
        self._bounds = find_bounds(folder.resolve())
        self.by_name: dict[str, list[Path]] = {}
        for parent, _, names in os.walk(folder):
            for name in names:
                self.by_name.setdefault(name, []).append(Path(parent, name))

    def files(self, pattern: str) -> list[Path]:
        """The files that match a glob pattern, sorted.

        Raises:
            UserError: no file matches, or one is a link that leads out of the folder.
        """
        found = sorted(path for path in self.folder.rglob(pattern) if path.is_file())
        if not found:
            raise UserError(f"{self.folder} has no file {pattern}: unpack it there.")
        return [self.check_inside(path) for path in found]

    def file(self, pattern: str) -> Path:
        """The only file that matches a glob pattern.

        Raises:
            UserError: no file matches, or several.
        """
        found = self.files(pattern)
        if len(found) > 1:
            raise UserError(
                f"{self.folder} has {len(found)} files {pattern}, such as {found[0]}: keep only one of them."
            )
        return found[0]

    def json(self, pattern: str) -> Any:
        """The content of the only JSON file that matches a glob pattern.

        Raises:
            UserError: no file matches, or several, or the file is not valid JSON.
        """
        return read_json(self.file(pattern))

    def lines(self, pattern: str) -> Iterator[Any]:
        """Yield the records of the only file that matches a glob pattern, with one JSON value a line.

        Raises:
            UserError: no file matches, or several, or a line is not valid JSON.
        """
        path = self.file(pattern)
        for entry in read_lines(path):
            if entry.error is not None:
                raise UserError(f"{path} {entry.place}: {entry.error}; correct that line.")
            yield entry.value

    def table(self, pattern: str, delimiter: str = ",") -> Iterator[dict[str, str]]:
        """Yield the rows of the only CSV file that matches a glob pattern.

        Raises:
            UserError: no file matches, or several, or it cannot be read.
        """
        return read_table(self.file(pattern), delimiter)

    def image(self, name: str) -> Path:
        """The image with this name. Folders in the name only count where several images share the last part.

        Raises:
            UserError: there is no such image, or more than one, or it is a link that leads out of the folder.
        """
        found = self.by_name.get(Path(name).name, [])
        if len(found) > 1:
            found = [path for path in found if path.as_posix().endswith(f"/{name}")]
        if len(found) != 1:
            raise UserError(f"{self.folder} has {len(found) or 'no'} images {quote(name)}: it must have one.")
        return self.check_inside(found[0])

    def check_inside(self, path: Path) -> Path:
        """Return a file of the folder.

        Raises:
            UserError: it is a link that leads out of the folder.
        """
        if not path.resolve().is_relative_to(self._bounds):
            raise UserError(f"{path} is a link that leads outside {self.folder}: put the file itself there.")
        return path


def letter(index: int) -> str:
    """The letter of the option at an index: A for 0.

    Raises:
        IndexError: there is no such letter.
    """
    if index < 0:
        raise IndexError(f"no option has the index {index}")
    return LETTERS[index]


def name_file(name: str) -> str:
    """A file name that leads to no other folder: `name` itself if it is plain.

    Otherwise it is the plain characters of `name`, a hash that tells it from other names, and the suffix.
    """
    if PLAIN_NAME.fullmatch(name):
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or not PLAIN_NAME.fullmatch(suffix):
        stem, dot, suffix = name, "", ""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:40]
    return f"{plain}-{hash_json(name, HASH_LENGTH)}{dot}{suffix}"


def write_records(records: Iterable[Record], to: Path) -> int:
    """Write records as a benchmark file.

    Lazy images are written into a folder beside the file that has its name. All images are named relative to the file.

    Args:
        records: the questions.
        to: the file to write.

    Returns:
        The number of records.

    Raises:
        UserError: the source lacks a file, or a record cannot be converted.
    """
    rows: list[dict[str, Any]] = []
    root = to.parent.resolve()
    folder = (root / to.stem).resolve()
    for record in records:
        image = record.image
        if isinstance(image, LazyImage):
            path = folder / name_file(image.name)
            if not path.resolve().is_relative_to(folder):
                raise UserError(f"{path} is a link that leads elsewhere, and is not written through: remove it.")
            if not path.exists():
                write_bytes(path, image.content())
            image = path
        row: dict[str, Any] = {"id": record.id}
        if image is not None:
            row["image"] = Path(os.path.relpath(image.resolve(), root)).as_posix()
        row |= {"question": record.question, "answers": list(record.answers)}
        if record.choices:
            row["choices"] = list(record.choices)
        if record.category is not None:
            row["category"] = record.category
        rows.append(row)
    write_jsonl(to, rows)
    return len(rows)
