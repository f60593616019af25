"""EVA-02's pretext task: the class and the box of each object."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_iou, generalized_box_iou_loss, sigmoid_focal_loss

from eaglebench.data.synthetic.chart import VALUE
from eaglebench.data.synthetic.document import FIELDS
from eaglebench.data.synthetic.drawing import Mark, Scene, SceneQuestion
from eaglebench.data.synthetic.shapes import PLACES, SHAPES
from eaglebench.data.synthetic.transcription import find_cell_of_box
from eaglebench.experts.base import VisionExpert
from eaglebench.zoo.pretext import ExpertPretext, TensorBatch, split_factor, to_pixels
from eaglebench.zoo.readout import find_key

CELLS = 8  # K: one prediction per cell
CLASSES = (*SHAPES, "bar", "word", "field", "digit")  # colours and what is written play no part
MAX_OBJECTS = 16  # in a scene
MIN_SCORE = 0.4  # of a detection that counts
MATCH_IOU = 0.5  # with the object, of a correct detection
NMS_IOU = 0.5  # of detections that are merged
PRIOR = 0.01  # initial objectness, as in focal loss (arXiv 1708.02002)


class Detection(ExpertPretext):
    """An expert and a one-stage head: objectness, class and box per cell; the cell of an object's centre predicts it.

    Args:
        part: the expert.

    Raises:
        UserError: the side of the expert's map does not divide CELLS.
    """

    metric = f"F1 of detections in held-out scenes: right class, IoU of {MATCH_IOU} or more"

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        self.split = split_factor(part, CELLS)
        predictor = nn.Conv2d(part.channels, (1 + len(CLASSES) + 4) * self.split**2, 1)
        assert predictor.bias is not None
        nn.init.constant_(predictor.bias[: self.split**2], math.log(PRIOR / (1 - PRIOR)))
        self.predictor = nn.Sequential(nn.GroupNorm(1, part.channels), predictor)
        lines = (torch.arange(CELLS) + 0.5) / CELLS
        self.register_buffer(
            "centres", torch.stack(torch.meshgrid(lines, lines, indexing="xy"), dim=-1), persistent=False
        )

    centres: Tensor

    def make_item(self, scene: Scene, rng: Random) -> Mapping[str, Tensor]:
        """`images`: uint8 [3, S, S]; `boxes`: over the side of the image, [MAX_OBJECTS, 4]; `classes`: [MAX_OBJECTS].

        A box is left, top, right, bottom. Classes are indices into CLASSES, and -1 where there is no object.
        """
        side = scene.image.width
        boxes, classes = torch.zeros(MAX_OBJECTS, 4), torch.full((MAX_OBJECTS,), -1)
        for index, mark in enumerate(scene.marks[:MAX_OBJECTS]):
            boxes[index] = (torch.tensor(mark.box) / side).clamp(0, 1)
            classes[index] = CLASSES.index(classify(mark))
        return {"images": to_pixels(scene), "boxes": boxes, "classes": classes}

    def predict(self, images_B3SS: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Objectness logits [B, K, K], class logits [B, K, K, classes] and boxes [B, K, K, 4] of uint8 images.

        A box is left, top, right, bottom, over the side of the image.
        """
        output = F.pixel_shuffle(self.predictor(self.encode(images_B3SS)), self.split).permute(0, 2, 3, 1)
        objectness, classes, offset, size = torch.split(output, [1, len(CLASSES), 2, 2], dim=-1)
        middle = self.centres + offset.tanh() / CELLS
        half = F.softplus(size) / CELLS
        boxes = torch.cat([middle - half, middle + half], dim=-1)
        return objectness[..., 0], classes, boxes

    def forward(self, batch: TensorBatch) -> Tensor:
        objectness, classes, boxes = self.predict(batch.images)
        is_object = batch.classes >= 0
        sample = is_object.nonzero()[:, 0]
        true_boxes, true_classes = batch.boxes[is_object], batch.classes[is_object]
        column, row = ((true_boxes[:, :2] + true_boxes[:, 2:]) / 2 * CELLS).long().clamp(0, CELLS - 1).unbind(1)
        targets = torch.zeros_like(objectness)
        targets[sample, row, column] = 1
        objectness_loss: Tensor = sigmoid_focal_loss(objectness, targets, reduction="sum") / len(sample)
        class_loss = F.cross_entropy(classes[sample, row, column], true_classes)
        box_loss: Tensor = generalized_box_iou_loss(boxes[sample, row, column], true_boxes, reduction="mean")
        return 2 * objectness_loss + class_loss + box_loss

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        right = detected = true = 0
        for batch in self.iterate_batches(groups):
            for index, (boxes, classes) in enumerate(self.detect(batch.images)):
                is_object = batch.classes[index] >= 0
                same_class = classes[:, None] == batch.classes[index][is_object]
                right += count_matches(box_iou(boxes, batch.boxes[index][is_object]) * same_class)
                detected += len(classes)
                true += int(is_object.sum())
        return 2 * right / max(detected + true, 1)

    def detect(self, images_B3SS: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The boxes and the classes of the detections in each of the uint8 images, the best first."""
        for objectness, class_logits, boxes in zip(*map(flatten_cells, self.predict(images_B3SS)), strict=True):
            scores, classes = objectness.sigmoid(), class_logits.argmax(-1)
            kept = (scores > MIN_SCORE).nonzero()[:, 0]
            kept = kept[batched_nms(boxes[kept], scores[kept], classes[kept], NMS_IOU)]
            yield boxes[kept], classes[kept]

    def read(self, images_B3SS: Tensor, questions: Sequence[SceneQuestion]) -> list[str | None]:
        """The number of shapes, and the places of those that are asked for by their shape."""
        answers: list[str | None] = []
        for (boxes, classes), question in zip(self.detect(images_B3SS), questions, strict=True):
            names = [CLASSES[number] for number in classes.tolist()]
            if question.family == "counting":
                answers.append(str(sum(name in SHAPES for name in names)))
            elif question.type == "by shape":
                found = [box for box, name in zip(boxes.tolist(), names, strict=True) if name == find_key(question)]
                answers.append(PLACES[find_cell_of_box(found[0])] if found else "")
            else:
                answers.append(None)
        return answers


def flatten_cells(values_BKK: Tensor) -> Tensor:
    """Values of cells [B, K, K, ...] as [B, K*K, ...]."""
    return values_BKK.flatten(1, 2)


def count_matches(overlap: Tensor) -> int:
    """The number of detections with an IoU of MATCH_IOU or more, where each object and each detection counts once.

    Args:
        overlap: IoU [detections, objects], with the best detection first; 0 where the class is wrong.
    """
    matched: set[int] = set()
    for row in overlap:
        best = max(range(len(row)), key=lambda index: float(row[index]) if index not in matched else -1.0)
        if row[best] >= MATCH_IOU and best not in matched:
            matched.add(best)
    return len(matched)


def classify(mark: Mark) -> str:
    """The name in CLASSES of an object's class."""
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
