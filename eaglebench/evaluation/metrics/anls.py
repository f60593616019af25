"""Average normalised Levenshtein similarity: DocVQA's and InfographicVQA's metric."""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

THRESHOLD = 0.5  # of the normalised edit distance


def anls(prediction: str, references: Sequence[str]) -> float:
    """The highest similarity to a reference, ignoring case and repeated spaces; 0 if half of a text differs."""
    return max(compute_similarity(prediction, reference) for reference in references)


def compute_similarity(prediction: str, reference: str) -> float:
    """1 minus the normalised edit distance; 0 where that distance is THRESHOLD or more."""
    distance = Levenshtein.normalized_distance(normalise(prediction), normalise(reference))
    return 1 - distance if distance < THRESHOLD else 0.0


def normalise(text: str) -> str:
    """The text in lower case with single spaces."""
    return " ".join(text.lower().split())
