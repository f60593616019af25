"""EVA-02's pretext task: which things there are, and the box around each."""

import math
from collections.abc import Iterable, Mapping, Sequence
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_iou, generalized_box_iou_loss, sigmoid_focal_loss

from eaglebench.data.synthetic.chart import VALUE
from eaglebench.data.synthetic.document import FIELDS
from eaglebench.data.synthetic.drawing import Mark, Picture
from eaglebench.data.synthetic.shapes import SHAPES
from eaglebench.experts.base import VisionExpert
from eaglebench.zoo.pretext import ExpertPretext, Fields, fine_split, pixels

CELLS = 8  # K: one prediction a cell
CLASSES = (*SHAPES, "bar", "word", "field", "digit")  # of things; colours and readings play no part
MOST = 16  # things in a picture
CONFIDENT, SAME, MERGED = 0.4, 0.5, 0.5  # score of a detection; IoU of a right one; IoU of repeated ones
RARE = 0.01  # the first guess of objectness, as in focal loss (arXiv 1708.02002)


class Detection(ExpertPretext):
    """An expert and a one-stage head: objectness, class and box in every cell of a grid, learned where a thing's centre lies."""

    metric = f"F1 of detections in held-out pictures: right class, IoU of {SAME} or more"

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        self.split = fine_split(part, CELLS)
        predictor = nn.Conv2d(part.channels, (1 + len(CLASSES) + 4) * self.split**2, 1)
        assert predictor.bias is not None
        nn.init.constant_(predictor.bias[: self.split**2], math.log(RARE / (1 - RARE)))
        self.predictor = nn.Sequential(nn.GroupNorm(1, part.channels), predictor)
        lines = (torch.arange(CELLS) + 0.5) / CELLS
        self.register_buffer(
            "centres", torch.stack(torch.meshgrid(lines, lines, indexing="xy"), dim=-1), persistent=False
        )

    centres: Tensor

    def item(self, picture: Picture, rng: Random) -> Mapping[str, Tensor]:
        side = picture.image.width
        boxes, classes = torch.zeros(MOST, 4), torch.full((MOST,), -1)
        for place, mark in enumerate(picture.marks[:MOST]):
            boxes[place] = (torch.tensor(mark.box) / side).clamp(0, 1)
            classes[place] = CLASSES.index(class_of(mark))
        return {"images": pixels(picture), "boxes": boxes, "classes": classes}

    def predictions(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Objectness [B, K, K], classes [B, K, K, classes] and boxes [B, K, K, 4] (left, top, right, bottom; of the side)."""
        found = F.pixel_shuffle(self.predictor(self.features(images)), self.split).permute(0, 2, 3, 1)
        objectness, classes, offset, size = found.split([1, len(CLASSES), 2, 2], dim=-1)
        middle = self.centres + offset.tanh() / CELLS
        half = F.softplus(size) / CELLS
        boxes = torch.cat([middle - half, middle + half], dim=-1)
        return objectness[..., 0], classes, boxes

    def forward(self, batch: Fields) -> Tensor:
        objectness, classes, boxes = self.predictions(batch.images)
        there = batch.classes >= 0
        sample = there.nonzero()[:, 0]
        true_boxes, true_classes = batch.boxes[there], batch.classes[there]
        column, row = ((true_boxes[:, :2] + true_boxes[:, 2:]) / 2 * CELLS).long().clamp(0, CELLS - 1).unbind(1)
        targets = torch.zeros_like(objectness)
        targets[sample, row, column] = 1
        found = sigmoid_focal_loss(objectness, targets, reduction="sum") / len(sample)
        named = F.cross_entropy(classes[sample, row, column], true_classes)
        boxed = generalized_box_iou_loss(boxes[sample, row, column], true_boxes, reduction="mean")
        return 2 * found + named + boxed

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        right = said = true = 0
        for batch in self.batches(groups):
            objectness, classes, boxes = (values.flatten(1, 2) for values in self.predictions(batch.images))
            for index in range(len(batch)):
                scores, named = objectness[index].sigmoid(), classes[index].argmax(-1)
                kept = (scores > CONFIDENT).nonzero()[:, 0]
                kept = kept[batched_nms(boxes[index][kept], scores[kept], named[kept], MERGED)]
                there = batch.classes[index] >= 0
                same = named[kept][:, None] == batch.classes[index][there]
                overlap = box_iou(boxes[index][kept], batch.boxes[index][there]) * same
                # Each thing counts once, and so does each detection.
                matched = set()
                for row in overlap:
                    best = max(range(len(row)), key=lambda place: float(row[place]) if place not in matched else -1.0)
                    if row[best] >= SAME and best not in matched:
                        matched.add(best)
                right, said, true = right + len(matched), said + len(kept), true + int(there.sum())
        return 2 * right / max(said + true, 1)


def class_of(mark: Mark) -> str:
    """What kind of thing a mark is."""
    for label in mark.labels:
        if label in SHAPES:
            return label
        if label in FIELDS:
            return "field"
        if label.isdigit():
            return "digit"
        if label.startswith(VALUE):
            return "bar"
    return "word"
