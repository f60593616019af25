"""The predictions and thumbnails that the page has."""

import json
from collections import Counter
from pathlib import Path

from eaglebench.report.predictions import Thumbnails, choose_predictions
from tests.helpers.run_folders import FAMILIES, write_images, write_run


def test_the_same_questions_in_every_run_evenly_from_all_families(tmp_path: Path) -> None:
    one = choose_predictions([write_run(tmp_path / "a", questions=100) / "predictions.jsonl"], 10, {})
    lines = (write_run(tmp_path / "b", questions=100, seed=1) / "predictions.jsonl").read_text().splitlines()
    (tmp_path / "b" / "predictions.jsonl").write_text("\n".join(reversed(lines)))
    other = choose_predictions([tmp_path / "b" / "predictions.jsonl"], 10, {})
    assert list(one.rows) == list(other.rows)
    assert Counter(row["family"] for row in one.rows.values()) == dict.fromkeys(FAMILIES, 2)
    assert (one.total, one.damaged) == (100, 0)


def test_lines_that_are_no_predictions_are_counted(tmp_path: Path) -> None:
    good = {"family": "x", "question": "?", "reference": "a", "prediction": "b", "score": 0.5}  # of an older version
    bad = [
        "",
        "[1]",
        '{"family": "x"',
        json.dumps({**good, "score": "a"}),
        json.dumps({**good, "reference": None})[:-9],
    ]
    path = tmp_path / "predictions.jsonl"
    path.write_text("\n".join([json.dumps(good), *bad]))
    chosen = choose_predictions([path], 10, {})
    assert [row["references"] for row in chosen.rows.values()] == [["a"]]
    assert (chosen.total, chosen.damaged) == (1, 5)


def test_each_thumbnail_is_stored_once_and_only_within_the_budget(tmp_path: Path) -> None:
    first, second, third = write_images(tmp_path, 3, side=200)
    (tmp_path / "copy.png").write_bytes(first.read_bytes())
    thumbnails = Thumbnails()
    keys = [thumbnails.add(str(path)) for path in (first, first, tmp_path / "copy.png", second)]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert len(thumbnails.uris) == 2 and all(uri.startswith("data:image/webp;") for uri in thumbnails.uris.values())
    small = Thumbnails(budget=1)
    assert small.add(str(first)) and small.add(str(second)) is None and small.add(str(third)) is None
    assert small.left_out == 2


def test_files_that_are_no_images_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    thumbnails = Thumbnails()
    assert [thumbnails.add(str(path)) for path in (tmp_path / "a.png", tmp_path / "none.png", tmp_path)] == [None] * 3
    assert thumbnails.missing == 3
    assert thumbnails.add(None) is None and thumbnails.missing == 3  # a question without an image
