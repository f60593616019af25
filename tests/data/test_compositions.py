"""Compositions that training never shows, and the split that asks for nothing else."""

import json
from pathlib import Path
from random import Random

import pytest

from eaglebench.data.synthetic.compositions import UNSEEN, asks_unseen, draw_seen, draw_unseen, shows_unseen
from eaglebench.data.synthetic.drawing import Mark, SceneQuestion
from eaglebench.data.synthetic.engine import COMPOSITION, HELD_OUT, KINDS, World, render_world
from tests.helpers.pretexts import blank_scene, dataset_of, pretext_of


@pytest.mark.parametrize(
    ("mark", "shown"),
    [
        (Mark(["star", "red"], (0, 0, 9, 9)), True),
        (Mark(["star", "pink"], (0, 0, 9, 9)), False),
        (Mark(["CAT", "red"], (0, 0, 9, 9)), True),
        (Mark(["red", "=7"], (0, 0, 9, 9)), True),
        (Mark(["red", "=8"], (0, 0, 9, 9)), False),
        (Mark(["7"], (0, 0, 9, 9), field="total"), True),
        (Mark(["7"], (0, 0, 9, 9), field="code"), False),
    ],
)
def test_a_composition_is_two_labels_of_one_thing(mark: Mark, shown: bool) -> None:
    assert shows_unseen(blank_scene(Mark(["ring", "black"], (0, 0, 9, 9)), mark)) == shown


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        (SceneQuestion("Which shape is red?", "star", "attributes", "shape"), True),
        (SceneQuestion("What colour is the star?", "red", "attributes", "colour"), True),
        (SceneQuestion("What colour is the star?", "blue", "attributes", "colour"), False),
        (SceneQuestion("What is the total?", "47", "document", "number"), True),
        (SceneQuestion("What is the total?", "44", "document", "number"), False),
        (SceneQuestion("How high is the red bar?", "7", "chart", "height"), True),
        (SceneQuestion("Where is the green one?", "c3", "position", "by colour"), False),
    ],
)
def test_a_question_asks_for_one_part_by_the_other(question: SceneQuestion, asks: bool) -> None:
    assert asks_unseen(question) == asks


@pytest.mark.parametrize("kind", KINDS)
def test_no_training_scene_shows_one_but_all_their_parts_are_common(kind: str) -> None:
    rng = Random(kind)
    scenes = [draw_seen(KINDS[kind], rng, 32) for _ in range(400)]
    assert not any(map(shows_unseen, scenes))
    labels = [label.removeprefix("=") for scene in scenes for mark in scene.marks for label in mark.all_labels]
    of_kind = [pair for pair in UNSEEN if pair <= set(labels)]
    assert of_kind
    assert all(labels.count(part) > 20 for pair in of_kind for part in pair)
    if kind != "pile":  # no family of the split asks about piles
        scene = draw_unseen(KINDS[kind], rng, 32)
        assert shows_unseen(scene)
        assert scene.questions and all(map(asks_unseen, scene.questions))


def test_pretraining_leaves_them_out_too() -> None:
    items = [item for group in dataset_of(pretext_of("llm"), 300).groups(100) for item in group]
    assert not any(shows_unseen(item.scene) for item in items if item.scene is not None)


def test_the_other_splits_never_ask_for_one(tmp_path: Path) -> None:
    world = World(train_images=60, val_questions=9, canvas=64, mixture={kind: 1.0 for kind in KINDS}, seed=3)
    folder = render_world(world, tmp_path, workers=1)
    for split in ("train", *HELD_OUT):
        turns = [
            turn for record in json.loads((folder / f"{split}.json").read_text()) for turn in record["conversations"]
        ]
        pairs = zip(turns[::2], turns[1::2], strict=True)
        asked = [
            asks_unseen(SceneQuestion(question["value"], answer["value"], answer["family"], answer["type"]))
            for question, answer in pairs
        ]
        assert all(asked) if split == COMPOSITION else not any(asked)
