"""MMMU's metric for questions without options."""

import re
from collections.abc import Iterator, Sequence

DIFFERS = "each of several accepted answers counts, where lmms-eval compares with their list as one text"
KEY_WORDS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")  # before an answer
TRIVIAL = {":", ",", ".", "!", "?", ";", "'"}
DECIMALS = 2
NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),  # 1,000
    # Each digit is read once: from the first one, and none is given back (++). Else 10,000 digits take seconds.
    re.compile(r"(?:-|(?<!\d))\d++(?:\.\d++)?[eE][+-]?\d++"),  # 1.5e3
    re.compile(r"-?(?:\d++\.\d++|\.\d++|\d++\b)(?![eE][+-]?\d)(?!,)"),  # 12, 1.5 and .5
)
Value = str | float


def mmmu_open(prediction: str, references: Sequence[str]) -> float:
    """1 if a part of the answer contains a reference, or has a number that is one to two decimals."""
    expected = {value for reference in references for value in normalise(reference)}
    return float(any(matches(value, expected) for value in list_values(prediction)))


def matches(value: Value, expected: set[Value]) -> bool:
    """Whether a number is among the expected values, or a text contains an expected text."""
    if isinstance(value, float):
        return value in expected
    return any(isinstance(text, str) and text in value for text in expected)


def list_values(answer: str) -> list[Value]:
    """The normalised texts and numbers of an answer that may be meant."""
    parts = find_parts(answer.strip().strip(".").lower())
    numbers = [number for part in parts for pattern in NUMBERS for number in pattern.findall(part)]
    return [value for text in (*parts, *numbers) for value in normalise(text)]


def find_parts(answer: str) -> list[str]:
    """What follows the key words of each line, the shortest of it; the whole answer if there is none."""
    *lines, last = answer.split("\n")
    parts = [*(find_end(line, KEY_WORDS) for line in lines), find_end(last, (*KEY_WORDS, "="))]
    return [part for part in parts if part and part not in TRIVIAL] or [answer]


def find_end(line: str, words: Sequence[str]) -> str:
    """The shortest text that follows a word, up to the end of the line; empty if there is none."""
    shortest = ""
    for end in (line.rpartition(word)[2].strip() for word in words if word in line):
        # As the official script: an empty end replaces a text, and gives way to the next end.
        if not shortest or len(end) < len(shortest):
            shortest = end
    return shortest


def normalise(text: str) -> Iterator[Value]:
    """Yield a number to two decimals, or the text in lower case; a single character only beside a space."""
    text = text.strip()
    try:
        yield round(float(text.replace(",", "")), DECIMALS)
    except ValueError:
        lower = text.lower()
        yield from (f" {lower}", f"{lower} ") if len(lower) == 1 else (lower,)
