"""Searches for the best set of experts: which sets are tried in each round, and which one is kept.

Round-robin is the procedure of Eagle (section 3.4 and figure 4), which decides by the mean score alone. Backward
elimination and exhaustive search are the usual alternatives.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import fmean, stdev

from eaglebench.utils.errors import UserError

FAILED = "every trial of the last round failed"
ExpertSet = tuple[str, ...]  # names of experts, the base first


@dataclass(frozen=True)
class SeedScores:
    """The scores of a set of experts, one for each seed."""

    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return fmean(self.scores)

    @property
    def error(self) -> float:
        """The standard error of the mean; 0 for a single seed, which has no spread."""
        return stdev(self.scores) / sqrt(len(self.scores)) if len(self.scores) > 1 else 0.0


RoundScores = Mapping[ExpertSet, SeedScores | None]  # by the set; None if a trial of it failed


@dataclass(frozen=True)
class SearchResult:
    """The set that a search ends with, and why it ends there."""

    kept: ExpertSet
    why: str


# Yields the set that is kept so far and the sets to try, and is sent the scores of these.
Search = Generator[tuple[ExpertSet, Sequence[ExpertSet]], RoundScores, SearchResult]


def round_robin(start: Sequence[str], pool: Sequence[str], min_gain: float, beyond_spread: bool) -> Search:
    """In each round, add the expert with the best score, as long as it gains enough.

    Args:
        start: experts of the first set, the base first.
        pool: experts that can be added.
        min_gain: an expert is added if it gains more than this, in units of the score.
        beyond_spread: the gain must also exceed the standard error of the difference between the means over seeds.
    """
    kept, left = tuple(start), [name for name in pool if name not in start]
    best = start_scores((yield (kept, [kept])), kept)
    while left:
        tried = [(*kept, name) for name in left]
        scores = yield (kept, tried)
        if not any(scores.values()):
            return SearchResult(kept, FAILED)
        better, its_scores = best_set(scores, tried)
        gain = its_scores.mean - best.mean
        if gain <= min_gain:
            return SearchResult(kept, f"nothing gains more than {min_gain:g}: the best, {better[-1]}, {gain:+.4f}")
        spread = sqrt(its_scores.error**2 + best.error**2)
        if beyond_spread and gain <= spread:
            why = f"the gain of the best, {better[-1]}, {gain:+.4f}, is within the seeds' spread ({spread:.4f})"
            return SearchResult(kept, why)
        kept, best = better, its_scores
        left.remove(better[-1])
    return SearchResult(kept, "the pool is empty")


def backward(pool: Sequence[str], max_loss: float) -> Search:
    """Begin with all experts; in each round, leave out the one that costs least, as long as that is little enough.

    Args:
        pool: all experts, the base first.
        max_loss: the drop of the score that a round may cost.
    """
    kept = tuple(pool)
    best = start_scores((yield (kept, [kept])), kept)
    while len(kept) > 1:
        tried = [tuple(name for name in kept if name != out) for out in kept]
        scores = yield (kept, tried)
        if not any(scores.values()):
            return SearchResult(kept, FAILED)
        better, its_scores = best_set(scores, tried)
        loss = best.mean - its_scores.mean
        (out,) = set(kept) - set(better)
        if loss > max_loss:
            why = f"no expert can be left out at a loss of at most {max_loss:g}: the cheapest, {out}, {-loss:+.4f}"
            return SearchResult(kept, why)
        kept, best = better, its_scores
    return SearchResult(kept, "one expert is left")


def exhaustive(start: Sequence[str], pool: Sequence[str], max_sets: int) -> Search:
    """Try every set that contains the experts of `start`.

    Args:
        start: experts of every set; may be empty.
        pool: experts that a set may have besides.
        max_sets: the most sets that are tried.

    Raises:
        UserError: there are more than `max_sets` sets.
    """
    others = [name for name in pool if name not in start]
    sets = [(*start, *more) for size in range(len(others) + 1) for more in combinations(others, size)]
    tried = [experts for experts in sets if experts]
    if len(tried) > max_sets:
        raise UserError(
            f"{len(tried)} sets are more than select.max_sets={max_sets}: shorten select.pool, or raise it."
        )
    better, _ = best_set((yield (tuple(start), tried)), tried)
    return SearchResult(better, "all sets were tried")


def best_set(scores: RoundScores, tried: Sequence[ExpertSet]) -> tuple[ExpertSet, SeedScores]:
    """The set with the best mean score and its scores; the first of equal ones.

    Raises:
        UserError: all sets failed.
    """
    known = [(experts, its_scores) for experts in tried if (its_scores := scores[experts]) is not None]
    if not known:
        raise UserError("every trial failed: see each one's error above, and run the same command again.")
    return max(known, key=lambda pair: pair[1].mean)


def start_scores(scores: RoundScores, experts: ExpertSet) -> SeedScores:
    """The scores of the set that a search begins with.

    Raises:
        UserError: a trial of it failed.
    """
    found = scores[experts]
    if found is None:
        raise UserError(
            f"{'+'.join(experts)}, which the search begins with, failed: see above, and run the same command again."
        )
    return found


@dataclass(frozen=True)
class SearchRound:
    """The scores of the sets that a round tried, and the set that was kept after it."""

    scores: RoundScores
    kept: ExpertSet


def run_search(
    search: Search, score: Callable[[int, Sequence[ExpertSet]], RoundScores]
) -> tuple[list[SearchRound], SearchResult]:
    """Run a search to its end, and return its rounds and its result.

    Args:
        score: gives the scores of the sets that the round of this number tries, from 0 on.

    Raises:
        UserError: the search cannot begin or go on, as where every trial of its first set failed.
    """
    tables: list[RoundScores] = []
    kept_after: list[ExpertSet] = []
    _, tried = next(search)
    while True:
        tables.append(score(len(tables), tried))
        try:
            kept, tried = search.send(tables[-1])
        except StopIteration as end:
            kept_after.append(end.value.kept)
            rounds = [SearchRound(*both) for both in zip(tables, kept_after, strict=True)]
            return rounds, end.value
        kept_after.append(kept)
