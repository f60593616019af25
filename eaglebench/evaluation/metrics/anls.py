"""Average normalised Levenshtein similarity: DocVQA's and InfographicVQA's metric."""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

THRESHOLD = 0.5


def anls(prediction: str, references: Sequence[str]) -> float:
    """The highest similarity to a reference, case and runs of spaces aside; 0 where half of the longer text differs."""
    return max(similarity(prediction, reference) for reference in references)


def similarity(prediction: str, reference: str) -> float:
    """1 minus the edit distance over the longer length; 0 from the threshold on."""
    distance = Levenshtein.normalized_distance(plain(prediction), plain(reference))
    return 1 - distance if distance < THRESHOLD else 0.0


def plain(text: str) -> str:
    """Lower case, single spaces."""
    return " ".join(text.lower().split())
