"""Transcriptions of whole pages: GOT's metrics, over words. The best reference counts."""

import warnings
from collections.abc import Callable, Sequence

from rapidfuzz.distance import Levenshtein

from eaglebench.evaluation.metrics.words import Split, split_words

Splitter = Callable[[str, Sequence[str]], Split]

EMPTY = "an empty answer scores 0, where GOT leaves the page out"
SWAPPED = "GOT's released script takes answer and reference for each other"
SEGMENTED = "jieba splits what has a Chinese reference, in GOT's script a Chinese answer too"
UNSMOOTHED = "without smoothing, as in GOT's script: a text of under four words scores 0, even where it is right"
NO_WORDNET = "synonyms do not match, where GOT takes them from WordNet"
EDIT_DIFFERS = f"1 minus GOT's edit distance; {EMPTY}"
F1_DIFFERS = f"{SEGMENTED}; {EMPTY}"
ROLES_DIFFER = f"{SWAPPED}; {SEGMENTED}; {EMPTY}"
BLEU_DIFFERS = f"{UNSMOOTHED}; {ROLES_DIFFER}"
METEOR_DIFFERS = f"{NO_WORDNET}; {ROLES_DIFFER}"


def edit(prediction: str, references: Sequence[str]) -> float:
    """1 minus the normalised edit distance in characters; GOT reports the distance itself."""
    return max(Levenshtein.normalized_similarity(prediction, reference) for reference in references)


def precision(prediction: str, references: Sequence[str], split: Splitter = split_words) -> float:
    """The share of the answer's distinct words that the reference has."""
    return max(found for found, _ in list_overlaps(prediction, references, split))


def recall(prediction: str, references: Sequence[str], split: Splitter = split_words) -> float:
    """The share of the reference's distinct words that the answer has."""
    return max(kept for _, kept in list_overlaps(prediction, references, split))


def f1(prediction: str, references: Sequence[str], split: Splitter = split_words) -> float:
    """The harmonic mean of `precision` and `recall` on the same reference."""
    return max(2 * p * r / (p + r) if p + r else 0.0 for p, r in list_overlaps(prediction, references, split))


def list_overlaps(prediction: str, references: Sequence[str], split: Splitter) -> list[tuple[float, float]]:
    """Precision and recall of the two sets of words, for each reference; both are 1 for two texts without words."""
    overlaps = []
    for reference in references:
        answer, (right,) = split(prediction, [reference])
        words, expected = set(answer), set(right)
        common = len(words & expected)
        if words and expected:
            overlaps.append((common / len(words), common / len(expected)))
        else:
            overlaps.append((float(words == expected),) * 2)
    return overlaps


def bleu(prediction: str, references: Sequence[str], split: Splitter = split_words) -> float:
    """BLEU-4 of the words without smoothing: 0 if the answer shares no four words in a row with a reference."""
    from nltk.translate.bleu_score import sentence_bleu

    words, expected = split(prediction, references)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NLTK advises smoothing, which GOT does not use
        return float(sentence_bleu(expected, words))


def meteor(prediction: str, references: Sequence[str], split: Splitter = split_words) -> float:
    """METEOR with exact and stem matches; synonyms do not match, so that WordNet is not needed."""
    from nltk.translate.meteor_score import meteor_score

    words, expected = split(prediction, references)
    return float(meteor_score(expected, words, wordnet=NoSynonyms()))


class NoSynonyms:
    """Replaces WordNet in METEOR: no word has a synonym."""

    def synsets(self, word: str) -> list[str]:
        """No synonyms, whatever the word."""
        return []
