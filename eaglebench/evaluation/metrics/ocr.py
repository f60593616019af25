"""Transcriptions of whole pages: GOT's metrics, over words that spaces part. The best reference counts."""

import warnings
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein


def edit(prediction: str, references: Sequence[str]) -> float:
    """1 minus the edit distance in characters over the longer length: GOT prints the distance itself."""
    return max(Levenshtein.normalized_similarity(prediction, reference) for reference in references)


def precision(prediction: str, references: Sequence[str]) -> float:
    """Of the different words of the answer, the part that the reference has too."""
    return max(overlap(prediction, reference)[0] for reference in references)


def recall(prediction: str, references: Sequence[str]) -> float:
    """Of the different words of the reference, the part that the answer has too."""
    return max(overlap(prediction, reference)[1] for reference in references)


def f1(prediction: str, references: Sequence[str]) -> float:
    """The harmonic mean of precision and recall."""
    pairs = [overlap(prediction, reference) for reference in references]
    return max(2 * found * kept / (found + kept) if found + kept else 0.0 for found, kept in pairs)


def overlap(prediction: str, reference: str) -> tuple[float, float]:
    """Precision and recall of the sets of words; two empty texts are the same."""
    given, expected = set(prediction.split()), set(reference.split())
    if not given or not expected:
        return (float(given == expected),) * 2
    common = len(given & expected)
    return common / len(given), common / len(expected)


def bleu(prediction: str, references: Sequence[str]) -> float:
    """BLEU-4 of the words, without smoothing: 0 where no four words in a row are those of a reference."""
    from nltk.translate.bleu_score import sentence_bleu

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises smoothing, which GOT does not use
        return float(sentence_bleu([reference.split() for reference in references], prediction.split()))


def meteor(prediction: str, references: Sequence[str]) -> float:
    """METEOR with the matches of equal words and of equal stems; without WordNet, synonyms do not match."""
    from nltk.translate.meteor_score import meteor_score

    given = prediction.split()
    return float(meteor_score([reference.split() for reference in references], given, wordnet=NoSynonyms()))


class NoSynonyms:
    """Stands where METEOR looks up synonyms: a word has none."""

    def synsets(self, word: str) -> list[str]:
        """None, of any word."""
        return []
