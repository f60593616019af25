"""The benchmarks of Eagle's tables, and the average over eleven of them."""

from typing import Any

import pytest

from eaglebench.evaluation.benchmarks import BENCHMARKS, EAGLE11, compute_eagle_average
from eaglebench.evaluation.metrics import AGGREGATES, METRICS
from eaglebench.utils.errors import UserError

COLUMNS = "gqa vizwiz mme seed ocrbench docvqa chartqa ai2d pope realworldqa scienceqa"


def parse_scores(row: str) -> dict[str, float]:
    return dict(zip(COLUMNS.split(), map(float, row.split()), strict=True))


def test_the_average_is_over_eleven() -> None:
    assert tuple(COLUMNS.split()) == EAGLE11


@pytest.mark.parametrize(
    ("row", "printed"),
    [
        # Table 11: five fusions of two experts, two of three.
        ("64.8 54.5 1563 73.4 532 77.7 67.6 72.4 87.9 61.2 68.8", 690.5),
        ("63.2 48.0 1497 73.5 551 77.7 67.0 72.4 88.3 59.1 70.7", 681.5),
        ("64.5 57.2 1538 72.0 498 74.5 63.8 72.3 87.7 59.2 68.7", 678.7),
        ("65.3 56.9 1548 72.9 478 68.3 63.2 71.5 87.3 59.7 69.4", 672.5),
        ("64.0 57.3 1504 72.7 463 69.5 64.4 73.3 87.4 62.8 68.9", 674.3),
        ("64.3 53.6 1539 73.2 525 77.9 67.0 72.3 87.4 60.1 69.5", 686.2),
        ("63.3 55.9 1528 73.3 545 78.9 67.2 72.3 88.4 59.2 70.0", 690.4),
        # Table 12: the rounds of the selection.
        ("63.2 51.7 1565 73.9 538 77.7 67.8 73.6 89.0 61.4 69.4", 690.7),
        ("64.8 56.5 1561 73.4 540 78.8 67.5 72.2 88.4 59.9 70.5", 694.6),
        ("64.7 59.1 1528 73.9 529 78.6 67.8 72.9 88.8 62.2 69.7", 697.1),
        ("63.8 57.8 1512 73.5 525 75.1 65.8 71.8 88.4 61.4 69.9", 686.8),
        # Table 13: with pre-alignment, its last row.
        ("64.6 58.7 1582 73.7 566 79.8 69.3 73.5 88.7 63.9 71.9", 708.9),
        # Table 3 of the rows of Table 10, whose own averages follow no formula (as 659.7 for the second).
        ("63.3 53.5 1526 70.6 404 70.4 60.8 71.6 87.5 57.1 68.6", 654.6),
        ("63.3 54.4 1510 72.9 518 77.9 67.0 72.1 88.1 58.8 68.6", 682.1),
        ("57.3 49.0 1216 56.9 38 20.1 17.4 69.2 84.3 49.2 66.8", 486.2),
    ],
)
def test_the_average_is_that_of_the_papers_tables(row: str, printed: float) -> None:
    assert compute_eagle_average(parse_scores(row)) == pytest.approx(printed, abs=0.2)  # of rounded scores


@pytest.mark.parametrize(
    ("row", "printed", "by_formula"),
    [
        ("63.2 55.1 1574 70.2 354 59.6 42.1 71.1 86.7 58.0 72.5", 616.5, 629.6),
        ("65.6 57.8 1534 73.7 526 65.0 61.1 73.7 87.3 57.7 71.5", 670.5, 675.2),
        ("64.9 55.7 1503 72.4 509 64.6 62.0 72.2 87.1 57.4 71.2", 674.2, 666.9),
    ],
)
def test_tables_2_and_9_print_another_average(row: str, printed: float, by_formula: float) -> None:
    assert compute_eagle_average(parse_scores(row)) == pytest.approx(by_formula, abs=0.1)
    assert abs(compute_eagle_average(parse_scores(row)) - printed) > 4


def test_a_missing_benchmark_is_named() -> None:
    known = parse_scores("64.8 54.5 1563 73.4 532 77.7 67.6 72.4 87.9 61.2 68.8")
    del known["mme"], known["realworldqa"]
    with pytest.raises(UserError, match="mme, realworldqa have no score"):
        compute_eagle_average(known | {"textvqa": 70.0})


def test_a_perfect_model_gets_1000() -> None:
    perfect = {name: 100.0 for name in EAGLE11} | {"ocrbench": 1000, "mme": 2000}
    assert compute_eagle_average(perfect) == 1000


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_description_names_what_there_is(name: str) -> None:
    benchmark = BENCHMARKS[name]
    assert {benchmark.metric, benchmark.open_metric or "exact", *benchmark.metrics.values()} <= set(METRICS)
    assert benchmark.aggregate in AGGREGATES
    assert benchmark.suffix == "" or benchmark.suffix.startswith("\n")


def test_the_official_score_is_the_scaled_aggregate() -> None:
    rows = [
        {"prediction": "yes", "references": ["yes"], "score": 1.0},
        {"prediction": "yes", "references": ["no"], "score": 0},
    ]
    assert BENCHMARKS["gqa"].compute_official_score(rows) == 50.0
    assert BENCHMARKS["pope"].compute_official_score(rows) == pytest.approx(200 / 3)
    assert BENCHMARKS["ocrbench"].compute_official_score(rows) == 1.0


@pytest.mark.parametrize(
    ("name", "meta", "metric"),
    [
        ("ocrbench", {"category": "Handwritten Mathematical Expression Recognition"}, "contains_formula"),
        ("ocrbench", {"category": "Doc-oriented VQA"}, "contains"),
        ("gqa", {"category": None}, "exact_words"),
        ("gqa", {}, "exact_words"),
        ("mmmu", {"choices": ["a", "b"]}, "mmmu"),
        ("mmmu", {"category": "Art"}, "mmmu_open"),
    ],
)
def test_category_and_options_choose_the_metric(name: str, meta: dict[str, Any], metric: str) -> None:
    assert BENCHMARKS[name].metric_for(meta) == metric


def rows_of(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"meta": {"category": category, "image": image}} for category, image in pairs]


@pytest.mark.parametrize(
    ("name", "rows", "problem"),
    [
        ("mme", rows_of(("count", "a.png"), ("count", "a.png"), ("count", "b.png")), "and count b.png has 1"),
        ("mme", rows_of(("count", "a.png"), ("color", "a.png")), "and count a.png has 1"),
        ("mmvp", rows_of(("pair 1", "1.jpg"), ("pair 1", "2.jpg"), ("pair 2", "3.jpg")), "and pair 2 has 1"),
        ("mmvp", rows_of(*[("pair 1", "1.jpg")] * 3), "and pair 1 has 3"),
    ],
)
def test_half_a_pair_is_refused(name: str, rows: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        BENCHMARKS[name].check_categories(name, rows)


def test_whole_pairs_are_not() -> None:
    BENCHMARKS["mme"].check_categories("mme", rows_of(*[("count", "a.png")] * 2, *[("color", "a.png")] * 2))
    BENCHMARKS["mmvp"].check_categories("mmvp", rows_of(("pair 1", "1.jpg"), ("pair 1", "2.jpg")))
