"""Pix2Struct's pretext task: the labels of cells, and their F1."""

import pytest
import torch

from eaglebench.data.synthetic.drawing import Mark
from eaglebench.zoo.cells import CELLS, LABELS, compute_f1, make_cell_targets
from tests.helpers.pretexts import blank_scene


def test_cell_targets() -> None:
    targets = make_cell_targets(
        blank_scene(Mark(["red", "=3"], (16, 32, 48, 48)), Mark(["7"], (120, 0, 124, 6), "date"))
    )
    found = {(LABELS[label], *cell) for label, *cell in targets.nonzero().tolist()}
    assert found == {
        *(("red", 2, 1), ("red", 2, 2), ("=3", 2, 1), ("=3", 2, 2)),
        *(("7", 0, 7), ("date", 0, 7)),  # a value's field is known where the value is
    }
    assert targets.shape == (len(LABELS), CELLS, CELLS)


def test_f1() -> None:
    one, other = torch.tensor([1, 1, 0, 0]).bool(), torch.tensor([1, 0, 1, 0]).bool()
    assert compute_f1([(one, one)]) == 1
    assert compute_f1([(one, ~one)]) == 0
    assert compute_f1([(one, other), (one, one)]) == pytest.approx(0.75)
    assert compute_f1([]) == 0
