"""VQA accuracy over the answers of ten annotators: VQAv2, TextVQA and VizWiz."""

import re
from collections.abc import Sequence
from statistics import fmean

from eaglebench.utils.errors import UserError

AGREEING = 3  # annotators whose agreement makes an answer fully right
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
COMMA_IN_NUMBER = re.compile(r"\d,+\d")
FULL_STOP = re.compile(r"\.(?!\d)")
MOST_FULL_STOPS = 32  # removed from a text: the official script gives a flag in place of this number
ARTICLES = {"a", "an", "the"}
NUMBERS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
CONTRACTION_WORDS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll
    somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd
    there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll
    what're what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't
    would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've
""".split()  # noqa: SIM905
# By each form with one apostrophe missing.
CONTRACTIONS = {
    form[:place] + form[place + 1 :]: form
    for form in CONTRACTION_WORDS
    for place, sign in enumerate(form)
    if sign == "'"
} | {"somebody'd": "somebodyd"}  # the official list has this one the wrong way round


def vqa(prediction: str, references: Sequence[str]) -> float:
    """The VQA accuracy of an answer to VQAv2.

    Raises:
        UserError: there are too few references for any answer to be fully right.
    """
    return compute_agreement("vqa", normalise(prediction), [normalise(reference) for reference in references])


def vqa_words(prediction: str, references: Sequence[str]) -> float:
    """The VQA accuracy of an answer to TextVQA or VizWiz: commas, question marks and 's do not count.

    Raises:
        UserError: there are too few references for any answer to be fully right.
    """
    answer, given = normalise_words(prediction), [normalise_words(reference) for reference in references]
    return compute_agreement("vqa_words", answer, given)


def compute_agreement(metric: str, answer: str, references: Sequence[str]) -> float:
    """The mean over annotators of min(n / 3, 1), where n of the other annotators gave this answer.

    Raises:
        UserError: there are too few references for any answer to be fully right.
    """
    if len(references) <= AGREEING:
        raise UserError(
            f"the metric {metric} needs the answers of ten people to a question and got {len(references)}: "
            "give them all in answers, or choose the metric exact."
        )
    agreeing = [reference == answer for reference in references]
    return fmean(min((sum(agreeing) - agrees) / AGREEING, 1) for agrees in agreeing)


def normalise(text: str) -> str:
    """The text in lower case without punctuation and articles; number words become digits, apostrophes are restored."""
    plain = remove_punctuation(text.replace("\n", " ").replace("\t", " ").strip())
    words = (NUMBERS.get(word, word) for word in plain.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def normalise_words(text: str) -> str:
    """The text as `normalise` gives it, after commas and question marks are removed and 's is parted from its word."""
    return normalise(text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip())


def remove_punctuation(text: str) -> str:
    """The text with each sign replaced by a space.

    A sign is removed instead if it stands beside a space anywhere, or if a number in the text has a comma.
    """
    removed = text
    for sign in PUNCTUATION:
        beside_space = f"{sign} " in text or f" {sign}" in text
        removed = removed.replace(sign, "" if beside_space or COMMA_IN_NUMBER.search(text) else " ")
    return FULL_STOP.sub("", removed, count=MOST_FULL_STOPS)
