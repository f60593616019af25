"""The dense targets of the warm-up, against hand-made ones."""

import torch

from eaglebench.build import build_workshop
from eaglebench.zoo.cells import CELLS, LABELS, CellBatch, CellReader, cell_targets
from tests.conftest import EXPERTS, composed


def where(targets, label: str) -> set[tuple[int, int]]:
    rows, columns = targets[LABELS.index(label)].nonzero()
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


def test_a_mark_is_in_the_cells_that_it_covers_enough_of() -> None:
    targets = cell_targets([(["red", "star"], (0.125, 0.25, 0.41, 0.375))])  # columns 1 and 2, a quarter of 3; row 2
    assert where(targets, "red") == where(targets, "star") == {(2, 1), (2, 2)}
    assert targets.sum() == 4


def test_a_small_mark_is_in_the_cell_of_its_centre() -> None:
    assert where(cell_targets([(["7"], (0.99, 0.0, 1.01, 0.02))]), "7") == {(0, 7)}
    assert where(cell_targets([(["=3"], (0.3, 0.6, 0.4, 0.6))]), "=3") == {(4, 2)}


def test_every_expert_has_a_reader_whose_logits_lie_on_the_cells() -> None:
    for name in EXPERTS:
        reader = CellReader(build_workshop(composed(f"experts=[{name}]")).expert(name))
        images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
        targets = torch.randint(0, 2, (2, len(LABELS), CELLS, CELLS), dtype=torch.uint8)
        assert reader.logits(images).shape == (2, len(LABELS) + 2 * CELLS, CELLS, CELLS)
        reader(CellBatch(images, targets)).backward()
        assert all(parameter.grad is not None for parameter in reader.parameters())


def test_a_map_that_does_not_divide_the_cells_is_resized_to_them() -> None:
    reader = CellReader(build_workshop(composed("experts=[clip]", "experts.clip.image_size=96")).expert("clip"))
    assert reader.expert.grid == 6
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    assert reader.logits(images).shape[-2:] == (CELLS, CELLS)
