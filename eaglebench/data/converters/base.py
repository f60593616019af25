"""What the converters share: records, the files of a source folder, and writing benchmark files."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eaglebench.data.benchmark import LETTERS
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_bytes, write_jsonl


@dataclass(frozen=True)
class LazyImage:
    """An image that is not a file of the source, and that is written beside the benchmark file.

    Attributes:
        name: name of the file to write.
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

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"convert.source={folder} is not a folder: unpack the benchmark into one.")
        self.folder = folder
        self.by_name: dict[str, list[Path]] = {}
        for parent, _, names in os.walk(folder):
            for name in names:
                self.by_name.setdefault(name, []).append(Path(parent, name))

    def files(self, pattern: str) -> list[Path]:
        """The files that match a glob pattern, sorted.

        Raises:
            UserError: no file matches.
        """
        found = sorted(path for path in self.folder.rglob(pattern) if path.is_file())
        if not found:
            raise UserError(f"{self.folder} has no file {pattern}: unpack it there.")
        return found

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

    def image(self, name: str) -> Path:
        """The image with this name. Folders in the name only count where several images share the last part.

        Raises:
            UserError: there is no such image, or more than one.
        """
        found = self.by_name.get(Path(name).name, [])
        if len(found) > 1:
            found = [path for path in found if path.as_posix().endswith(f"/{name}")]
        if len(found) != 1:
            raise UserError(f"{self.folder} has {len(found) or 'no'} images {name}: it must have one.")
        return found[0]


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: the file is not valid JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from error


def read_lines(path: Path) -> Iterator[Any]:
    """Yield the records of a file with one JSON object a line.

    Raises:
        UserError: a line is not valid JSON.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{path} line {number} is not valid JSON: {error}.") from error


def letter(index: int) -> str:
    """The letter of the option at an index: A for 0."""
    return LETTERS[index]


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
    for record in records:
        image = record.image
        if isinstance(image, LazyImage):
            path = root / to.stem / image.name
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
