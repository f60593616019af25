"""Scores of one answer against its reference, each in [0, 1]."""

from rapidfuzz.distance import Levenshtein

ANLS_THRESHOLD = 0.5
RELAXED_TOLERANCE = 0.05


def normalised(text: str) -> str:
    """Lower case, single spaces, no full stop at the end."""
    return " ".join(text.lower().split()).removesuffix(".")


def exact(prediction: str, reference: str) -> float:
    """1 if the two are the same but for case, spaces and a final full stop."""
    return float(normalised(prediction) == normalised(reference))


def anls(prediction: str, reference: str) -> float:
    """Normalised Levenshtein similarity; 0 where the distance reaches half the longer text (DocVQA's metric)."""
    distance = Levenshtein.normalized_distance(normalised(prediction), normalised(reference))
    return 1 - distance if distance < ANLS_THRESHOLD else 0.0


def relaxed(prediction: str, reference: str) -> float:
    """1 if a number is within 5 % of the reference (ChartQA's metric); other answers must match exactly."""
    predicted, expected = number(prediction), number(reference)
    if predicted is None or expected is None:
        return exact(prediction, reference)
    if expected == 0:
        return float(predicted == 0)
    return float(abs(predicted - expected) <= RELAXED_TOLERANCE * abs(expected))


def number(text: str) -> float | None:
    """The number that a text is, thousands separators and a percent sign aside; None if it is none."""
    try:
        value = float(text.strip().replace(",", "").removesuffix("%"))
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None


METRICS = {"exact": exact, "anls": anls, "relaxed": relaxed}
