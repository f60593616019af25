"""What the converters of benchmarks share: records, the files of a source folder, and writing."""

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
class Picture:
    """An image that is no file of the source: its bytes, and the name of the file that they become."""

    name: str
    content: Callable[[], bytes]


@dataclass(frozen=True)
class Record:
    """One question, see `eaglebench.data.benchmark`."""

    id: str
    image: Path | Picture | None
    question: str
    answers: Sequence[str]
    category: str | None = None
    choices: Sequence[str] = ()


class Source:
    """A folder with a benchmark as its makers give it out; files may lie in any folder below it."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"convert.source={folder} is not a folder: unpack the benchmark into one.")
        self.folder = folder
        self.by_name: dict[str, list[Path]] = {}
        for parent, _, names in os.walk(folder):
            for name in names:
                self.by_name.setdefault(name, []).append(Path(parent, name))

    def files(self, pattern: str) -> list[Path]:
        """The files whose name fits the pattern, at least one, sorted."""
        found = sorted(path for path in self.folder.rglob(pattern) if path.is_file())
        if not found:
            raise UserError(f"{self.folder} has no file {pattern}: unpack it there.")
        return found

    def file(self, pattern: str) -> Path:
        """The one file whose name fits the pattern."""
        found = self.files(pattern)
        if len(found) > 1:
            raise UserError(f"{self.folder} has {len(found)} files {pattern}, such as {found[0]}: leave one of them.")
        return found[0]

    def json(self, pattern: str) -> Any:
        """What is in the one JSON file whose name fits the pattern."""
        return read_json(self.file(pattern))

    def image(self, name: str) -> Path:
        """The image of this name, folders in the name aside unless they are needed to tell it from others."""
        found = self.by_name.get(Path(name).name, [])
        if len(found) > 1:
            found = [path for path in found if path.as_posix().endswith(f"/{name}")]
        if len(found) != 1:
            raise UserError(f"{self.folder} has {len(found) or 'no'} images {name}: it must have one.")
        return found[0]


def read_json(path: Path) -> Any:
    """What is in a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from error


def read_lines(path: Path) -> Iterator[Any]:
    """The records of a file with one JSON object a line."""
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{path} line {number} is not valid JSON: {error}.") from error


def letter(index: int) -> str:
    """The letter of the option of this index."""
    return LETTERS[index]


def write_records(records: Iterable[Record], to: Path) -> int:
    """Write the records as a benchmark file, images named relative to it; gives how many.

    Pictures are written into a folder beside the file.
    """
    rows: list[dict[str, Any]] = []
    root = to.parent.resolve()
    for record in records:
        image = record.image
        if isinstance(image, Picture):
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
