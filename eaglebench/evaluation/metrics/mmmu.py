"""MMMU's metric for questions with options."""

from collections.abc import Sequence
from string import ascii_uppercase as LETTERS

from eaglebench.evaluation.metrics.base import find_right_letters

DIFFERS = "an answer that names no option is wrong, where the official script draws an option at random"
EDGE_SIGNS = ",.!?;:'"
LONG = 5  # words; the texts of options are looked for in longer answers


def mmmu(prediction: str, references: Sequence[str], choices: Sequence[str]) -> float:
    """1 if the answer names the right option by its letter, or a long answer by its text.

    Raises:
        UserError: no reference is a letter.
    """
    return float(find_option(prediction, choices) in find_right_letters("mmmu", references))


def find_option(answer: str, choices: Sequence[str]) -> str | None:
    """The letter that an answer names, the last one of several; None if it names none."""
    text = answer.strip()
    for sign in EDGE_SIGNS:
        text = text.strip(sign)
    text = f" {text} "
    letters = LETTERS[: len(choices)]
    if bracketed := [letter for letter in letters if f"({letter})" in text]:
        return max(bracketed, key=lambda letter: text.rfind(f"({letter})"))
    spaced = [letter for letter in letters if f"{letter} " in text]
    if found := spaced or [letter for letter in letters if f"{letter}." in text]:
        return max(found, key=lambda letter: text.rfind(f" {letter} "))
    lower = text.lower()
    texts = {
        letter: choice.lower() for letter, choice in zip(letters, choices, strict=False) if choice.lower() in lower
    }
    return max(texts, key=lambda letter: lower.rfind(texts[letter])) if texts and len(text.split()) > LONG else None
