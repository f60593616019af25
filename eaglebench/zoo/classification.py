"""ConvNeXt's pretext task: which labels a picture has, from its pooled features."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.data.synthetic.drawing import COLOURS, Picture
from eaglebench.experts.base import VisionExpert
from eaglebench.zoo.cells import LABELS, f1
from eaglebench.zoo.pretext import ExpertPretext, Fields, pixels

# Each label alone, and each together with each colour: `red` and `star` may be two things, `red star` is one.
CLASSES = {label: number for number, label in enumerate(LABELS)}
CLASSES |= {
    f"{colour} {label}": len(LABELS) + number
    for number, (colour, label) in enumerate(
        (colour, label) for colour in COLOURS for label in LABELS if label not in COLOURS and not label.isdigit()
    )
}


class Classification(ExpertPretext):
    """An expert with global average pooling and one linear classifier of many labels, as ImageNet models have of one."""

    metric = "F1 of the labels of held-out pictures"

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        self.classifier = nn.Sequential(nn.LayerNorm(part.channels), nn.Linear(part.channels, len(CLASSES)))

    def item(self, picture: Picture, rng: Random) -> Mapping[str, Tensor]:
        targets = torch.zeros(len(CLASSES))
        for mark in picture.marks:
            colours = [label for label in mark.labels if label in COLOURS]
            for label in mark.labels:
                targets[CLASSES[label]] = 1
                if label not in COLOURS and colours:
                    targets[CLASSES[f"{colours[0]} {label}"]] = 1
        return {"images": pixels(picture), "targets": targets}

    def logits(self, images: Tensor) -> Tensor:
        """[B, classes] of uint8 images."""
        return self.classifier(self.features(images).mean(dim=(2, 3)))

    def forward(self, batch: Fields) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits(batch.images), batch.targets) * len(CLASSES)

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        return f1((self.logits(batch.images) > 0, batch.targets > 0) for batch in self.batches(groups))
