"""ConvNeXt's pretext task: which labels a scene has, from pooled features."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.data.synthetic.drawing import COLOURS, Scene, SceneQuestion
from eaglebench.experts.base import VisionExpert
from eaglebench.zoo.cells import LABELS, compute_f1
from eaglebench.zoo.pretext import ExpertPretext, TensorBatch, to_pixels
from eaglebench.zoo.readout import list_candidates

# Each label, and each pair of a colour and a label: `red` and `star` may be two objects, `red star` is one.
CLASSES = {label: number for number, label in enumerate(LABELS)}
CLASSES |= {
    f"{colour} {label}": len(LABELS) + number
    for number, (colour, label) in enumerate(
        (colour, label) for colour in COLOURS for label in LABELS if label not in COLOURS and not label.isdigit()
    )
}


class Classification(ExpertPretext):
    """An expert with global average pooling and one linear multi-label classifier, in the manner of ImageNet models.

    Args:
        part: the expert.
    """

    metric = "F1 of the labels of held-out scenes"

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        self.classifier = nn.Sequential(nn.LayerNorm(part.channels), nn.Linear(part.channels, len(CLASSES)))

    def make_item(self, scene: Scene, rng: Random) -> Mapping[str, Tensor]:
        """`images`: uint8 [3, S, S]; `targets`: which of CLASSES the scene has, float [classes], 0 or 1."""
        targets = torch.zeros(len(CLASSES))
        for mark in scene.marks:
            colours = [label for label in mark.labels if label in COLOURS]
            for label in mark.labels:
                targets[CLASSES[label]] = 1
                if label not in COLOURS and colours:
                    targets[CLASSES[f"{colours[0]} {label}"]] = 1
        return {"images": to_pixels(scene), "targets": targets}

    def predict(self, images_B3SS: Tensor) -> Tensor:
        """Logits [B, classes] of uint8 images."""
        logits: Tensor = self.classifier(self.encode(images_B3SS).mean(dim=(2, 3)))
        return logits

    def read(self, images_B3SS: Tensor, questions: Sequence[SceneQuestion]) -> list[str | None]:
        """By the likeliest pair of a colour and a label."""
        answers: list[str | None] = []
        for logits, question in zip(self.predict(images_B3SS), questions, strict=True):
            names = {answer: " ".join(pair) for answer, pair in list_candidates(question).items()}
            known = {answer: float(logits[CLASSES[name]]) for answer, name in names.items() if name in CLASSES}
            answers.append(max(known, key=known.__getitem__, default=None))
        return answers

    def forward(self, batch: TensorBatch) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.predict(batch.images), batch.targets) * len(CLASSES)

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        return compute_f1((self.predict(batch.images) > 0, batch.targets > 0) for batch in self.iterate_batches(groups))
