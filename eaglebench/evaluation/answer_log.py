"""Answers as they are given, so that an evaluation that was interrupted goes on where it stopped."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from eaglebench.utils.files import write_text
from eaglebench.utils.hashing import digest

OF = "of"


class Journal:
    """The answers of one pass over questions, a line each.

    Args:
        path: of the file.
        of: what the answers depend on; those of anything else are thrown away.
    """

    def __init__(self, path: Path, of: object) -> None:
        self.path = path
        self.of = digest(of, 16)

    def known(self) -> list[str]:
        """The answers that are there."""
        first, *answers = self.read() or [None]
        return [answer for answer in answers if isinstance(answer, str)] if first == {OF: self.of} else []

    def foreign(self) -> bool:
        """Whether there are answers that depend on something else."""
        first, *answers = self.read() or [None]
        return bool(answers) and first != {OF: self.of}

    def read(self) -> list[object]:
        """The lines that are there."""
        with suppress(FileNotFoundError), self.path.open(encoding="utf-8", errors="replace") as lines:
            return list(parsed(lines))
        return []

    def kept(self, known: Sequence[str], more: Iterator[str]) -> Iterator[str]:
        """The known answers, and `more` as they come, each of which is written down first."""
        lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in ({OF: self.of}, *known)]
        write_text(self.path, "".join(lines))
        yield from known
        with self.path.open("a", encoding="utf-8") as file:
            for answer in more:
                file.write(json.dumps(answer, ensure_ascii=False) + "\n")
                file.flush()
                yield answer


def parsed(lines: Iterator[str]) -> Iterator[object]:
    """What complete lines hold; a crash can leave half of the last."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return
