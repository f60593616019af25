"""Users' text files: the encoding is known by the byte-order mark, and what cannot be read is one sentence."""

import codecs
import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from eaglebench.data.file_problems import find_file_problem
from eaglebench.utils.errors import UserError

# UTF-32's mark begins with that of UTF-16, so it is looked for first.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LONGEST_MARK = 4  # bytes


@contextmanager
def open_text(path: Path, *, newline: str | None = None, keep_bad_bytes: bool = False) -> Iterator[TextIO]:
    """Open a text file in UTF-8, or in the encoding that its byte-order mark names.

    Args:
        path: the file.
        newline: as for `open`; None: CR, LF and CRLF all end a line.
        keep_bad_bytes: bytes that are not UTF-8 become the characters U+DC80 to U+DCFF, so that the reader can name
            their line; otherwise they are an error.

    Raises:
        UserError: the file does not exist, cannot be read, or is in another encoding; the last two while it is read.
    """
    if (problem := find_file_problem(path)) is not None:
        raise UserError(f"the file {path} {problem}.")
    try:
        with path.open("rb") as file:
            encoding = find_encoding(file.read(LONGEST_MARK), path)
        errors = "surrogateescape" if keep_bad_bytes and encoding.startswith("utf-8") else "strict"
        with path.open(encoding=encoding, errors=errors, newline=newline) as text:
            yield text
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in {error.encoding} ({error.reason}): save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error


def find_encoding(head: bytes, path: Path) -> str:
    """The encoding of a file that begins with the bytes `head`.

    Raises:
        UserError: these bytes are no text.
    """
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        raise UserError(f"{path} is neither UTF-8 nor marked as UTF-16 by a byte-order mark: save it as UTF-8.")
    return "utf-8"


def read_text(path: Path) -> str:
    """The text of a file; all its lines end in LF.

    Raises:
        UserError: the file cannot be read.
    """
    with open_text(path) as file:
        return file.read()


def read_table(path: Path, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file, whose first row names the columns.

    Raises:
        UserError: the file cannot be read, or a row does not have the columns that the first one names.
    """
    csv.field_size_limit(sys.maxsize)  # a field may be an image
    with open_text(path, newline="") as file:
        rows = csv.DictReader(file, delimiter=delimiter)
        try:
            for row in rows:
                if None in row or None in row.values():
                    raise UserError(f"{path} line {rows.line_num}: it has other columns than the first line names.")
                yield row
        except csv.Error as error:
            raise UserError(f"{path} line {rows.line_num}: {error}.") from error
