"""A cache of generated answers on disk, so that an interrupted evaluation resumes where it stopped."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from eaglebench.utils.files import write_text
from eaglebench.utils.hashing import hash_json

HASH_KEY = "of"  # in the first line
HASH_LENGTH = 16  # hex digits


class AnswerLog:
    """A JSONL file with the answers of one pass over a list of questions.

    The first line holds a hash of everything that the answers depend on. Each further line holds one answer, in the
    order of the questions.

    Args:
        path: the file; it need not exist.
        depends_on: a JSON-like value of everything that the answers depend on. Answers under any other hash are
            ignored.
    """

    def __init__(self, path: Path, depends_on: object) -> None:
        self.path = path
        self.hash = hash_json(depends_on, HASH_LENGTH)

    def cached_answers(self) -> list[str]:
        """The answers in the file; none if they have another hash."""
        first, *answers = self.read_lines() or [None]
        return [answer for answer in answers if isinstance(answer, str)] if first == {HASH_KEY: self.hash} else []

    def is_stale(self) -> bool:
        """Whether the file holds answers under another hash."""
        first, *answers = self.read_lines() or [None]
        return bool(answers) and first != {HASH_KEY: self.hash}

    def read_lines(self) -> list[object]:
        """The parsed lines of the file; none if there is no file."""
        with suppress(FileNotFoundError), self.path.open(encoding="utf-8", errors="replace") as lines:
            return list(parse_lines(lines))
        return []

    def record(self, cached: Sequence[str], new: Iterator[str]) -> Iterator[str]:
        """Yield the cached answers and then the new ones; each new answer is on disk before it is yielded."""
        lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in ({HASH_KEY: self.hash}, *cached)]
        write_text(self.path, "".join(lines))
        yield from cached
        with self.path.open("a", encoding="utf-8") as file:
            for answer in new:
                file.write(json.dumps(answer, ensure_ascii=False) + "\n")
                file.flush()
                yield answer


def parse_lines(lines: Iterator[str]) -> Iterator[object]:
    """The JSON values of the lines up to the first incomplete one: a crash can leave half of the last line."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return
