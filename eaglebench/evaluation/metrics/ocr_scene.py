"""Transcriptions of a few words in a picture: GOT's metrics of pages, over characters in place of words."""

from collections.abc import Sequence

from eaglebench.evaluation.metrics import ocr
from eaglebench.evaluation.metrics.words import split_characters

F1_DIFFERS = ocr.EMPTY
ROLES_DIFFER = f"{ocr.SWAPPED}; {ocr.EMPTY}"
BLEU_DIFFERS = f"{ocr.UNSMOOTHED.replace('words', 'characters')}; {ROLES_DIFFER}"
METEOR_DIFFERS = f"{ocr.NO_WORDNET}; {ROLES_DIFFER}"


def scene_precision(prediction: str, references: Sequence[str]) -> float:
    """The share of the answer's distinct characters that the reference has."""
    return ocr.precision(prediction, references, split_characters)


def scene_recall(prediction: str, references: Sequence[str]) -> float:
    """The share of the reference's distinct characters that the answer has."""
    return ocr.recall(prediction, references, split_characters)


def scene_f1(prediction: str, references: Sequence[str]) -> float:
    """The harmonic mean of `scene_precision` and `scene_recall` on the same reference."""
    return ocr.f1(prediction, references, split_characters)


def scene_bleu(prediction: str, references: Sequence[str]) -> float:
    """BLEU-4 of the characters without smoothing."""
    return ocr.bleu(prediction, references, split_characters)


def scene_meteor(prediction: str, references: Sequence[str]) -> float:
    """METEOR of the characters."""
    return ocr.meteor(prediction, references, split_characters)
