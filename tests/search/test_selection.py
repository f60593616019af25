"""Which sets are tried and kept, given what each scores."""

from collections.abc import Mapping, Sequence

import pytest

from eaglebench.search.selection import (
    ExpertSet,
    RoundScores,
    Search,
    SearchResult,
    SearchRound,
    SeedScores,
    backward,
    exhaustive,
    round_robin,
    run_search,
)
from eaglebench.utils.errors import UserError

# The paper's figure 4.
PAPER = {
    "clip+convnext": 681.5,
    "clip+convnext+dinov2": 685.4,
    "clip+convnext+sam": 690.4,
    "clip+convnext+pix2struct": 685.1,
    "clip+convnext+eva02": 690.7,
    "clip+convnext+eva02+dinov2": 688.0,
    "clip+convnext+eva02+sam": 689.4,
    "clip+convnext+eva02+pix2struct": 694.6,
    "clip+convnext+eva02+pix2struct+dinov2": 684.7,
    "clip+convnext+eva02+pix2struct+sam": 697.1,
    "clip+convnext+eva02+pix2struct+sam+dinov2": 686.8,
}
POOL = ["dinov2", "sam", "pix2struct", "eva02"]


def run(search: Search, scores: Mapping[str, float | Sequence[float] | None]) -> tuple[list[SearchRound], SearchResult]:
    """The rounds and the result of a search where each set has these scores."""

    def score(number: int, sets: Sequence[ExpertSet]) -> RoundScores:
        found = {}
        for one in sets:
            its_scores = scores["+".join(one)]
            each = (its_scores,) if isinstance(its_scores, float) else its_scores
            found[one] = None if each is None else SeedScores(tuple(each))
        return found

    return run_search(search, score)


def test_round_robin_does_what_the_paper_did() -> None:
    rounds, found = run(round_robin(["clip", "convnext"], POOL, 0.0, False), PAPER)
    assert [len(one.scores) for one in rounds] == [1, 4, 3, 2, 1]
    assert [one.kept[-1] for one in rounds] == ["convnext", "eva02", "pix2struct", "sam", "sam"]
    assert found.kept == ("clip", "convnext", "eva02", "pix2struct", "sam")
    assert found.why == "nothing gains more than 0: the best, dinov2, -10.3000"


def test_a_gain_has_to_exceed_the_least_one() -> None:
    _, found = run(round_robin(["clip", "convnext"], POOL, 3.0, False), PAPER)
    assert found.kept == ("clip", "convnext", "eva02", "pix2struct")
    scores = {"a": 0.5, "a+b": 0.5}
    assert run(round_robin(["a"], ["b"], 0.0, False), scores)[1].kept == ("a",)


def test_a_gain_within_the_spread_of_seeds_is_none_if_so_asked() -> None:
    scores = {"a": [0.4, 0.5, 0.6], "a+b": [0.42, 0.52, 0.62]}
    rounds, found = run(round_robin(["a"], ["b"], 0.0, True), scores)
    assert (found.kept, [one.kept for one in rounds]) == (("a",), [("a",), ("a",)])
    assert found.why == "the gain of the best, b, +0.0200, is within the seeds' spread (0.0816)"
    assert run(round_robin(["a"], ["b"], 0.0, False), scores)[1].kept == ("a", "b")
    clear = {"a": [0.4, 0.5, 0.6], "a+b": [0.7, 0.8, 0.9]}
    assert run(round_robin(["a"], ["b"], 0.0, True), clear)[1].kept == ("a", "b")


def test_a_failed_trial_does_not_end_the_round() -> None:
    scores = {"a": 0.1, "a+b": None, "a+c": 0.2, "a+c+b": None}
    assert run(round_robin(["a"], ["b", "c"], 0.0, False), scores)[1] == SearchResult(
        ("a", "c"), "every trial of the last round failed"
    )
    rounds, found = run(round_robin(["a"], ["b", "c"], 0.0, False), {**scores, "a+c+b": 0.3})
    assert found == SearchResult(("a", "c", "b"), "the pool is empty")
    assert rounds[1].scores["a", "b"] is None
    with pytest.raises(UserError, match="a, which the search begins with, failed"):
        run(round_robin(["a"], ["b"], 0.0, False), {"a": None})


def test_backward_elimination_leaves_out_what_costs_least() -> None:
    scores = {"a+b+c": 0.9, "b+c": 0.5, "a+c": 0.88, "a+b": 0.91, "b": 0.2, "a": 0.7}
    rounds, found = run(backward(["a", "b", "c"], 0.0), scores)
    assert found == SearchResult(
        ("a", "b"), "no expert can be left out at a loss of at most 0: the cheapest, b, -0.2100"
    )
    assert [one.kept for one in rounds] == [("a", "b", "c"), ("a", "b"), ("a", "b")]
    assert run(backward(["a", "b", "c"], 0.5), scores)[1] == SearchResult(("a",), "one expert is left")


def test_an_exhaustive_search_tries_every_set() -> None:
    scores = {"a": 0.3, "b": 0.2, "c": 0.1, "a+b": 0.4, "a+c": 0.6, "b+c": 0.5, "a+b+c": 0.55}
    rounds, found = run(exhaustive([], ["a", "b", "c"], 7), scores)
    assert rounds[0].scores.keys() == {tuple(name.split("+")) for name in scores}
    assert found == SearchResult(("a", "c"), "all sets were tried")
    assert set(run(exhaustive(["b"], ["a", "c"], 7), {**scores, "b+a": 0.4, "b+a+c": 0.5})[0][0].scores) == {
        ("b",), ("b", "a"), ("b", "c"), ("b", "a", "c"),
    }  # fmt: skip
    with pytest.raises(UserError, match=r"7 sets are more than select.max_sets=6"):
        run(exhaustive([], ["a", "b", "c"], 6), scores)
