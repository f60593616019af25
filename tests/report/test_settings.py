"""Runs side by side."""

from eaglebench.report.settings import OVERALL, ScoredRun, flatten_setting, group_runs
from tests.helpers.runs import make_run


def test_runs_that_differ_are_never_averaged_and_the_best_setting_is_first() -> None:
    settings, repeated = group_runs(
        [
            make_run("clip", 0, 0.5, 0.1, lr="1"),
            make_run("clip", 0, 0.7, 0.1, lr="2"),
            make_run("sam", 0, 0.3, 0.2, lr="2"),
        ]
    )
    assert [setting.fields for setting in settings] == [
        {"experts": "clip", "lr": "2"},
        {"experts": "clip", "lr": "1"},
        {"experts": "sam", "lr": "2"},
    ]
    assert repeated == {}


def test_a_field_that_only_one_run_has_tells_them_apart_unless_it_comes_with_a_choice() -> None:
    """Searched answers are not averaged with greedy ones; an expert's own fields say no more than its name."""
    greedy, searched = {"evaluation.generate": "None"}, {"evaluation.generate.num_beams": "3"}
    settings, _ = group_runs([make_run("clip", 0, 0.5, 0.1, **greedy), make_run("clip", 1, 0.7, 0.1, **searched)])
    assert [len(setting.runs) for setting in settings] == [1, 1]
    settings, _ = group_runs(
        [make_run("clip", 0, 0.5, 0.1), make_run("clip+sam", 0, 0.7, 0.1, **{"experts.sam.lr": "None"})]
    )
    assert [list(setting.fields) for setting in settings] == [["experts"], ["experts"]]


def test_the_interval_is_the_spread_over_seeds_or_that_over_questions() -> None:
    (several,), _ = group_runs([make_run("clip", 0, 0.5, 0.1), make_run("clip", 1, 0.7, 0.1)])
    low, high = several.interval(OVERALL) or (0.0, 0.0)
    assert (round(low, 3), round(high, 3)) == (0.279, 0.421)  # 0.3 and 0.4
    (single,), _ = group_runs([make_run("clip", 0, 0.5, 0.1)])
    assert single.interval(OVERALL) == (0.2, 0.4)
    assert single.interval("chart") is None  # of a version without bounds


def test_the_same_run_twice_counts_once_and_is_named() -> None:
    first, second = (
        make_run("clip", 0, 0.5, 0.1),
        ScoredRun("copy", 0, *list(vars(make_run("clip", 0, 0.9, 0.9)).values())[2:]),
    )
    settings, repeated = group_runs([first, second])
    assert settings[0].runs == [first]
    assert repeated == {"copy": "clip0"}


def test_a_setting_is_the_config_without_the_seed() -> None:
    config = {
        "seed": 1,
        "experts": {"clip": {"width": 64}, "sam": {}},
        "fusion": {"name": "x"},
        "stages": {"sft": {"steps": 8}},
    }
    assert flatten_setting(config) == {
        "experts": "clip+sam",
        "stages": "sft",
        "experts.clip.width": "64",
        "fusion.name": "x",
        "stages.sft.steps": "8",
    }
