"""The synthetic world: deterministic, honest about what lies where, and free of leaks between splits."""

import hashlib
import json
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from random import Random
from statistics import fmean

import numpy as np
import pytest

from eaglebench.data.llava import read_samples
from eaglebench.data.synthetic import compositions
from eaglebench.data.synthetic.compositions import draw_seen
from eaglebench.data.synthetic.drawing import COLOURS, Mark, SceneQuestion
from eaglebench.data.synthetic.engine import (
    COMPOSITION,
    FAMILIES,
    HELD_OUT,
    KINDS,
    Rendered,
    RenderJob,
    World,
    kind_of,
    render_held_out_records,
    render_world,
)
from eaglebench.data.synthetic.overlap import balance_questions
from eaglebench.data.synthetic.transcription import write_transcription
from eaglebench.utils.errors import UserError
from eaglebench.zoo.readout import find_key
from tests.helpers.pretexts import blank_scene

WORLD = World(train_images=40, val_questions=5, canvas=64, mixture={kind: 1.0 for kind in KINDS}, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_world(WORLD, tmp_path_factory.mktemp("world"), workers=1)


def pixels(folder: Path, split: str) -> set[str]:
    records = json.loads((folder / f"{split}.json").read_text())
    return {hashlib.sha256((folder / record["image"]).read_bytes()).hexdigest() for record in records}


def test_the_same_numbers_give_the_same_world(folder: Path, tmp_path: Path) -> None:
    again = render_world(WORLD, tmp_path, workers=2)
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in names)


def test_it_is_rendered_once(folder: Path) -> None:
    before = (folder / "val.json").stat().st_mtime_ns
    assert render_world(WORLD, folder.parent) == folder
    assert (folder / "val.json").stat().st_mtime_ns == before


def test_a_process_that_is_killed_while_it_renders_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise BrokenProcessPool

    with monkeypatch.context() as patch:
        patch.setattr("eaglebench.data.synthetic.engine.render_into", kill)
        with pytest.raises(UserError, match=r"a process that renders images was killed.*renders them again"):
            render_world(WORLD, tmp_path, workers=1)
    assert not list(tmp_path.iterdir())


def test_another_seed_gives_another_world(folder: Path, tmp_path: Path) -> None:
    other = render_world(World(**{**WORLD.__dict__, "seed": 4}), tmp_path, workers=1)
    assert not pixels(folder, "train") & pixels(other, "train")


def test_the_splits_share_no_image(folder: Path) -> None:
    splits = [pixels(folder, split) for split in ("train", *HELD_OUT)]
    assert sum(map(len, splits)) == len(set.union(*splits))


def test_an_image_that_was_seen_is_drawn_again() -> None:
    """The first images of a held-out split are all in the training split, the next ones are equal to each other."""
    drawn = []

    def draw(jobs: list[RenderJob]) -> list[Rendered]:
        drawings = []
        for job in jobs:
            number = len(drawn)
            digest = "seen" if number < 6 else "twin" if number < 12 else str(number)
            drawn.append(job.name)
            questions = [SceneQuestion("q", "a", family, "t") for family in FAMILIES if kind_of(family) == job.kind]
            drawings.append(Rendered(digest, questions, ""))
        return drawings

    world = World(**{**WORLD.__dict__, "val_questions": 1})
    records = render_held_out_records(world, "val", draw, {"seen"})
    places = [drawn.index(record["id"]) for record in records]
    assert len(records) == len(FAMILIES)
    assert min(places) >= 6
    assert sum(place < 12 for place in places) == 1


@pytest.mark.parametrize("split", HELD_OUT)
def test_every_family_has_as_many_held_out_questions(folder: Path, split: str) -> None:
    samples = read_samples(folder / f"{split}.json", checked=folder.parent / "checked")
    families = [turn.family for sample in samples for turn in sample.turns]
    expected = dict.fromkeys(FAMILIES, WORLD.val_questions)
    if split == COMPOSITION:
        expected = dict.fromkeys(compositions.FAMILIES, 2)  # a third of them, rounded up
    assert {family: families.count(family) for family in families} == expected
    assert all(len(sample.turns) == 1 for sample in samples)


