"""Statistical significance of scores: bootstrap intervals, and a paired permutation test of two runs.

Questions about one image are not independent. Therefore images are resampled, and not questions.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, permutation_test

Floats = NDArray[np.float64]

RESAMPLES = 1000
STATISTIC_RESAMPLES = 200  # of statistics that are no means: each resample takes a pass over all rows
PERMUTATIONS = 9999
BATCH_BYTES = 2**27  # memory for the resamples that are drawn at once
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A bootstrap confidence interval.

    Attributes:
        resampled: [R], the statistic of each bootstrap resample.
    """

    resampled: Floats

    @property
    def low(self) -> float:
        """The lower bound of the 95 % percentile interval."""
        return float(np.quantile(self.resampled, (1 - CONFIDENCE) / 2))

    @property
    def high(self) -> float:
        """The upper bound of the 95 % percentile interval."""
        return float(np.quantile(self.resampled, (1 + CONFIDENCE) / 2))


@dataclass(frozen=True)
class PairedTest(Interval):
    """Two runs on the same questions; the interval is that of their mean difference.

    Attributes:
        difference: the mean of the second run less the mean of the first.
        p_value: two-sided, of the paired sign-flip permutation test.
        n: the number of questions.
    """

    difference: float
    p_value: float
    n: int


def bootstrap_mean(values: Sequence[float], units: Sequence[Hashable], seed: int = 0) -> Interval:
    """The bootstrap interval of the mean of `values`.

    Args:
        values: a score for each question.
        units: what each question is about, such as its image; questions of one unit are resampled together.
        seed: of the resamples. Means that are averaged afterwards need different seeds.
    """
    sums, counts = sum_by_unit(values, units)
    if len(sums) == 1:  # a single unit cannot be resampled
        return Interval(np.full(RESAMPLES, sums[0] / counts[0]))
    result = bootstrap(
        (sums, counts),
        divide_sums,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=resamples_per_batch(sums),
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Interval(result.bootstrap_distribution)


def bootstrap_statistic(
    rows: Sequence[Mapping[str, Any]], statistic: Callable[[Any], float], unit: str, seed: int = 0
) -> Interval:
    """The bootstrap interval of any statistic of rows.

    Args:
        rows: one for each answer, see `metrics/rows.py`.
        statistic: the number that a list of such rows gives.
        unit: the field of `meta` whose rows are resampled together. A unit that is drawn twice counts as two units.
        seed: of the resamples.
    """
    return Interval(np.array([statistic(resample) for resample in resample_rows(rows, unit, seed)]))


def resample_rows(rows: Sequence[Mapping[str, Any]], unit: str, seed: int) -> Iterator[list[Mapping[str, Any]]]:
    """Yield bootstrap resamples: the rows of as many units as there are, drawn with replacement and renamed apart."""
    by_unit: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_unit.setdefault(row["meta"][unit], []).append(row)
    generator, units = np.random.default_rng(seed), list(by_unit.items())
    for _ in range(STATISTIC_RESAMPLES):
        drawn = Counter(generator.integers(len(units), size=len(units)).tolist())
        yield [
            {**row, "meta": {**row["meta"], unit: f"{units[index][0]} {copy}"}}
            for index, times in drawn.items()
            for copy in range(times)
            for row in units[index][1]
        ]


def paired_test(
    first: Sequence[float], second: Sequence[float], units: Sequence[Hashable], seed: int = 0
) -> PairedTest:
    """The paired sign-flip permutation test of two runs, with the bootstrap interval of their mean difference.

    Args:
        first: the scores of the first run, one for each question.
        second: those of the second run on the same questions.
        units: what each question is about; signs are flipped for all questions of a unit together.
        seed: of the resamples and the permutations.
    """
    differences = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    interval = bootstrap_mean(differences.tolist(), units, seed)
    sums, counts = sum_by_unit(differences.tolist(), units)
    changed = sums[sums != 0]  # a unit without a difference is the same under either sign
    p_value = 1.0
    if len(changed) > 1:  # with a single one, both signs are as extreme
        p_value = permutation_test(
            (changed,),
            np.sum,
            permutation_type="samples",
            vectorized=True,
            n_resamples=PERMUTATIONS,
            batch=resamples_per_batch(changed),
            rng=np.random.default_rng(seed),
        ).pvalue
    return PairedTest(interval.resampled, float(differences.mean()), float(min(1.0, p_value)), int(counts.sum()))


def sum_by_unit(values: Sequence[float], units: Sequence[Hashable]) -> tuple[Floats, Floats]:
    """The sum and the number of the values of each unit: two arrays [U]."""
    indices: dict[Hashable, int] = {}
    index = np.array([indices.setdefault(unit, len(indices)) for unit in units])
    sums: Floats = np.bincount(index, weights=np.asarray(values, dtype=np.float64)).astype(np.float64)
    return sums, np.bincount(index).astype(np.float64)


def divide_sums(sums: Floats, counts: Floats, axis: int = -1) -> Floats:
    """The mean over all values of the units along `axis`."""
    quotient: Floats = sums.sum(axis) / counts.sum(axis)
    return quotient


def resamples_per_batch(units: Floats) -> int:
    """How many resamples of the units fit into BATCH_BYTES."""
    return max(1, BATCH_BYTES // (8 * len(units)))
