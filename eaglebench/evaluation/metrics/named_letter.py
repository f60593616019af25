"""The option that a text names, as lmms-eval reads it for RealWorldQA and MMBench."""

from collections.abc import Iterator, Sequence

REALWORLDQA_LETTERS = "ABCD"
EDGE_SIGNS = ",.!?;:'\""
# By how much a place counts; of several of one kind, the last in the text.
START, END, PHRASE, BRACKETS, FULL_STOP, COLON, BRACKET, SPACE, ANYWHERE = range(9, 0, -1)
ENGLISH = [f"{article}{noun} is" for noun in (
    "answer", "correct answer", "best answer", "correct option", "best option", "choice", "correct choice",
) for article in ("", "the ")]  # fmt: skip
FIRST_PERSON = ["i choose", "i select", "i pick", "my answer is", "my choice is"]
OTHER_LANGUAGES = ["옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは"]
PHRASES = (*ENGLISH, *FIRST_PERSON, *OTHER_LANGUAGES)


def realworldqa(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer names the right letter; an answer that is no letter must be equal but for case (RealWorldQA)."""
    letter = find_named_letter(prediction, REALWORLDQA_LETTERS)
    text = prediction.strip().lower().rstrip(".")
    return float(
        any(
            letter == reference.upper()
            if reference.upper() in tuple(REALWORLDQA_LETTERS)
            else text == reference.lower()
            for reference in (reference.strip() for reference in references)
        )
    )


def find_named_letter(text: str, letters: Sequence[str]) -> str | None:
    """The letter that stands in the place that counts most; None if the text has none of the letters."""
    stripped = text.strip()
    for sign in EDGE_SIGNS:
        stripped = stripped.strip(sign)
    places = list(list_places(f" {stripped} ", letters))
    return max(places)[-1] if places else None


def list_places(text: str, letters: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Yield how much each place of a letter counts, the place, and the letter.

    Args:
        text: with a space before and after it.
        letters: capitals; others do not count.
    """
    found = False
    for letter in letters:
        for place in list_places_of(text, letter):
            found = True
            yield *place, letter
    if not found:
        yield from ((ANYWHERE, text.rfind(letter), letter) for letter in letters if letter in text)


def list_places_of(text: str, letter: str) -> Iterator[tuple[int, int]]:
    """Yield how much each place of one letter counts, and the place."""
    marked = {BRACKETS: f"({letter})", FULL_STOP: f"{letter}.", COLON: f"{letter}:", BRACKET: f"{letter})"}
    for weight, mark in (marked | {SPACE: f"{letter} "}).items():
        if mark in text:
            yield weight, text.rfind(mark)
    lower = text.lower()
    for phrase in PHRASES:
        place = text.find(letter, lower.find(phrase) + len(phrase)) if phrase in lower else -1
        if place >= 0:
            yield PHRASE, place
    word = text.strip()
    if word.startswith(letter) and not word[1:2].isalpha():
        yield START, 0
    if word.endswith(letter) and not word[-2:-1].isalpha():
        yield END, len(text)
