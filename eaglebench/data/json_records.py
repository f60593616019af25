"""Users' JSON and JSONL, record by record: a bad one is named by its place, and reading stops when it is enough.

Python's decoder reads a list in chunks. A library for streams (ijson) was left aside: it names a byte instead of a
line and a record, and has rules of its own for NaN, keys that repeat and halves of surrogate pairs.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO

from eaglebench.data.strict_json import BadJSON, StrictDecoder, describe_syntax, find_bad_byte
from eaglebench.data.text_files import open_text, read_text
from eaglebench.utils.errors import UserError

LINES = {".jsonl", ".ndjson"}  # suffixes, in any case, of files with one record a line
CHUNK = 2**16  # characters
SPACE = re.compile(r"[ \t\n\r]*")
# An error this close to the end of a chunk may be one of the cut alone: the longest word of JSON is "-Infinity".
NEAR_END = 16


class Entry(NamedTuple):
    """One record of a file.

    Attributes:
        place: "line 5" or "record 3", counted from 1.
        value: the decoded record; None if it cannot be used.
        error: why it cannot be used; None if it can.
    """

    place: str
    value: Any
    error: str | None = None


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: the file cannot be read, or is not valid JSON.
    """
    text = read_text(path)
    try:
        value, end, flaw = StrictDecoder().decode(text, skip_space(text, 0))
        if (end := skip_space(text, end)) < len(text):
            raise json.JSONDecodeError("Extra data", text, end)
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from error
    except BadJSON as reason:
        raise UserError(f"{path} is not valid JSON: {reason}.") from reason
    if flaw is not None:
        raise UserError(f"{path} is not valid JSON: {flaw}.")
    return value


def read_records(path: Path) -> Iterator[Entry]:
    """Yield the records of a file: one a line if its name ends in .jsonl or .ndjson, those of a JSON list otherwise.

    Raises:
        UserError: the file cannot be read, or is not a list in valid JSON.
    """
    return read_lines(path) if path.suffix.lower() in LINES else read_list(path)


def read_lines(path: Path) -> Iterator[Entry]:
    """Yield the records of a file with one JSON value a line. LF, CRLF and CR end a line; empty lines are passed over.

    Raises:
        UserError: the file cannot be read, or is a JSON list.
    """
    decoder = StrictDecoder()
    first = True
    with open_text(path, keep_bad_bytes=True) as file:
        for number, line in enumerate(file, 1):
            if line.isspace():
                continue
            if first and line.lstrip().startswith("["):
                raise UserError(f"{path} begins with [, as a JSON list does: it must have one record a line.")
            first = False
            yield decode_line(decoder, line.rstrip("\n"), f"line {number}")


def decode_line(decoder: StrictDecoder, line: str, place: str) -> Entry:
    """The record of one line."""
    if (bad := find_bad_byte(line)) is not None:
        return Entry(place, None, bad[1])
    try:
        value, end, flaw = decoder.decode(line, skip_space(line, 0))
        if (end := skip_space(line, end)) < len(line):
            raise json.JSONDecodeError("Extra data", line, end)
    except json.JSONDecodeError as error:
        return Entry(place, None, describe_syntax(error, f"at column {error.colno}"))
    except BadJSON as reason:
        return Entry(place, None, str(reason))
    return Entry(place, value) if flaw is None else Entry(place, None, flaw)


def read_list(path: Path) -> Iterator[Entry]:
    """Yield the records of a file with one JSON list, without reading further than it is asked.

    Raises:
        UserError: the file cannot be read, or is not a list in valid JSON.
    """
    decoder = StrictDecoder()
    with open_text(path, keep_bad_bytes=True) as file:
        window = Window(file, path)
        if window.next_character() != "[":
            raise UserError(
                f"{path} must hold a list of records, between [ and ] (a file with one record a line is named .jsonl)."
            )
        window.start += 1
        number = 0
        while window.next_character() != "]":
            if number:
                window.skip_comma(number)
            number += 1
            yield window.decode(decoder, f"record {number}")
        window.start += 1
        if window.next_character():
            window.fail("there is more text after the list")


class Window:
    """The part of a text file that is being decoded; it begins with what is not yet decoded.

    Attributes:
        text: the part.
        start: index in it of the next character.
    """

    def __init__(self, file: TextIO, path: Path) -> None:
        self.file = file
        self.path = path
        self.text = ""
        self.start = 0
        self._line, self._column = 1, 1  # of the window's first character

    def grow(self) -> bool:
        """Drop what is decoded, and read as much again as is left; False at the end of the file.

        Raises:
            UserError: the file is not UTF-8.
        """
        self._line, self._column = self.position(self.start)
        self.text, self.start = self.text[self.start :], 0
        more = self.file.read(max(CHUNK, len(self.text)))
        before, self.text = len(self.text), self.text + more
        if (bad := find_bad_byte(more)) is not None:
            index, reason = bad
            self.fail(reason, before + index)
        return bool(more)

    def position(self, index: int) -> tuple[int, int]:
        """Line and column in the file of the character at an index."""
        lines = self.text.count("\n", 0, index)
        if lines:
            return self._line + lines, index - self.text.rfind("\n", 0, index)
        return self._line, self._column + index

    def fail(self, reason: str, index: int | None = None) -> NoReturn:
        """Raise a `UserError` that names the place of the character at an index; None: of the next one."""
        line, column = self.position(self.start if index is None else index)
        raise UserError(f"{self.path} is not valid JSON: {reason} (line {line}, column {column}).")

    def next_character(self) -> str:
        """The next character that is not white space; empty at the end of the file."""
        while True:
            self.start = skip_space(self.text, self.start)
            if self.start < len(self.text):
                return self.text[self.start]
            if not self.grow():
                return ""

    def skip_comma(self, number: int) -> None:
        """Step over the comma after the record `number`.

        Raises:
            UserError: there is none, or no record follows it.
        """
        if not (character := self.next_character()):
            self.fail(f"the file ends after record {number}, without ]")
        if character != ",":
            self.fail(f"a comma is due after record {number}")
        self.start += 1
        if self.next_character() == "]":
            self.fail(f"there is a comma after the last record, {number}")

    def decode(self, decoder: StrictDecoder, place: str) -> Entry:
        """Decode the record that begins at the next character.

        Raises:
            UserError: it is not valid JSON, or the file ends within it.
        """
        while True:
            try:
                value, end, flaw = decoder.decode(self.text, self.start)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos > len(self.text) - NEAR_END
                reason, line, column = error.msg, *self.position(error.pos)
                if not cut or not self.grow():
                    raise UserError(
                        f"{self.path} is not valid JSON: {reason} (line {line}, column {column}, in {place})."
                    ) from error
                continue
            except BadJSON as error:
                self.fail(f"{place} cannot be read: {error}")
            if end == len(self.text) and self.grow():  # a number may go on
                continue
            self.start = end
            return Entry(place, value) if flaw is None else Entry(place, None, flaw)


def skip_space(text: str, start: int) -> int:
    """The index of the first character from `start` on that is not JSON's white space."""
    found = SPACE.match(text, start)
    return start if found is None else found.end()
