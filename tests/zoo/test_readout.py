"""What the heads of experts answer: right where the head is, and nothing where it cannot tell."""

from random import Random

import pytest
import torch
from torch import Tensor

from eaglebench.data.synthetic.drawing import SceneQuestion
from eaglebench.data.synthetic.engine import FAMILIES, KINDS
from eaglebench.zoo.cells import Cells, make_cell_targets
from eaglebench.zoo.classification import CLASSES, Classification
from eaglebench.zoo.contrastive import Contrastive
from eaglebench.zoo.detection import CLASSES as KINDS_OF_THINGS
from eaglebench.zoo.detection import Detection
from eaglebench.zoo.pretext import ExpertPretext
from eaglebench.zoo.readout import draw_questions, find_key, list_candidates, read_families
from eaglebench.zoo.transcription import Transcription, write_transcript
from tests.helpers.pretexts import pretext_of

IMAGE = torch.zeros(1, 3, 128, 128, dtype=torch.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_right_answer_is_among_the_candidates(kind: str) -> None:
    for seed in range(30):
        scene = KINDS[kind](Random(seed), 64)
        for question in scene.questions:
            candidates = list_candidates(question)
            assert bool(candidates) == ((question.family, question.type) in LABELLED)
            if candidates:
                first, second = candidates[question.answer]
                things = [mark.all_labels for mark in scene.marks]
                if question.family == "document":
                    assert all([digit, first] in things for digit in second)
                else:
                    assert any({first, second} == set(labels) for labels in things)


LABELLED = {
    ("attributes", "shape"),
    ("attributes", "colour"),
    ("text", "word"),
    ("chart", "height"),
    ("document", "number"),
}


def read_one(pretext: ExpertPretext, question: SceneQuestion) -> str | None:
    (answer,) = pretext.read(IMAGE, [question])
    return answer


@pytest.mark.parametrize("family", ["attributes", "text", "document", "chart", "position"])
def test_a_head_of_cells_reads_what_its_targets_say(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("pix2struct")
    assert isinstance(pretext, Cells)
    for scene, question in draw_questions(family, 20, 128, "cells"):
        logits = (make_cell_targets(scene).float() - 0.5)[None] * 20
        monkeypatch.setattr(pretext, "predict", lambda _, logits=logits: logits)
        expected = None if question.type == "highest" else question.answer
        assert read_one(pretext, question) == expected


def test_a_pooled_head_reads_pairs_with_a_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("convnext")
    assert isinstance(pretext, Classification)
    logits = torch.zeros(1, len(CLASSES))
    logits[0, CLASSES["red star"]] = logits[0, CLASSES["blue =5"]] = 1
    logits[0, CLASSES["star"]] = 9
    monkeypatch.setattr(pretext, "predict", lambda _: logits)
    assert read_one(pretext, SceneQuestion("Which shape is red?", "star", "attributes", "shape")) == "star"
    assert read_one(pretext, SceneQuestion("What colour is the star?", "red", "attributes", "colour")) == "red"
    assert read_one(pretext, SceneQuestion("How high is the blue bar?", "5", "chart", "height")) == "5"
    assert read_one(pretext, SceneQuestion("What is the total?", "47", "document", "number")) is None


def test_a_contrastive_head_takes_the_nearest_caption(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("clip")
    assert isinstance(pretext, Contrastive)

    def embed_texts(words: Tensor) -> Tensor:
        captions = pretext.tokenizer.batch_decode(words, skip_special_tokens=True)
        return torch.tensor([[float(caption in ("total 47", "red HUT"))] for caption in captions])

    monkeypatch.setattr(pretext, "embed_images", lambda images: torch.ones(len(images), 1))
    monkeypatch.setattr(pretext, "embed_texts", embed_texts)
    assert read_one(pretext, SceneQuestion("What is the total?", "47", "document", "number")) == "47"
    assert read_one(pretext, SceneQuestion("What is written in red?", "HUT", "text", "word")) == "HUT"
    assert read_one(pretext, SceneQuestion("How many shapes are there?", "3", "counting", "number")) is None


def test_a_transcript_answers_what_its_lines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("sam_vary")
    assert isinstance(pretext, Transcription)
    for family in ("text", "document"):
        for scene, question in draw_questions(family, 10, 128, "lines"):
            text = write_transcript(scene)
            monkeypatch.setattr(pretext, "write", lambda _, text=text: [text])
            assert read_one(pretext, question) == question.answer
            monkeypatch.setattr(pretext, "write", lambda _: ["no text"])
            assert read_one(pretext, question) == ""
    assert read_one(pretext, SceneQuestion("Which shape is red?", "star", "attributes", "shape")) is None


def test_detections_count_shapes_and_say_where_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("eva02")
    assert isinstance(pretext, Detection)
    classes = torch.tensor([KINDS_OF_THINGS.index(name) for name in ("star", "word", "ring")])
    boxes = torch.tensor([[0.3, 0.8, 0.4, 0.9], [0, 0, 1, 1], [0.75, 0, 1, 0.2]])
    monkeypatch.setattr(pretext, "detect", lambda _: iter([(boxes, classes)]))
    assert read_one(pretext, SceneQuestion("How many shapes are there?", "2", "counting", "number")) == "2"
    assert read_one(pretext, SceneQuestion("Where is the star?", "b4", "position", "by shape")) == "b4"
    assert read_one(pretext, SceneQuestion("Where is the ring?", "d1", "position", "by shape")) == "d1"
    assert read_one(pretext, SceneQuestion("Where is the cross?", "d1", "position", "by shape")) == ""
    assert read_one(pretext, SceneQuestion("Where is the red one?", "d1", "position", "by colour")) is None


def test_families_are_shares_of_right_answers() -> None:
    class Perfect(Cells):
        def read(self, images_B3SS: Tensor, questions: list[SceneQuestion]) -> list[str | None]:  # type: ignore[override]
            assert images_B3SS.shape == (len(questions), 3, 64, 64) and images_B3SS.dtype == torch.uint8
            return [question.answer if question.family != "area" else None for question in questions]

    perfect = Perfect(pretext_of("pix2struct").part)  # type: ignore[arg-type]
    assert read_families(perfect, 70, 64, "s") == dict.fromkeys([name for name in FAMILIES if name != "area"], 1.0)
    assert read_families(pretext_of("dinov2"), 2, 64, "s") == {}  # type: ignore[arg-type]


def test_a_question_names_one_label() -> None:
    assert find_key(SceneQuestion("What colour covers the red shape?", "blue", "area", "cover")) == "red"
    assert find_key(SceneQuestion("What is the name?", "12", "document", "number")) == "name"
