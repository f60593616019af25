"""Runs are ranked and averaged with those that answered the same questions, and with no others."""

from dataclasses import replace

from eaglebench.report.rankings import rank_runs
from tests.helpers.runs import make_questions, make_run

OTHERS = make_questions("my.json", chart="others", text="t")


def test_settings_are_ranked_within_one_set_of_questions_the_larger_one_first() -> None:
    runs = [
        make_run("clip", 0, 0.9, 0.9, questions=OTHERS),
        make_run("clip", 0, 0.5, 0.1),
        make_run("sam", 0, 0.7, 0.1),
    ]
    first, second = rank_runs(runs)[0]
    assert [setting.experts for setting in first.settings] == ["sam", "clip"]
    assert [setting.mean("overall") for setting in second.settings] == [0.9]


def test_seeds_are_averaged_and_repeated_within_one_set_of_questions() -> None:
    runs = [make_run("clip", 0, 0.5, 0.1), make_run("clip", 0, 0.9, 0.9, questions=OTHERS)]
    rankings, repeated = rank_runs(runs)
    assert [len(ranking.runs) for ranking in rankings] == [1, 1]
    assert repeated == {}


def test_a_field_that_differs_between_rankings_alone_is_none_of_a_ranking() -> None:
    runs = [
        make_run("clip", 0, 0.5, 0.1),
        make_run("sam", 0, 0.5, 0.1),
        make_run("clip", 0, 0.5, 0.1, questions=OTHERS, **{"data.val": "my.json"}),
    ]
    assert [list(setting.fields) for ranking in rank_runs(runs)[0] for setting in ranking.settings] == [["experts"]] * 3


def test_smoke_tests_are_last_whatever_their_number() -> None:
    smoke = replace(OTHERS, key="smoke", smoke_test=True)
    runs = [make_run("clip", seed, 0.9, 0.9, questions=smoke) for seed in range(3)] + [make_run("clip", 0, 0.5, 0.1)]
    assert [ranking.title for ranking in rank_runs(runs)[0]] == [
        "synthetic: 40 questions of 2 families",
        "smoke tests on my.json: 40 questions of 2 families",
    ]


def test_two_sets_of_one_name_and_size_have_two_titles() -> None:
    runs = [
        make_run("clip", 0, 0.5, 0.1, questions=make_questions("my.json", chart=key, text=key)) for key in ("a", "b")
    ]
    titles = {ranking.title for ranking in rank_runs(runs)[0]}
    assert len(titles) == 2 and all(title.startswith("my.json: 40 questions of 2 families (set ") for title in titles)


def test_a_benchmark_that_was_asked_later_is_one_column_for_each_set_of_its_questions() -> None:
    runs = [
        make_run("clip", seed, 0.5, 0.1, questions=make_questions(chart="c", text="t", later={"gqa": key}))
        for seed, key in enumerate(("whole", "whole", "half"))
    ]
    for run in runs:
        run.scores["families"]["gqa"] = {"score": 0.6}
    (ranking,), _ = rank_runs(runs)
    (setting,) = ranking.settings
    assert (len(setting.values("gqa (whole)")), len(setting.values("gqa (half)"))) == (2, 1)
    (ranking,), _ = rank_runs(runs[:2])
    assert len(ranking.settings[0].values("gqa")) == 2
