"""JSON as its standard has it: what Python's decoder lets pass in silence is found too.

These are NaN and Infinity, a key that an object has twice, halves of surrogate pairs, NUL, and numbers that no
computation can hold.
"""

import json
import math
import re
from typing import Any

from eaglebench.utils.quoting import quote

LONGEST_NUMBER = 100  # digits
# Characters that need a closer look. Bytes that are not UTF-8 were read as U+DC80 to U+DCFF (see `open_text`).
ESCAPES = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
SURROGATES = re.compile(r"[\ud800-\udfff]")
BAD_BYTES = re.compile(r"[\udc80-\udcff]")


class BadJSON(Exception):
    """The reason why a JSON value cannot be used."""


class StrictDecoder:
    """Decodes JSON values one after the other, and finds their flaws."""

    def __init__(self) -> None:
        self._flaws: list[str] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._make_object,
            parse_int=self._parse_int,
            parse_float=self._parse_float,
            parse_constant=self._parse_constant,
        )

    def decode(self, text: str, start: int = 0) -> tuple[Any, int, str | None]:
        """Decode the value that begins at `start`.

        Returns:
            The value, the index after it, and what is wrong with its content; None if nothing is.

        Raises:
            json.JSONDecodeError: no whole value begins there.
            BadJSON: the value is nested too deeply.
        """
        self._flaws.clear()
        try:
            value, end = self._decoder.raw_decode(text, start)
        except RecursionError:
            raise BadJSON("it is nested too deeply") from None
        flaw = self._flaws[0] if self._flaws else None
        if flaw is None and ESCAPES.search(text, start, end):
            flaw = find_text_flaw(value)
        return value, end, flaw

    def _make_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            self._flaws.append(f"it has the key {quote(twice)} twice")
        return made

    def _parse_int(self, digits: str) -> int:
        return int(digits) if self._is_short(digits) else 0

    def _parse_float(self, digits: str) -> float:
        value = float(digits) if self._is_short(digits) else 0.0
        if math.isinf(value):
            self._flaws.append(f"it has the number {digits}, which is too large")
        return value

    def _parse_constant(self, name: str) -> None:
        self._flaws.append(f"it has {name}, which is no JSON value")

    def _is_short(self, digits: str) -> bool:
        if len(digits) > LONGEST_NUMBER:
            self._flaws.append(f"it has a number of {len(digits):,} digits")
        return len(digits) <= LONGEST_NUMBER


def find_text_flaw(value: Any) -> str | None:
    """Why a text within a JSON value is no text; None if all are."""
    left = [value]
    while left:  # no recursion: a value may be nested almost as deeply as Python allows
        one = left.pop()
        if isinstance(one, dict):
            left += [*one.values(), *one]
        elif isinstance(one, list):
            left += one
        elif isinstance(one, str):
            if "\0" in one:
                return "it has the character NUL (\\u0000) in a text"
            if SURROGATES.search(one):
                return "it has half a surrogate pair in a text, such as an emoji that was cut"
    return None


def find_bad_byte(text: str) -> tuple[int, str] | None:
    """The first byte of a text, as `open_text` reads it with `keep_bad_bytes`, that is not UTF-8: its index, and the
    reason to refuse it; None if there is none.
    """
    found = None if text.isascii() else BAD_BYTES.search(text)
    if found is None:
        return None
    return found.start(), f"it is not UTF-8 (byte 0x{ord(found[0]) - 0xDC00:02x}): save the file as UTF-8"


def describe_syntax(error: json.JSONDecodeError, place: str) -> str:
    """A syntax error in words, with `place` for where it is."""
    reason = error.msg.removesuffix(" at")  # "Unterminated string starting at"
    return f"it is not JSON ({reason} {place})"
