"""What all metrics of one answer have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase as LETTERS

from eaglebench.utils.errors import UserError


@dataclass(frozen=True)
class Metric:
    """A metric of one answer.

    Attributes:
        function: gives the score from an answer and its references, and from the options where it needs them.
        differs: how it differs from the official script; empty where both give the same score.
        needs_choices: whether `function` takes the texts of the options too.
        keeps_blank: whether a blank reference counts, as an annotator's vote does.
    """

    function: Callable[..., float]
    differs: str = ""
    needs_choices: bool = False
    keeps_blank: bool = False

    def __call__(self, prediction: str, references: Sequence[str], choices: Sequence[str] = ()) -> float:
        """The score of an answer, in [0, 1].

        Blank references are left out: nearly every answer would contain them, and an empty answer would equal them.

        Raises:
            UserError: there is no reference but blank ones, something is not a text, options are missing, or the
                metric cannot score such references.
        """
        name = self.function.__name__
        if isinstance(references, str) or not all(isinstance(text, str) for text in (prediction, *references)):
            raise UserError(f"the metric {name} takes an answer and a list of references: all of them must be texts.")
        given = references if self.keeps_blank else [reference for reference in references if reference.strip()]
        if not given:
            raise UserError(f"the metric {name} needs a reference that is not blank: give the right answer.")
        if not self.needs_choices:
            return self.function(prediction, given)
        if not choices:
            raise UserError(f"the metric {name} reads the options of a question: give them as its choices.")
        return self.function(prediction, given, choices)


def find_right_letters(metric: str, references: Sequence[str]) -> list[str]:
    """The letters of the right options: those references that are one letter, in upper case.

    Raises:
        UserError: there is none, so that no answer could be right.
    """
    letters = [text for text in (reference.strip().upper() for reference in references) if is_letter(text)]
    if not letters:
        raise UserError(f"the metric {metric} needs the letter of the right option, and got {references[0]!r}.")
    return letters


def is_letter(text: str) -> bool:
    """Whether a text is the letter of an option, in upper case."""
    return len(text) == 1 and text in LETTERS
