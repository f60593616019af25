"""Average normalised Levenshtein similarity: DocVQA's and InfographicVQA's metric."""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

THRESHOLD = 0.5  # the lowest similarity that counts


def anls(prediction: str, references: Sequence[str]) -> float:
    """The highest similarity to a reference, ignoring case and repeated spaces; 0 if over half of a text differs."""
    similarity = max(compute_similarity(prediction.strip(), reference) for reference in references)
    return similarity if similarity >= THRESHOLD else 0.0


def compute_similarity(prediction: str, reference: str) -> float:
    """1 minus the edit distance of the normalised texts, divided by the length of the longer one as it was written."""
    length = max(len(prediction.upper()), len(reference.upper()))  # as the official script: ß counts as SS
    distance = Levenshtein.distance(normalise(prediction), normalise(reference))
    return 1 - distance / length if length else 1.0


def normalise(text: str) -> str:
    """The text in lower case with single spaces."""
    return " ".join(text.lower().split())
