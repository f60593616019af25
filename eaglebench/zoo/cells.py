"""What lies in each cell of a synthetic picture: the dense task that an expert's warm-up learns.

Shape letters: B batch, L labels, K side of the grid of cells.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase, digits
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from eaglebench.data.synthetic.chart import HIGHEST
from eaglebench.data.synthetic.document import FIELDS
from eaglebench.data.synthetic.drawing import COLOURS
from eaglebench.data.synthetic.shapes import SHAPES
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.grid import to_grid

CELLS = 8  # K: half a cell of the board of shapes, about one character of a form
LABELS = (*COLOURS, *SHAPES, *FIELDS, *digits, *ascii_uppercase, *(f"={value}" for value in range(1, HIGHEST + 1)))
COVERED = 0.3  # of a cell's area, from which on a mark counts as being in it
# A cell holds a handful of the labels at most: without weight, predicting none of them is a long plateau.
POSITIVE_WEIGHT = 4.0


def places() -> Tensor:
    """Row and column of every cell, one-hot: float [2 K, K, K]."""
    line = torch.eye(CELLS)
    return torch.cat([line[:, :, None].expand(-1, -1, CELLS), line[:, None, :].expand(-1, CELLS, -1)])


def cell_targets(marks: Sequence[tuple[Sequence[str], Sequence[float]]]) -> np.ndarray:
    """Which labels lie in which cell: uint8 [L, K, K] of marks [labels, [left, top, right, bottom]] in [0, 1]."""
    targets = np.zeros((len(LABELS), CELLS, CELLS), dtype=np.uint8)
    edges = np.arange(CELLS + 1)
    for labels, box in marks:
        left, top, right, bottom = (edge * CELLS for edge in box)
        across = np.clip(np.minimum(right, edges[1:]) - np.maximum(left, edges[:-1]), 0, None)
        down = np.clip(np.minimum(bottom, edges[1:]) - np.maximum(top, edges[:-1]), 0, None)
        inside = np.outer(down, across) >= COVERED
        # A mark smaller than a cell lies in the cell of its centre.
        middle = (min(int((top + bottom) / 2), CELLS - 1), min(int((left + right) / 2), CELLS - 1))
        inside[max(middle[0], 0), max(middle[1], 0)] = True
        for label in labels:
            targets[LABELS.index(label)] |= inside
    return targets


class CellDataset(Dataset[tuple[Tensor, Tensor]]):
    """Images uint8 [3, S, S] with their targets uint8 [L, K, K], of the records of a synthetic file in `folder`."""

    def __init__(
        self, records: Sequence[Mapping[str, Any]], folder: Path, read_image: Callable[[Path], Tensor]
    ) -> None:
        self.records = records
        self.folder = folder
        self.read_image = read_image
        self._targets: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.read_image(self.folder / self.records[index]["image"]), self.targets(index)

    def targets(self, index: int) -> Tensor:
        """The targets of one record, kept after the first use."""
        if index not in self._targets:
            self._targets[index] = torch.from_numpy(cell_targets(self.records[index]["marks"]))
        return self._targets[index]


@dataclass
class CellBatch:
    """Images uint8 [B, 3, S, S] and targets uint8 [B, L, K, K]."""

    images: Tensor
    targets: Tensor

    def to(self, device: torch.device | str) -> Self:
        """The batch on `device`."""
        return type(self)(self.images.to(device), self.targets.to(device))

    @classmethod
    def collate(cls, items: Sequence[tuple[Tensor, Tensor]]) -> Self:
        """The batch of some items."""
        images, targets = zip(*items, strict=True)
        return cls(torch.stack(images), torch.stack(targets))

    def __len__(self) -> int:
        return len(self.images)


class CellReader(nn.Module):
    """An expert with one linear head that says what lies in each cell, and which cell it is; the loss of a `CellBatch`.

    Naming the cell keeps the place in the features, where questions about positions will look for it. Without it, positions
    were not learned in the time of the default experiment.
    """

    places: Tensor

    def __init__(self, expert: VisionExpert) -> None:
        super().__init__()
        self.expert = expert
        # A map that does not divide the cells is resized to them.
        self.side = expert.grid if CELLS % expert.grid == 0 else CELLS
        self.split = CELLS // self.side
        self.head = nn.Conv2d(expert.channels, (len(LABELS) + 2 * CELLS) * self.split**2, 1)
        self.register_buffer("places", places(), persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        """[B, L + 2 K, K, K] of uint8 images: labels, row, column."""
        features = to_grid(self.expert(self.expert.preprocess(images)), self.side)
        return F.pixel_shuffle(self.head(features), self.split)

    def forward(self, batch: CellBatch) -> Tensor:
        """The binary cross-entropy, summed over labels and averaged over cells."""
        weight = torch.tensor(POSITIVE_WEIGHT, device=batch.images.device)
        targets = torch.cat([batch.targets.float(), self.places.expand(len(batch), -1, -1, -1)], dim=1)
        loss = F.binary_cross_entropy_with_logits(self.logits(batch.images), targets, pos_weight=weight)
        return loss * targets.shape[1]