def test_held_out_questions_are_any_of_their_family() -> None:
    """As in training, most questions about a chart are about a value; a family is not filled with its commonest one."""

    def draw(jobs: list[RenderJob]) -> list[Rendered]:
        return [Rendered(job.name, KINDS[job.kind](Random(job.name), 32).questions, "") for job in jobs]

    world = World(**{**WORLD.__dict__, "val_questions": 60})
    records = render_held_out_records(world, "val", draw, set())
    asked = [record["conversations"][0]["value"] for record in records if "chart" in record["id"]]
    assert len(asked) == 60
    assert 0.1 < fmean("highest" in text for text in asked) < 0.35


def test_every_training_image_has_a_caption(folder: Path) -> None:
    train, captions = (json.loads((folder / f"{name}.json").read_text()) for name in ("train", "captions"))
    assert [record["image"] for record in captions] == [record["image"] for record in train]
    samples = read_samples(folder / "captions.json")
    assert all(len(sample.turns) == 1 and not sample.turns[0].question for sample in samples)
    for record, sample in zip(captions, samples, strict=True):
        draw = KINDS[record["id"].split("-")[1]]
        scene = draw_seen(draw, Random(f"{WORLD.seed} {record['id']}"), WORLD.canvas)
        assert sample.turns[0].answer == write_transcription(scene)


def test_a_transcription_says_what_is_where_in_reading_order() -> None:
    sign = blank_scene(Mark(["HUT", "blue"], (64, 40, 100, 52)), Mark(["CAT", "red"], (2, 2, 40, 20)))
    assert write_transcription(sign) == "a1 red CAT, c2 blue HUT"
    form = blank_scene(
        *(Mark([text], (left, 70, left + 9, 90)) for text, left in (("total", 2), ("4", 72), ("7", 104)))
    )
    assert write_transcription(form) == "a3 total 47"
    chart = blank_scene(Mark(["red", "=5"], (20, 60, 40, 120)))
    assert write_transcription(chart) == "a3 red 5"
    pile = blank_scene(
        Mark(["circle", "red"], (2, 2, 90, 90), rank="largest"), Mark(["square", "blue"], (70, 70, 99, 99))
    )
    assert write_transcription(pile) == "b2 largest red circle, c3 blue square"
    for seed in range(30):
        board = KINDS["shapes"](Random(seed), 128)
        phrases = write_transcription(board).split(", ")
        assert len(phrases) == len(board.marks)
        for question in board.questions:
            if question.family == "position":
                key = find_key(question)
                assert [phrase.split()[0] for phrase in phrases if key in phrase.split()] == [question.answer]


def test_the_rank_of_an_area_is_said_where_it_is_clear() -> None:
    seen = set()
    for seed in range(100):
        scene = KINDS["pile"](Random(seed), 128)
        areas = [int((scene.regions == number).sum()) for number in range(1, len(scene.marks) + 1)]
        for mark, area in zip(scene.marks, areas, strict=True):
            others = [other for other in areas if other != area]
            clear = {"largest": area > 1.3 * max(others), "smallest": 1.3 * area < min(others), None: True}
            assert clear[mark.rank]
            seen.add(mark.rank)
            phrase = f"{mark.rank} {mark.labels[1]} {mark.labels[0]}"
            assert (phrase in write_transcription(scene)) == (mark.rank is not None)
    assert seen == {"largest", "smallest", None}


def test_no_constant_answers_the_questions_about_areas() -> None:
    right = {"largest": [], "smallest": []}
    for seed in range(300):
        scene = KINDS["pile"](Random(seed), 64)
        questions = balance_questions(Random(seed), scene)
        assert questions
        sizes = [int((scene.regions == number).sum()) for number in range(1, len(scene.marks) + 1)]
        for name, index in (("largest", sizes.index(max(sizes))), ("smallest", sizes.index(min(sizes)))):
            right[name] += [question.answer == scene.marks[index].labels[1] for question in questions]
    assert max(map(fmean, right.values())) < 0.47  # chance is 0.29


