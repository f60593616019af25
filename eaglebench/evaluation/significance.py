"""How far scores may be chance: intervals by drawing the questions again, and two runs on the same questions.

Questions about one image stand or fall together, so that images are drawn, not questions.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, permutation_test

Floats = NDArray[np.float64]

DRAWS = 1000
DRAWS_ONE_BY_ONE = 200  # of figures that are no means: each takes a pass over all rows
FLIPS = 9999
BATCH_BYTES = 2**27  # of what is drawn at a time
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """What a figure is when the questions are drawn again and again, and the bounds of the middle 95 %."""

    drawn: Floats

    @property
    def low(self) -> float:
        return float(np.quantile(self.drawn, (1 - CONFIDENCE) / 2))

    @property
    def high(self) -> float:
        return float(np.quantile(self.drawn, (1 + CONFIDENCE) / 2))


@dataclass(frozen=True)
class Paired(Interval):
    """Two runs on the same questions.

    Attributes:
        difference: of the means, the second less the first; the interval is its.
        p_value: how often chance alone would give one as large, either way, by flipping signs at random.
        n: questions.
    """

    difference: float
    p_value: float
    n: int


def of_mean(values: Sequence[float], units: Sequence[Hashable], seed: int = 0) -> Interval:
    """The interval of a mean.

    Args:
        values: of the questions.
        units: what each question is about; those of one are drawn together.
        seed: of the drawing; figures that are averaged want one each.
    """
    sums, counts = per_unit(values, units)
    if len(sums) == 1:  # nothing can be drawn
        return Interval(np.full(DRAWS, sums[0] / counts[0]))
    drawn = bootstrap(
        (sums, counts),
        ratio,
        paired=True,
        vectorized=True,
        n_resamples=DRAWS,
        batch=batch_of(sums),
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Interval(drawn.bootstrap_distribution)


def of_figure(rows: Sequence[Mapping[str, Any]], figure: Callable[[Any], float], unit: str, seed: int = 0) -> Interval:
    """The interval of any figure of rows.

    Args:
        unit: the field of `meta` whose rows are drawn together; the same one drawn twice is two.
    """
    return Interval(np.array([figure(drawn) for drawn in drawings(rows, unit, seed)]))


def drawings(rows: Sequence[Mapping[str, Any]], unit: str, seed: int) -> Iterator[list[Mapping[str, Any]]]:
    """The rows of units drawn at random, as many as there are."""
    units: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        units.setdefault(row["meta"][unit], []).append(row)
    generator, of_units = np.random.default_rng(seed), list(units.items())
    for _ in range(DRAWS_ONE_BY_ONE):
        taken = Counter(generator.integers(len(of_units), size=len(of_units)).tolist())
        yield [
            {**row, "meta": {**row["meta"], unit: f"{of_units[index][0]} {copy}"}}
            for index, times in taken.items()
            for copy in range(times)
            for row in of_units[index][1]
        ]


def paired(first: Sequence[float], second: Sequence[float], units: Sequence[Hashable], seed: int = 0) -> Paired:
    """What two runs differ by on the same questions."""
    differences = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    interval = of_mean(differences.tolist(), units, seed)
    sums, counts = per_unit(differences.tolist(), units)
    moved = sums[sums != 0]  # the others are the same with either sign
    p_value = 1.0
    if len(moved) > 1:  # the two signs of one are as far from 0
        p_value = permutation_test(
            (moved,),
            np.sum,
            permutation_type="samples",
            vectorized=True,
            n_resamples=FLIPS,
            batch=batch_of(moved),
            rng=np.random.default_rng(seed),
        ).pvalue
    return Paired(interval.drawn, float(differences.mean()), float(min(1.0, p_value)), int(counts.sum()))


def per_unit(values: Sequence[float], units: Sequence[Hashable]) -> tuple[Floats, Floats]:
    """The sum and the number of the values of each unit."""
    places: dict[Hashable, int] = {}
    index = np.array([places.setdefault(unit, len(places)) for unit in units])
    sums: Floats = np.bincount(index, weights=np.asarray(values, dtype=np.float64)).astype(np.float64)
    return sums, np.bincount(index).astype(np.float64)


def ratio(sums: Floats, counts: Floats, axis: int = -1) -> Floats:
    """The mean of all values."""
    quotient: Floats = sums.sum(axis) / counts.sum(axis)
    return quotient


def batch_of(units: Floats) -> int:
    """How many drawings fit into memory together."""
    return max(1, BATCH_BYTES // (8 * len(units)))
