"""Pix2Struct's pretext task: what each cell of a page shows, its text and structure.

A dense stand-in for screenshot parsing (arXiv 2210.03347): the same knowledge, learned in minutes on a CPU.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.data.synthetic.cell_shares import compute_cell_shares
from eaglebench.data.synthetic.chart import HIGHEST, VALUE
from eaglebench.data.synthetic.document import FIELDS
from eaglebench.data.synthetic.drawing import COLOURS, Scene, SceneQuestion
from eaglebench.data.synthetic.shapes import PLACES, SHAPES
from eaglebench.data.synthetic.shapes import SIDE as BOARD
from eaglebench.data.synthetic.text import WORDS
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.grid import to_grid
from eaglebench.zoo.pretext import ExpertPretext, TensorBatch, to_pixels
from eaglebench.zoo.readout import find_key, list_candidates

CELLS = 8  # K
VALUES = tuple(f"{VALUE}{value}" for value in range(1, HIGHEST + 1))
LABELS = (*COLOURS, *SHAPES, *WORDS, *FIELDS, *map(str, range(10)), *VALUES)
# An object counts as being in a cell that shows this share of the object, or of which the object covers this share: a
# large object has a small share of its area in any one cell.
OBJECT_SHARE, CELL_SHARE = 0.2, 0.5
# A cell has a handful of the labels at most. Without this weight, training stays long where it predicts none of them.
POSITIVE_WEIGHT = 3.0


class Cells(ExpertPretext):
    """An expert with one linear head that predicts the labels of each cell.

    Args:
        part: the expert.
    """

    metric = "F1 of the labels of the cells of held-out scenes"

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        # A map that does not divide the cells is resized to them.
        self.side = part.grid if CELLS % part.grid == 0 else CELLS
        self.split = CELLS // self.side
        self.namer = nn.Conv2d(part.channels, len(LABELS) * self.split**2, 1)

    def make_item(self, scene: Scene, rng: Random) -> Mapping[str, Tensor]:
        """`images`: uint8 [3, S, S]; `targets`: which labels each cell has, uint8 [L, K, K]."""
        return {"images": to_pixels(scene), "targets": make_cell_targets(scene)}

    def predict(self, images_B3SS: Tensor) -> Tensor:
        """Logits [B, L, K, K] of the labels of each cell of uint8 images."""
        features_BCGG = to_grid(self.encode(images_B3SS), self.side)
        return F.pixel_shuffle(self.namer(features_BCGG), self.split)

    def read(self, images_B3SS: Tensor, questions: Sequence[SceneQuestion]) -> list[str | None]:
        """By the labels that are likeliest in the cells of what is asked for."""
        shares_BLKK = self.predict(images_B3SS).sigmoid()
        return [read_cells(shares, question) for shares, question in zip(shares_BLKK, questions, strict=True)]

    def forward(self, batch: TensorBatch) -> Tensor:
        weight = torch.tensor(POSITIVE_WEIGHT, device=batch.images.device)
        logits, targets = self.predict(batch.images), batch.targets.float()
        return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight) * len(LABELS)

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        return compute_f1((self.predict(batch.images) > 0, batch.targets > 0) for batch in self.iterate_batches(groups))


def make_cell_targets(scene: Scene) -> Tensor:
    """Which labels are in which cell: uint8 [L, K, K], 0 or 1."""
    targets = torch.zeros(len(LABELS), CELLS, CELLS, dtype=torch.uint8)
    shares = torch.from_numpy(compute_cell_shares(scene, CELLS))
    for mark, share in zip(scene.marks, shares, strict=True):
        inside = (share > 0) & ((share >= OBJECT_SHARE * share.sum()) | (share >= CELL_SHARE))
        for label in mark.all_labels:
            targets[LABELS.index(label)] |= inside
    return targets


def read_cells(shares_LKK: Tensor, question: SceneQuestion) -> str | None:
    """The answer to a question by the probabilities of the labels of cells; None if they do not give one.

    A thing is where both of its labels are likely; of a form, each digit of a number is in its half of the right half.
    """
    if question.family == "position":
        board = F.avg_pool2d(shares_LKK[LABELS.index(find_key(question))][None], CELLS // BOARD)
        return PLACES[int(board.argmax())]
    scores = {
        answer: score_number(shares_LKK, key, answer)
        if question.family == "document"
        else score_pair(shares_LKK, key, label)
        for answer, (key, label) in list_candidates(question).items()
    }
    return max(scores, key=scores.__getitem__, default=None)


def score_pair(shares_LKK: Tensor, *labels: str) -> float:
    """How likely labels are together in some cell, summed over the cells."""
    together_KK = shares_LKK[[LABELS.index(label) for label in labels]].prod(0)
    return float(together_KK.sum())


def score_number(shares_LKK: Tensor, field: str, number: str) -> float:
    """How likely the digits of a number are in the cells of a field's digits."""
    quarters = shares_LKK[:, :, CELLS // 2 :].chunk(2, dim=2)
    return prod(score_pair(quarter, field, digit) for quarter, digit in zip(quarters, number, strict=True))


def compute_f1(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The F1 of boolean predictions against boolean targets of the same shape, over all pairs of them."""
    both = predicted = true = 0
    for prediction, target in pairs:
        both += int((prediction & target).sum())
        predicted += int(prediction.sum())
        true += int(target.sum())
    return 2 * both / max(predicted + true, 1)