@pytest.mark.parametrize("kind", KINDS)
def test_things_lie_in_their_boxes_and_show(kind: str) -> None:
    for seed in range(20):
        scene = KINDS[kind](Random(seed), 128)
        image = np.asarray(scene.image.convert("L"), dtype=float)
        assert scene.marks
        assert set(np.unique(scene.regions)) == {*range(len(scene.marks) + 1)}
        for number, mark in enumerate(scene.marks, start=1):
            rows, columns = (scene.regions == number).nonzero()
            left, top, right, bottom = mark.box
            assert 0 <= left < right <= 129 and 0 <= top < bottom <= 129
            assert (
                left - 1 <= columns.min() and columns.max() <= right and top - 1 <= rows.min() and rows.max() <= bottom
            )
            if kind in ("shapes", "pile"):
                assert mark.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            background = image[scene.regions == 0].max()
            assert (background - image[rows, columns]).max() > 15, (kind, seed, mark)


def test_questions_of_one_board_do_not_answer_each_other() -> None:
    """No two questions are about the same shape: the answer must come from the image."""
    for seed in range(100):
        scene = KINDS["shapes"](Random(seed), 64)
        named = []
        for question in scene.questions:
            for mark in scene.marks:
                if question.family != "counting" and find_key(question) in mark.labels:
                    named.append(tuple(mark.box))
        assert len(named) == len(set(named))


def test_answers_about_boards_are_right() -> None:
    for seed in range(60):
        board = KINDS["shapes"](Random(seed), 64)
        for question in board.questions:
            if question.family == "counting":
                assert question.answer == str(len(board.marks))
                continue
            (mark,) = [mark for mark in board.marks if find_key(question) in mark.labels]
            shape, colour = mark.labels
            column, row = (int((mark.box[i] + mark.box[i + 2]) / 2 / 64 * 4) for i in (0, 1))
            expected = {"What colour": colour, "Which shape": shape, "Where is": f"{'abcd'[column]}{row + 1}"}
            assert question.answer == expected[" ".join(question.text.split()[:2])]


def test_answers_about_overlaps_are_right() -> None:
    """Checked on the pixels: areas by the number of pixels of a colour, occlusion by the order of the shapes."""
    types = set()
    for seed in range(150):
        scene = KINDS["pile"](Random(seed), 128)
        colours = [mark.labels[1] for mark in scene.marks]
        image = np.asarray(scene.image, dtype=int)
        areas = {colour: int((np.abs(image - COLOURS[colour]).max(axis=2) < 12).sum()) for colour in colours}
        for question in scene.questions:
            types.add(question.type)
            others = [area for colour, area in areas.items() if colour != question.answer]
            if question.type == "largest":
                assert question.text == "What colour is the largest shape?"
                assert areas[question.answer] > 1.15 * max(others)
            elif question.type == "smallest":
                assert question.text == "What colour is the smallest shape?"
                assert 1.15 * areas[question.answer] < min(others)
            else:
                # Shapes are drawn in the order of their marks.
                assert colours.index(question.answer) > colours.index(find_key(question))
    assert types == {"largest", "smallest", "cover"}


def test_answers_about_writing_and_charts_are_right() -> None:
    for seed in range(60):
        sign = KINDS["text"](Random(seed), 64)
        written = {mark.labels[1]: mark.labels[0] for mark in sign.marks}
        assert {find_key(question): question.answer for question in sign.questions} == written
        form = KINDS["document"](Random(seed), 64)
        rows = [form.marks[start : start + 3] for start in range(0, len(form.marks), 3)]
        values = {key.labels[0]: tens.labels[0] + ones.labels[0] for key, tens, ones in rows}
        assert {find_key(question): question.answer for question in form.questions} == values
        for key, tens, ones in rows:
            assert (key.field, tens.field, ones.field) == (None, *key.labels * 2)
            assert tens.all_labels == [*tens.labels, *key.labels]
        chart = KINDS["chart"](Random(seed), 64)
        heights = {mark.labels[0]: mark.labels[1][1:] for mark in chart.marks}
        for question in chart.questions:
            if question.type == "highest":
                assert int(heights[question.answer]) == max(map(int, heights.values()))
            else:
                assert question.answer == heights[find_key(question)]


def test_colours_are_told_apart() -> None:
    colours = [np.array(rgb, dtype=float) for rgb in COLOURS.values()]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(colours) for b in colours[:i]]
    assert min(distances) > 60
