"""Transcriptions of whole pages: GOT's metrics over whitespace-separated words. The best reference counts."""

import warnings
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein


def edit(prediction: str, references: Sequence[str]) -> float:
    """1 minus the normalised edit distance in characters; GOT reports the distance itself."""
    return max(Levenshtein.normalized_similarity(prediction, reference) for reference in references)


def precision(prediction: str, references: Sequence[str]) -> float:
    """The share of the answer's distinct words that the reference has."""
    return max(word_overlap(prediction, reference)[0] for reference in references)


def recall(prediction: str, references: Sequence[str]) -> float:
    """The share of the reference's distinct words that the answer has."""
    return max(word_overlap(prediction, reference)[1] for reference in references)


def f1(prediction: str, references: Sequence[str]) -> float:
    """The harmonic mean of `precision` and `recall` on the same reference."""
    pairs = [word_overlap(prediction, reference) for reference in references]
    return max(2 * p * r / (p + r) if p + r else 0.0 for p, r in pairs)


def word_overlap(prediction: str, reference: str) -> tuple[float, float]:
    """Precision and recall of the two sets of words; both are 1 for two empty texts."""
    predicted, expected = set(prediction.split()), set(reference.split())
    if not predicted or not expected:
        return (float(predicted == expected),) * 2
    common = len(predicted & expected)
    return common / len(predicted), common / len(expected)


def bleu(prediction: str, references: Sequence[str]) -> float:
    """BLEU-4 of the words without smoothing: 0 if the answer shares no 4-gram with a reference."""
    from nltk.translate.bleu_score import sentence_bleu

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NLTK advises smoothing, which GOT does not use
        return float(sentence_bleu([reference.split() for reference in references], prediction.split()))


def meteor(prediction: str, references: Sequence[str]) -> float:
    """METEOR with exact and stem matches; synonyms do not match, so that WordNet is not needed."""
    from nltk.translate.meteor_score import meteor_score

    words = prediction.split()
    return float(meteor_score([reference.split() for reference in references], words, wordnet=NoSynonyms()))


class NoSynonyms:
    """Replaces WordNet in METEOR: no word has a synonym."""

    def synsets(self, word: str) -> list[str]:
        """No synonyms, whatever the word."""
        return []
