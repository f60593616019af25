"""EVA-02's pretext task: targets in the cells of centres, and the F1 of detections."""

from random import Random

import pytest
import torch

from eaglebench.data.synthetic.drawing import Mark
from eaglebench.zoo.detection import CELLS, Detection
from eaglebench.zoo.pretext import TensorBatch
from tests.helpers.pretexts import blank_scene, pretext_of


def test_detections_count_once_each_with_the_right_class(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("eva02")
    assert isinstance(pretext, Detection)
    scene = blank_scene(Mark(["star", "red"], (0, 0, 32, 32)), Mark(["3"], (96, 96, 112, 128)))
    item = pretext.make_item(scene, Random(0))
    objectness = torch.full((1, CELLS, CELLS), -9.0)
    classes, boxes = torch.zeros(1, CELLS, CELLS, 10), torch.zeros(1, CELLS, CELLS, 4)

    def detect(row: int, column: int, number: int, box: tuple[float, ...]) -> None:
        objectness[0, row, column], classes[0, row, column, number] = 9, 9
        boxes[0, row, column] = torch.tensor(box)

    monkeypatch.setattr(pretext, "predict", lambda images: (objectness, classes, boxes))
    star, digit = item["classes"][:2].tolist()
    detect(1, 1, star, (0, 0, 0.25, 0.25))
    assert pretext.score([[item]]) == pytest.approx(2 / 3)
    detect(6, 6, digit, (0.75, 0.75, 0.875, 1))
    assert pretext.score([[item]]) == 1
    detect(0, 0, star, (0, 0, 0.24, 0.25))  # the same again: merged
    assert pretext.score([[item]]) == 1
    detect(4, 4, digit, (0.2, 0.2, 0.9, 0.9))  # nothing there
    assert pretext.score([[item]]) == pytest.approx(4 / 5)
    detect(6, 6, star, (0.75, 0.75, 0.875, 1))
    classes[0, 6, 6, digit] = 0  # the wrong class
    assert pretext.score([[item]]) < 0.5


@pytest.mark.parametrize("transposed", [False, True])
def test_a_detection_is_learned_where_its_centre_lies(monkeypatch: pytest.MonkeyPatch, transposed: bool) -> None:
    pretext = pretext_of("eva02")
    assert isinstance(pretext, Detection)
    box = torch.tensor([0.75, 0.0, 1.0, 0.25])  # its centre is in row 1, column 7
    objectness, classes = torch.full((1, CELLS, CELLS), -20.0), torch.zeros(1, CELLS, CELLS, 10)
    boxes = torch.zeros(1, CELLS, CELLS, 4)
    row, column = (7, 1) if transposed else (1, 7)
    objectness[0, row, column], classes[0, row, column, 0], boxes[0, row, column] = 20, 20, box
    monkeypatch.setattr(pretext, "predict", lambda images: (objectness, classes, boxes))
    item = pretext.make_item(blank_scene(Mark(["circle", "red"], (96, 0, 128, 32))), Random(0))
    loss = float(pretext(TensorBatch.stack([item])))
    assert (loss > 1) if transposed else (loss < 1e-3)


def test_boxes_are_around_the_centres_of_their_cells() -> None:
    pretext = pretext_of("eva02")
    assert isinstance(pretext, Detection)
    with torch.no_grad():
        for parameter in pretext.predictor.parameters():
            parameter.zero_()
        _, _, boxes = pretext.predict(torch.zeros(1, 3, 128, 128, dtype=torch.uint8))
    middle = (boxes[0, 1, 6, :2] + boxes[0, 1, 6, 2:]) / 2
    torch.testing.assert_close(middle, torch.tensor([6.5, 1.5]) / CELLS)
