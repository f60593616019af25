"""MMBench's metric without a language model: lmms-eval's task mmbench_en_dev_static."""

from collections.abc import Sequence
from itertools import chain

from eaglebench.evaluation.metrics.base import find_right_letters
from eaglebench.evaluation.metrics.named_letter import find_named_letter

DIFFERS = "letters are read by the rules of lmms-eval's mmbench_en_dev_static, without a language model"
OPTIONS = "ABCD"
READ = OPTIONS + "E"  # E says that no option fits
LONG = 3  # words; in a longer answer an A may be an article
# What surrounds a letter, in the order in which it is looked for.
SURROUNDINGS = [("", sign) for sign in (".", ",", ":", ")", ").")] + [
    ("(", ")"), ("(", ")."), (":", ""), (":", ","), (":", "."), (":", ")"), (":", ")."),
]  # fmt: skip


def mmbench(prediction: str, references: Sequence[str], choices: Sequence[str]) -> float:
    """1 if the answer names the right option: by a letter that is a word of its own, by its text, or in a sentence.

    Raises:
        UserError: no reference is a letter.
    """
    right = find_right_letters("mmbench", references)
    options = dict(zip(OPTIONS, choices, strict=False))
    answer = prediction.strip()
    letter = find_word(answer) or find_only_text(answer, options) or find_named_letter(answer, list(options))
    return float(letter in right)


def find_word(answer: str) -> str | None:
    """The only letter that is a word of the answer, bare or else with signs; None for none or several."""
    words = answer.split()
    bare = [letter for letter in READ if letter in words]
    if len(bare) == 1 and not ("A" in words and len(words) > LONG):
        return bare[0]
    signed = ([one for one in READ if f"{before}{one}{after}" in words] for before, after in SURROUNDINGS)
    return next(chain.from_iterable(letters for letters in signed if len(letters) == 1), None)


def find_only_text(answer: str, options: dict[str, str]) -> str | None:
    """The letter of the only option whose text occurs in the answer, ignoring case; None for none or several."""
    found = [letter for letter, text in options.items() if text.lower() in answer.lower()]
    return found[0] if len(found) == 1 else None
