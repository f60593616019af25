"""Pix2Struct's pretext task: what is written in each cell of a page, and how it hangs together.

A dense stand-in for screenshot parsing (arXiv 2210.03347): the same knowledge, learned in minutes on a CPU.
"""

from collections.abc import Iterable, Mapping, Sequence
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.data.synthetic.chart import HIGHEST, VALUE
from eaglebench.data.synthetic.document import FIELDS
from eaglebench.data.synthetic.drawing import COLOURS, Picture
from eaglebench.data.synthetic.shapes import SHAPES
from eaglebench.data.synthetic.text import WORDS
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.grid import to_grid
from eaglebench.zoo.pretext import ExpertPretext, Fields, cell_shares, pixels

CELLS = 8  # K
VALUES = tuple(f"{VALUE}{value}" for value in range(1, HIGHEST + 1))
LABELS = (*COLOURS, *SHAPES, *WORDS, *FIELDS, *map(str, range(10)), *VALUES)
SHARE = 0.2  # of a thing's own area, from which on it counts as being in a cell
HALF = 0.5  # of a cell, which counts too: a large thing has no more than that in any
# A cell holds a handful of the labels at most: without weight, predicting none of them is a long plateau.
POSITIVE_WEIGHT = 3.0


class Cells(ExpertPretext):
    """An expert with one linear head that names the labels of each cell."""

    metric = "F1 of the labels of the cells of held-out pictures"

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        # A map that does not divide the cells is resized to them.
        self.side = part.grid if CELLS % part.grid == 0 else CELLS
        self.split = CELLS // self.side
        self.namer = nn.Conv2d(part.channels, len(LABELS) * self.split**2, 1)

    def item(self, picture: Picture, rng: Random) -> Mapping[str, Tensor]:
        return {"images": pixels(picture), "targets": cell_targets(picture)}

    def logits(self, images: Tensor) -> Tensor:
        """[B, L, K, K] of uint8 images."""
        features = to_grid(self.features(images), self.side)
        return F.pixel_shuffle(self.namer(features), self.split)

    def forward(self, batch: Fields) -> Tensor:
        weight = torch.tensor(POSITIVE_WEIGHT, device=batch.images.device)
        loss = F.binary_cross_entropy_with_logits(self.logits(batch.images), batch.targets.float(), pos_weight=weight)
        return loss * len(LABELS)

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        return f1((self.logits(batch.images) > 0, batch.targets > 0) for batch in self.batches(groups))


def cell_targets(picture: Picture) -> Tensor:
    """Which labels lie in which cell: uint8 [L, K, K]."""
    targets = torch.zeros(len(LABELS), CELLS, CELLS, dtype=torch.uint8)
    shares = torch.from_numpy(cell_shares(picture, CELLS))
    for mark, share in zip(picture.marks, shares, strict=True):
        inside = (share > 0) & ((share >= SHARE * share.sum()) | (share >= HALF))
        for label in mark.told:
            targets[LABELS.index(label)] |= inside
    return targets


def f1(found: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The F1 of predicted against true booleans, over all of them."""
    both = predicted = true = 0
    for one, other in found:
        both += int((one & other).sum())
        predicted += int(one.sum())
        true += int(other.sum())
    return 2 * both / max(predicted + true, 1)
