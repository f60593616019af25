"""The rows of the page's tables, for its template."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eaglebench.report.entries import RunEntry
from eaglebench.report.leaderboard import describe_parts, format_gain, format_scores
from eaglebench.report.rankings import Ranking
from eaglebench.report.settings import (
    FUSION,
    OVERALL,
    ScoredRun,
    Setting,
    list_families,
    name_training_data,
    rows_by_family,
)
from eaglebench.utils.quoting import shorten

UNRANKED = "Runs without a place in a ranking"
MAX_SUMMARY = 60  # characters of what differs, before it is unfolded


def build_ranking(ranking: Ranking) -> dict[str, Any]:
    """A ranking with its heading, its no-image score, a row for each setting, and the table of scores by family."""
    blind = [score for setting in ranking.settings for score in setting.values(OVERALL, "blind")]
    families = list_families(ranking.runs)
    return {
        "title": ranking.title,
        "metrics": ranking.questions.metrics,
        "blind": format_scores(blind),
        "rows": [build_setting_row(setting) for setting in ranking.settings],
        "families": families[1:],
        "by_family": [
            {"parts": describe_parts(setting), "cells": [format_scores(setting.values(name)) for name in families[1:]]}
            for setting in ranking.settings
        ],
    }


def build_setting_row(setting: Setting) -> dict[str, Any]:
    """The row of a setting: means over its seeds."""
    counts = setting.values(OVERALL, "n")
    return {
        "parts": describe_parts(setting),
        **build_score(setting),
        "n": max(counts) if counts else None,
        "seeds": len(setting.runs),
        "fields": build_fields(setting),
    }


def build_score(setting: Setting) -> dict[str, Any]:
    """The overall score of a setting or run as numbers, and its interval and its gain as text."""
    bounds, several, gain = setting.interval(OVERALL), len(setting.runs) > 1, setting.gain(OVERALL)
    spread = f"± {(bounds[1] - bounds[0]) / 2:.3f}" if bounds and several else ""
    return {
        "score": setting.mean(OVERALL),
        "interval": spread or (f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else "-"),
        "gain": gain,
        "gain_text": format_gain(gain),
    }


def build_fields(setting: Setting) -> dict[str, Any]:
    """The fields that differ within a ranking besides those with a column, and their beginning in one line."""
    fields = setting.other_fields
    text = ", ".join(f"{name}={value}" for name, value in fields.items())
    return {"all": fields, "short": shorten(text, MAX_SUMMARY)}


def group_rows(
    entries: Sequence[RunEntry],
    rankings: Sequence[Ranking],
    families: Sequence[str],
    notes: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    """The rows of the table of runs by ranking, the best first, and those of the other runs last.

    Args:
        entries: every run folder of the page.
        rankings: of the finished runs.
        families: the columns of scores, OVERALL the first.
        notes: further sentences about a run, by its name.
    """
    numbers = {entry.name: number for number, entry in enumerate(entries)}

    def build(name: str, setting: Setting | None, run: ScoredRun | None) -> dict[str, Any]:
        number = numbers.pop(name)
        return build_run_row(number, entries[number], setting, run, families, notes.get(name, ()))

    groups = [
        {"title": ranking.title, "rows": [build(run.name, setting, run) for setting, run in list_runs(ranking)]}
        for ranking in rankings
    ]
    others = [build(entry.name, None, entry.run) for entry in entries if entry.name in numbers]
    return [*groups, *([{"title": UNRANKED, "rows": others}] if others else [])]


def list_runs(ranking: Ranking) -> Iterator[tuple[Setting, ScoredRun]]:
    """Yield every run of a ranking with its setting."""
    for setting in ranking.settings:
        for run in setting.runs:
            yield setting, run


def build_run_row(
    number: int,
    entry: RunEntry,
    setting: Setting | None,
    run: ScoredRun | None,
    families: Sequence[str],
    notes: Sequence[str],
) -> dict[str, Any]:
    """The row of a run: its own scores, whatever its other seeds have.

    Args:
        number: of the run in the data of the page's script.
        setting: its place in a ranking; None if it has none.
        run: its scores; None if it has none.
    """
    scores = rows_by_family(run.scores) if run is not None else {}
    fields = entry.setting
    return {
        "number": number,
        "name": entry.name,
        "state": "finished" if entry.finished else "not finished",
        "problems": [*entry.problems, *entry.remarks, *notes],
        "parts": [fields.get("experts", ""), fields.get(FUSION, ""), name_training_data(fields)],
        "stages": fields.get("stages", ""),
        "size": fields.get("size", ""),
        "seed": entry.config.get("seed", ""),
        "n": scores.get(OVERALL, {}).get("n"),
        **(build_score(Setting({}, [run])) if run is not None else dict.fromkeys(("score", "interval", "gain"))),
        "fields": build_fields(setting) if setting is not None else {"all": {}, "short": ""},
        "scores": [scores.get(name, {}) for name in families[1:]],
        "parameters": entry.parameters,
        "seconds": entry.seconds,
    }
