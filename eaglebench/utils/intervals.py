"""Confidence intervals of scores."""

STANDARD_ERRORS = 1.96  # from the mean to the bounds of a normal 95 % interval


def normal_interval(mean: float, stderr: float) -> tuple[float, float]:
    """The 95 % interval of a normally distributed estimate."""
    return mean - STANDARD_ERRORS * stderr, mean + STANDARD_ERRORS * stderr
