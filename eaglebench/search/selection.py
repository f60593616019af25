"""Which sets of experts are tried next, and which one is kept. A search gives what it keeps so far and what to try, and is sent figures.

Round-robin is the procedure of Eagle (section 3.4 and figure 4), whose decisions had no measure of chance; the other two are the usual
alternatives.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import fmean, stdev

from eaglebench.utils.errors import UserError

FAILED = "every trial of the last round failed"
Set = tuple[str, ...]  # names of experts, the base first


@dataclass(frozen=True)
class Figure:
    """The scores of a set, one for each seed."""

    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        return fmean(self.scores)

    @property
    def error(self) -> float:
        """The standard error of the mean; 0 for a single seed, which has no spread."""
        return stdev(self.scores) / sqrt(len(self.scores)) if len(self.scores) > 1 else 0.0


Figures = Mapping[Set, Figure | None]  # None: it failed


@dataclass(frozen=True)
class Found:
    """The set that a search ended with, and why it ended."""

    kept: Set
    why: str


Search = Generator[tuple[Set, Sequence[Set]], Figures, Found]


def round_robin(start: Sequence[str], pool: Sequence[str], min_gain: float, beyond_spread: bool) -> Search:
    """Add one expert in each round, the one that gives the best score, as long as it gains enough.

    Args:
        start: experts that are there from the beginning, the base first.
        pool: those that can be added.
        min_gain: of the score, that an expert is to exceed.
        beyond_spread: a gain is also to exceed the standard error of the difference between the means over seeds.
    """
    kept, left = tuple(start), [name for name in pool if name not in start]
    best = figure_of((yield (kept, [kept])), kept)
    while left:
        tried = [(*kept, name) for name in left]
        figures = yield (kept, tried)
        if not any(figures.values()):
            return Found(kept, FAILED)
        better, figure = leader(figures, tried)
        gain = figure.mean - best.mean
        if gain <= min_gain:
            return Found(kept, f"nothing gains more than {min_gain:g}: the best, {better[-1]}, {gain:+.4f}")
        chance = sqrt(figure.error**2 + best.error**2)
        if beyond_spread and gain <= chance:
            return Found(
                kept, f"the gain of the best, {better[-1]}, {gain:+.4f}, is within the seeds' spread ({chance:.4f})"
            )
        kept, best = better, figure
        left.remove(better[-1])
    return Found(kept, "the pool is empty")


def backward(pool: Sequence[str], max_loss: float) -> Search:
    """Begin with all experts, and leave one out in each round, the one that costs least, as long as that is little enough.

    Args:
        pool: all of them, the base first.
        max_loss: of the score, that may be lost in a round.
    """
    kept = tuple(pool)
    best = figure_of((yield (kept, [kept])), kept)
    while len(kept) > 1:
        tried = [tuple(name for name in kept if name != out) for out in kept]
        figures = yield (kept, tried)
        if not any(figures.values()):
            return Found(kept, FAILED)
        better, figure = leader(figures, tried)
        loss = best.mean - figure.mean
        (out,) = set(kept) - set(better)
        if loss > max_loss:
            return Found(kept, f"nothing can go for {max_loss:g}: the cheapest, {out}, {-loss:+.4f}")
        kept, best = better, figure
    return Found(kept, "one expert is left")


def exhaustive(start: Sequence[str], pool: Sequence[str], max_sets: int) -> Search:
    """Try every set that has the experts of the start.

    Args:
        start: experts that every set has; none is fine.
        pool: those that a set may have.
        max_sets: more are refused.
    """
    others = [name for name in pool if name not in start]
    sets = [(*start, *more) for size in range(len(others) + 1) for more in combinations(others, size)]
    tried = [one for one in sets if one]
    if len(tried) > max_sets:
        raise UserError(
            f"{len(tried)} sets are more than select.max_sets={max_sets}: shorten select.pool, or raise it."
        )
    better, _ = leader((yield (tuple(start), tried)), tried)
    return Found(better, "all sets were tried")


def leader(figures: Figures, tried: Sequence[Set]) -> tuple[Set, Figure]:
    """The set with the best mean, the first of equal ones.

    Raises:
        UserError: all of them failed.
    """
    known = [(one, figure) for one in tried if (figure := figures[one]) is not None]
    if not known:
        raise UserError("every trial failed: see what each said above, and run the same command again.")
    return max(known, key=lambda pair: pair[1].mean)


def figure_of(figures: Figures, one: Set) -> Figure:
    """The figure of the set that a search begins with.

    Raises:
        UserError: it failed.
    """
    figure = figures[one]
    if figure is None:
        raise UserError(
            f"{'+'.join(one)}, which the search begins with, failed: see above, and run the same command again."
        )
    return figure


@dataclass(frozen=True)
class Round:
    """The figures of what was tried in a round, and the set that was kept after it."""

    figures: Figures
    kept: Set


def walk(search: Search, score: Callable[[int, Sequence[Set]], Figures]) -> tuple[list[Round], Found]:
    """Carry a search out.

    Args:
        score: gives the figures of sets, in the round of that number.
    """
    tables: list[Figures] = []
    kept_after: list[Set] = []
    kept, tried = next(search)
    while True:
        tables.append(score(len(tables), tried))
        try:
            kept, tried = search.send(tables[-1])
        except StopIteration as end:
            kept_after.append(end.value.kept)
            return [Round(*both) for both in zip(tables, kept_after, strict=True)], end.value
        kept_after.append(kept)
