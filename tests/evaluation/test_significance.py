"""Bootstrap intervals and the paired permutation test, against known results."""

import numpy as np
import pytest
from scipy.stats import binom

from eaglebench.evaluation.significance import bootstrap_mean, bootstrap_statistic, paired_test


def test_the_interval_of_independent_answers_is_the_binomial_one() -> None:
    values = [1.0] * 60 + [0.0] * 40
    interval = bootstrap_mean(values, range(100))
    expected = binom.ppf([0.025, 0.975], 100, 0.6) / 100
    assert [interval.low, interval.high] == pytest.approx(expected, abs=0.015)
    assert interval.resampled.std() == pytest.approx((0.6 * 0.4 / 100) ** 0.5, rel=0.1)


def test_questions_about_one_image_are_resampled_together() -> None:
    """Ten questions about each of ten images, all of one score, are worth ten questions and not a hundred."""
    values, images = [1.0] * 60 + [0.0] * 40, [index // 10 for index in range(100)]
    assert bootstrap_mean(values, images).resampled.std() == pytest.approx((0.6 * 0.4 / 10) ** 0.5, rel=0.1)


def test_a_single_image_has_no_spread() -> None:
    interval = bootstrap_mean([1.0, 0.0], ["a", "a"])
    assert (interval.low, interval.high) == (0.5, 0.5)


def test_the_interval_of_a_statistic_that_is_a_mean_is_that_of_the_mean() -> None:
    rows = [{"score": float(index < 60), "meta": {"image": str(index)}} for index in range(100)]
    statistic = bootstrap_statistic(rows, lambda resample: float(np.mean([row["score"] for row in resample])), "image")
    exact = bootstrap_mean([row["score"] for row in rows], range(100))
    assert [statistic.low, statistic.high] == pytest.approx([exact.low, exact.high], abs=0.03)


def test_an_image_that_is_drawn_twice_is_two() -> None:
    rows = [{"score": 1.0, "meta": {"image": str(index)}} for index in range(5)]
    different = bootstrap_statistic(
        rows, lambda resample: float(len({row["meta"]["image"] for row in resample})), "image"
    )
    assert set(different.resampled) == {5.0}


def test_two_runs_that_differ_by_chance_and_two_that_do_not() -> None:
    generator = np.random.default_rng(1)
    first = (generator.random(400) < 0.6).astype(float)
    flipped = generator.choice(400, 40, replace=False)
    other = first.copy()
    other[flipped] = 1 - first[flipped]
    same = paired_test(first, other, range(400))
    assert same.difference == pytest.approx(float(np.mean(other - first)))
    assert same.n == 400
    better = np.maximum(first, (np.arange(400) % 10 == 0).astype(float))
    clear = paired_test(first, better, range(400))
    assert clear.low > 0
    assert clear.p_value < 0.001 < same.p_value
    assert paired_test(first, first, range(400)).p_value == 1.0


def test_the_p_value_of_few_questions_is_exact() -> None:
    """Five questions that all went from wrong to right: of 32 ways to flip signs, two are as far from 0."""
    assert paired_test([0] * 5, [1] * 5, range(5)).p_value == pytest.approx(2 / 32)
    assert paired_test([0] * 10, [1] * 10, [index // 2 for index in range(10)]).p_value == pytest.approx(2 / 32)
