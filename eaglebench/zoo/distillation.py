"""DINOv2's pretext task: agreeing with a slow copy of itself about another view, without labels (arXiv 2304.07193)."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.data.synthetic.drawing import Picture
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.grid import to_tokens
from eaglebench.zoo.detection import CLASSES, class_of
from eaglebench.zoo.pretext import ExpertPretext, Fields, cell_shares, pixels

PROTOTYPES = 256
WIDTH = 128  # of the head
MOMENTUM = 0.99  # of the teacher, a step
STUDENT, TEACHER = 0.1, 0.05  # temperatures
MASKED = 0.4  # of the places that the student does not see
SHIFT = 16  # the other view is moved by the side divided by this, at most
SINKHORN = 3  # iterations
RIDGE = 10.0  # of the probe, on standardised features
COVERED = 0.1  # of a place, from which on it shows a thing


class Distillation(ExpertPretext):
    """A student that sees a picture with places blotted out, and its moving average that sees the whole and another view.

    The student's masked places must match the teacher's places (iBOT), and its pooled map the teacher's of the other view
    (DINO). The teacher's assignments are balanced by Sinkhorn-Knopp, as in DINOv2.
    """

    beside = ("slow_part", "slow_places", "slow_pooled")
    metric = (
        "share of places in held-out pictures whose thing is named rightly by a linear probe of as many other pictures"
    )

    slow_part: VisionExpert

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        self.places, self.pooled = Prototypes(part.channels), Prototypes(part.channels)
        self.slow_part = copy.deepcopy(part).requires_grad_(False)
        self.slow_places, self.slow_pooled = (
            copy.deepcopy(head).requires_grad_(False) for head in (self.places, self.pooled)
        )

    def item(self, picture: Picture, rng: Random) -> Mapping[str, Tensor]:
        image = pixels(picture)
        side = image.shape[-1]
        reach = side // SHIFT
        shift = [rng.randint(-reach, reach) for _ in range(2)]
        moved = F.pad(image, (reach,) * 4, mode="reflect")[
            :, reach + shift[0] : reach + shift[0] + side, reach + shift[1] : reach + shift[1] + side
        ]
        # Colours are exchanged, as DINO jitters them: what the views agree on is to be more than colour.
        other = moved[rng.sample(range(3), 3)]
        hidden = torch.tensor([[rng.random() < MASKED for _ in range(self.part.grid)] for _ in range(self.part.grid)])
        return {"images": image, "others": other, "hidden": hidden, "classes": things(picture, self.part.grid)}

    def forward(self, batch: Fields) -> Tensor:
        self.follow()
        scale = batch.images.shape[-1] // self.part.grid
        hidden = batch.hidden.repeat_interleave(scale, 1).repeat_interleave(scale, 2).unsqueeze(1)
        grey = batch.images.float().mean(dim=(2, 3), keepdim=True).to(torch.uint8)
        seen = to_tokens(self.features(torch.where(hidden, grey, batch.images)))
        with torch.no_grad():
            teacher = self.slow_part
            whole, other = (to_tokens(teacher(teacher.preprocess(images))) for images in (batch.images, batch.others))
            places = balanced(self.slow_places(whole).flatten(0, 1))[batch.hidden.flatten()]
            pooled = balanced(self.slow_pooled(other.mean(1)))
        masked = self.places(seen).flatten(0, 1)[batch.hidden.flatten()]
        return matched(masked, places) + matched(self.pooled(seen.mean(1)), pooled)

    @torch.no_grad()
    def follow(self) -> None:
        """Move the teacher towards the student."""
        if not self.training:
            return
        pairs = (
            (self.slow_part, self.part),
            (self.slow_places, self.places),
            (self.slow_pooled, self.pooled),
        )
        for teacher, student in pairs:
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.lerp_(fast, 1 - MOMENTUM)

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        features, classes = [], []
        for batch in self.batches(groups):
            features.append(to_tokens(self.features(batch.images)))
            classes.append(batch.classes.flatten(1))
        return probed(torch.cat(features), torch.cat(classes))


def probed(features: Tensor, classes: Tensor) -> float:
    """How often a linear probe names places [pictures, N] rightly by their features [pictures, N, C]; class -1 is left out.

    Ridge regression on the first half of the pictures, tested on the second.
    """
    half = len(features) // 2
    (known, answers), (new, expected) = (
        (features[part][classes[part] >= 0].double(), classes[part][classes[part] >= 0])
        for part in (slice(half), slice(half, None))
    )
    mean, deviation = known.mean(0), known.std(0).clamp(min=1e-6)
    known, new = (F.pad((one - mean) / deviation, (0, 1), value=1.0) for one in (known, new))
    targets = F.one_hot(answers, len(CLASSES)).double()
    penalty = RIDGE * torch.eye(known.shape[1], dtype=known.dtype, device=known.device)
    weights = torch.linalg.solve(known.T @ known + penalty, known.T @ targets)
    return float(((new @ weights).argmax(1) == expected).double().mean())


class Prototypes(nn.Module):
    """DINO's head: an MLP, and the cosine with each prototype."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.prototypes = nn.Parameter(torch.randn(PROTOTYPES, WIDTH))

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(F.normalize(self.mlp(features), dim=-1), F.normalize(self.prototypes, dim=-1))


def balanced(scores: Tensor) -> Tensor:
    """Soft assignments [n, PROTOTYPES] that use all prototypes alike (Sinkhorn-Knopp)."""
    shares = (scores / TEACHER).exp()
    for _ in range(SINKHORN):
        shares = shares / shares.sum(0, keepdim=True).clamp(min=1e-12)
        shares = shares / shares.sum(1, keepdim=True)
    return shares


def matched(scores: Tensor, targets: Tensor) -> Tensor:
    """The cross-entropy of the student's scores against the teacher's assignments."""
    return -(targets * F.log_softmax(scores / STUDENT, dim=-1)).sum(-1).mean()


def things(picture: Picture, grid: int) -> Tensor:
    """The class of the thing that covers most of each place [grid, grid], as a number; -1 where none covers a tenth."""
    largest, thing = torch.from_numpy(cell_shares(picture, grid)).max(0)
    classes = torch.tensor([CLASSES.index(class_of(mark)) for mark in picture.marks])
    return torch.where(largest >= COVERED, classes[thing], -1)
